import { z } from 'zod'
import {
  type App,
  absent,
  createGateway,
  defineApp,
  feed,
  type Gateway,
  type GatewayOptions,
  http,
  type Routes,
  stream,
} from '../src/index.ts'
import type { CountingUpstream } from './counting-upstream.ts'

/** How a test reaches a site: the same tests run on every runtime. */
export interface Served extends AsyncDisposable {
  readonly gateway: Gateway
  fetch(path: string, init?: RequestInit): Promise<Response>
}

export interface Runtime {
  readonly name: string
  serve(options: GatewayOptions): Promise<Served>
}

export const RUNTIMES: readonly Runtime[] = [
  {
    name: 'node',
    async serve(options) {
      const gateway = createGateway(options)
      const [url] = await gateway.listen({ port: 0 })
      return {
        gateway,
        fetch: (path, init) => fetch(`${url}${path}`, init),
        [Symbol.asyncDispose]: () => gateway.close(1000),
      }
    },
  },
  {
    name: 'web',
    async serve(options) {
      const gateway = createGateway(options)
      const [site] = gateway.sites
      if (site === undefined) throw new Error('expected a site')
      return {
        gateway,
        fetch: (path, init) => site.fetch(new Request(`http://localhost${path}`, init)),
        [Symbol.asyncDispose]: () => gateway.close(1000),
      }
    },
  },
]

export interface TestAppOptions {
  readonly every?: `${number}ms`
  readonly fresh?: `${number}ms`
  readonly routes?: Routes
}

/** An app with a feed of one key a call, one of many, one of a key in the query, and a stream, on a counting upstream. */
export function testApp(
  upstream: CountingUpstream,
  { every = '25ms', fresh = '10ms', routes }: TestAppOptions = {},
): App {
  const source = http({ name: 'source', url: upstream.url, pastUsage: 'none', timeout: '2s' })
  const item = feed('/items/:id', {
    name: 'item',
    key: { id: z.string().regex(/^[a-z0-9é]{1,40}$/, 'expected lower-case letters and digits') },
    value: z.unknown(),
    from: source,
    load: {
      one: async ({ id }, call) => {
        const found = await call.get(`/items/${encodeURIComponent(id)}`)
        return found === null ? absent('no such item', { for: '50ms' }) : found
      },
    },
    fresh,
    stale: '10s',
    live: { every, linger: '50ms' },
  })
  const book = feed('/books/:venue', {
    name: 'book',
    key: { venue: z.string(), depth: z.coerce.number().int().min(1).max(100).default(10) },
    value: z.object({ depth: z.number() }),
    from: source,
    load: { one: async ({ depth }) => ({ depth }) },
    fresh: '1m',
  })
  const quote = feed('/quotes/:id', {
    name: 'quote',
    key: { id: z.string() },
    value: z.unknown(),
    from: source,
    load: {
      within: '20ms',
      many: async (keys, call) => {
        const found = await call.get('/quotes', { query: { ids: keys.map(({ id }) => id).join() } })
        return keys.map(({ id }) => ({ id, found }))
      },
    },
    fresh: '1m',
  })
  const items = stream('/stream', {
    of: item,
    choose: { query: 'ids', part: 'id' },
    always: [{ id: 'always' }],
    maxKeys: 5,
  })
  return defineApp({ name: 'test', use: [item, quote, book, items], ...(routes === undefined ? {} : { routes }) })
}
