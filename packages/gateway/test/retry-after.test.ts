import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http, jsonRpc, proxy, push, rpc } from '../src/index.ts'
import { ManualClock } from './manual-clock.ts'

/** An upstream that refuses all from now on, and counts. */
async function refusing(status: number, headers: Readonly<Record<string, string>>) {
  const upstream = { arrivals: 0, url: '', well: false }
  const server = createServer((request, response) => {
    upstream.arrivals += 1
    let body = ''
    request.on('data', (piece) => {
      body += piece
    })
    request.on('end', () => {
      const { id } = body === '' ? { id: 1 } : JSON.parse(body)
      response.writeHead(upstream.well ? 200 : status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: 1 }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  upstream.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    upstream,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function serve(url: string) {
  const clock = new ManualClock()
  const options = { pastUsage: 'none', retries: 2, limits: [{ calls: 100, per: '1s' }] } as const
  const from = http({ ...options, name: 'web', url })
  const to = jsonRpc({ ...options, name: 'node', url })
  const value = feed('/values/:id', {
    ...{ name: 'value', key: { id: z.string() }, value: z.unknown(), from, fresh: '0ms' },
    load: { one: ({ id }, call) => call.get(`/values/${id}`) },
  })
  const use = [value, proxy('/up/*', { name: 'up', to: from }), rpc('/rpc', { to, methods: { getSlot: {} } })]
  const gateway = createGateway({ apps: [defineApp({ name: 'app', use })], clock })
  const site = gateway.sites[0]
  if (site === undefined) throw new Error('expected a site')
  return {
    clock,
    ask(form: string, id: number): Promise<Response> {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'getSlot', params: [id] })
      const headers = { 'content-type': 'application/json' }
      if (form === 'rpc') return site.fetch(new Request('http://localhost/rpc', { method: 'POST', headers, body }))
      return site.fetch(new Request(`http://localhost/${form === 'proxy' ? 'up' : 'values'}/${id}`))
    },
    [Symbol.asyncDispose]: () => gateway.close(),
  }
}

describe('Retry-After', () => {
  const refusals: readonly (readonly [status: number, headers: Readonly<Record<string, string>>])[] = [
    [429, { 'retry-after': '30' }],
    [418, { 'retry-after': '30' }],
    [403, { 'retry-after': '30' }],
    [403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '30' }],
    [503, { 'retry-after': '30' }],
    [500, { 'retry-after': '30' }],
  ]

  test.each(
    refusals.flatMap(([status, headers]) => ['feed', 'proxy', 'rpc'].map((form) => ({ status, headers, form }))),
  )('of $status with $headers is kept, by a $form', async ({ status, headers, form }) => {
    await using opened = await refusing(status, headers)
    const { upstream } = opened
    await using site = await serve(upstream.url)
    const first = await site.ask(form, 0)
    if (headers['retry-after'] !== undefined) expect(first.headers.get('retry-after')).toBe('30')
    // Whoever asks later can wait for it.
    for (let second = 0; second < 18; second++) {
      const answer = await site.ask(form, second + 1)
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(30 - second)
      await site.clock.advance(1000)
    }
    // Without a limit that is reached, a second request has to be answered so too.
    const ofRequest = status >= 500 || (status === 403 && headers['retry-after'] !== undefined)
    expect(upstream.arrivals).toBe(ofRequest ? 2 : 1)
    upstream.well = true
    await site.clock.advance(15_000)
    expect((await site.ask(form, 100)).status).toBe(200)
  })

  test('of a refused handshake is kept by a push', async () => {
    await using opened = await refusing(429, { 'retry-after': '30' })
    const { upstream } = opened
    const clock = new ManualClock()
    const lost = Promise.withResolvers<string>()
    const live = push<{ id: string }, unknown>({
      url: upstream.url.replace('http', 'ws'),
      subscribe: () => ({}),
      read: () => undefined,
    })
    const value = feed('/values/:id', {
      ...{ name: 'value', key: { id: z.string() }, value: z.unknown(), fresh: '1h', live },
      load: { one: async () => 1 },
    })
    const gateway = createGateway({
      apps: [defineApp({ name: 'app', use: [value] })],
      clock,
      observe: (event) => event.type === 'push.lost' && lost.resolve(event.why),
    })
    const stream = await gateway.sites[0]?.fetch(new Request('http://localhost/values/a?as=sse'))
    expect(await lost.promise).toBe('answered 429')
    await clock.advance(30_000 - 1)
    expect(upstream.arrivals).toBe(1)
    await clock.advance(600)
    await expect.poll(() => upstream.arrivals).toBe(2)
    await stream?.body?.cancel()
    await gateway.close()
  })
})
