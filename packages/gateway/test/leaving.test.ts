import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { EventStream } from '../../../scripts/event-stream.ts'
import { createGateway, type WeirEvent } from '../src/index.ts'
import { countingUpstream } from './counting-upstream.ts'
import { RUNTIMES, type Served, testApp } from './served.ts'

const HERD = 300

function reach(site: Served, lastEventId?: string): Promise<EventStream[]> {
  const headers: Record<string, string> = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const one = async () => new EventStream(await site.fetch('/items/a?as=sse', { headers }))
  return Promise.all(Array.from({ length: HERD }, one))
}

describe.each(RUNTIMES)('on runtime $name', ({ serve }) => {
  test('a herd that drops and returns costs the upstream nothing, and is told to come back spread', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream, { fresh: '60000ms', every: '60000ms' })] })
    const herd = await reach(site)
    const first = await Promise.all(herd.map((events) => events.until('snapshot')))
    await Promise.all(herd.map((events) => events[Symbol.asyncDispose]()))
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)

    const returned = await reach(site, first[0]?.id)
    await Promise.all(returned.map((events) => events.until('heartbeat', ({ data }) => data.version === first[0]?.id)))
    expect(upstream.calls).toBe(1)
    // Over two seconds: among so many, each third of them has some.
    const thirds = [...herd, ...returned].map(({ retry = 0 }) => Math.floor((retry - 1000) / (2001 / 3)))
    expect(new Set(thirds)).toEqual(new Set([0, 1, 2]))

    const closed = site.gateway.close(1000)
    const told = await Promise.all(returned.map((events) => events.until('goodbye')))
    const retries = told.map(({ data }) => Number(data.retry))
    expect(Math.max(...retries) - Math.min(...retries)).toBeGreaterThan(1000)
    await closed
  })

  test.each([
    ['a snapshot', '/items/a'],
    ['a first poll', '/items/a?as=poll'],
    ['a poll', '/items/a?as=poll&after=9999999999999:1'],
    ['many values', '/weir/values?topic=/items/a'],
  ])('a client that does not wait for %s is no failure', async (_what, path) => {
    await using upstream = await countingUpstream()
    upstream.answer = () => {}
    const events: WeirEvent[] = []
    await using site = await serve({ apps: [testApp(upstream)], observe: (event) => void events.push(event) })
    const leave = new AbortController()
    const gone = site.fetch(path, { signal: leave.signal }).catch(() => {})
    await expect.poll(() => upstream.calls).toBe(1)
    leave.abort()
    await gone
    await expect.poll(() => events.filter(({ type }) => type === 'route.answered')).toMatchObject([{ status: 499 }])
    expect(events.filter(({ type }) => type === 'failed')).toEqual([])
  })
})

test.each([
  ['a stream', '/items/a?as=sse'],
  ['a poll', '/items/a?as=poll&after=9999999999999:1&wait=60s'],
])('a client of %s that only ends its side is gone at once', async (_what, path) => {
  await using upstream = await countingUpstream()
  const gateway = createGateway({ apps: [testApp(upstream)] })
  const [url = ''] = await gateway.listen({ port: 0 })
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true })
  try {
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await expect.poll(() => gateway.metrics.summary.connections).toBe(1)
    socket.resume()
    socket.end()
    await once(socket, 'end')
    await expect.poll(() => gateway.metrics.summary.connections).toBe(0)
  } finally {
    socket.destroy()
    await gateway.close(1000)
  }
})
