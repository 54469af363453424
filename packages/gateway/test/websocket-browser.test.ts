import { expect, test } from 'vitest'
import { launch, visit } from '../../../scripts/browser.ts'
import { createGateway } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { testApp } from './served.ts'

/** What the page hears, in a list that the test reads. */
const LISTEN = `
  window.heard = []
  window.ended = undefined
  const socket = new WebSocket(location.origin.replace('http', 'ws') + '/weir/ws')
  socket.onmessage = ({ data }) => window.heard.push(JSON.parse(data))
  socket.onclose = ({ code, reason }) => { window.ended = { code, reason } }
  new Promise((resolve) => { socket.onopen = () => {
    socket.send(JSON.stringify({ type: 'subscribe', topic: '/items/big' }))
    resolve(socket.extensions)
  } })
`

test('Chromium reads plain and compressed frames, patches and the close code', async () => {
  await using upstream = await countingUpstream()
  const rows = Array.from({ length: 300 }, (_, row) => ({ row, name: `Zeile ${row} – €` }))
  let count = 0
  upstream.answer = (_path, response) => json(response, { count: count++, rows })
  const gateway = createGateway({ apps: [testApp(upstream)] })
  const [url = ''] = await gateway.listen({ port: 0 })
  const browser = await launch()
  try {
    await using seen = await visit(browser, `${url}/weir/openapi.json`)
    const { page } = seen
    expect(await page.evaluate(LISTEN)).toContain('permessage-deflate')
    const heard = () => page.evaluate<Record<string, unknown>[]>('window.heard')
    await expect.poll(async () => (await heard()).filter(({ type }) => type === 'patch').length).toBeGreaterThan(2)
    const messages = await heard()
    expect(messages.find(({ type }) => type === 'snapshot')?.value).toMatchObject({ rows })
    expect(messages.find(({ type }) => type === 'patch')?.patch).toEqual({ count: expect.any(Number) })
    await gateway.close(1000)
    await expect.poll(() => page.evaluate('window.ended')).toEqual({ code: 1001, reason: 'going_away' })
    expect((await heard()).at(-1)).toMatchObject({ type: 'goodbye' })
  } finally {
    await browser.close()
    await gateway.close(1000)
  }
})
