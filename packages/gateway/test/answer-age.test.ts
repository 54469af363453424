import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http, jsonRpc, proxy } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'

/** How long the upstream takes, in milliseconds. */
const SLOW = 1300

/** Feeds of one key and of many, a proxy and a JSON-RPC node, of an upstream that takes its time. */
async function opened(headers: Readonly<Record<string, string>> = {}, slow = SLOW) {
  const upstream = await countingUpstream()
  upstream.answer = (path, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    setTimeout(() => json(response, path.startsWith('/rpc') ? { jsonrpc: '2.0', id: 1, result: 7 } : 7), slow)
  }
  const from = http({ name: 'slow', url: upstream.url, pastUsage: 'none', retries: 0 })
  const node = jsonRpc({ name: 'node', url: `${upstream.url}/rpc`, pastUsage: 'none', retries: 0 })
  const kept = { value: z.number(), fresh: '1m', spread: 0 } as const
  const one = feed('/one', {
    ...{ ...kept, name: 'one', key: {}, from },
    load: { one: (_key, call) => call.get('/one') as Promise<number> },
  })
  const many = feed('/many/:id', {
    ...{ ...kept, name: 'many', key: { id: z.string() }, from },
    load: {
      many: async (keys, call) => {
        const value = (await call.get('/many')) as number
        return keys.map(() => value)
      },
    },
  })
  const rpc = feed('/height', {
    ...{ ...kept, name: 'height', key: {}, from: node },
    load: { one: (_key, call) => call('getHeight', []) as Promise<number> },
  })
  const through = proxy('/proxy/*', { to: from, name: 'through', fresh: '1m' })
  const gateway = createGateway({ apps: [defineApp({ name: 'slow', use: [one, many, rpc, through] })] })
  const [url] = await gateway.listen({ port: 0 })
  return {
    ask: async (path: string) => {
      const answer = await fetch(`${url}${path}`)
      expect(answer.status).toBe(200)
      return Number(answer.headers.get('age'))
    },
    one,
    async [Symbol.asyncDispose]() {
      await gateway.close(500)
      await upstream[Symbol.asyncDispose]()
    },
  }
}

test('an answer is as old as the time it took, whatever asks for it', async () => {
  await using site = await opened()
  const ages = await Promise.all(['/one', '/many/a', '/height', '/proxy/thing'].map(site.ask))
  for (const age of ages) {
    expect(age).toBeGreaterThanOrEqual(1)
    expect(age).toBeLessThan(30)
  }
  expect((await site.one.get({})).age).toBeGreaterThanOrEqual(SLOW - 5)
}, 20_000)

test('an answer that says how old it is is as much older', async () => {
  await using site = await opened({ age: '40' }, 0)
  for (const path of ['/one', '/many/a', '/height', '/proxy/thing'])
    expect(await site.ask(path)).toBeGreaterThanOrEqual(40)
}, 20_000)
