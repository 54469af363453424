import {
  absent,
  createGateway,
  defineApp,
  feed,
  type Gateway,
  type GatewayOptions,
  http,
  log,
  type Routes,
} from '@weir/gateway'
import { expect } from 'vitest'
import { z } from 'zod'
import { countingUpstream, json } from '../../gateway/test/counting-upstream.ts'
import { type Client, type ClientOptions, createClient, type Entry } from '../src/index.ts'

/** A gateway with a changing feed, a feed with a default in its key, and a log that routes publish to. */
export interface World extends AsyncDisposable {
  readonly url: string
  readonly gateway: Gateway
  /** Publishes numbers to `/trades/SOL`. */
  sell(from: number, to?: number): Promise<void>
  /** How often this was requested from the upstream. */
  asked(path: string): number
  /** If false, the upstream fails from now on. */
  well: boolean
}

export async function serveWorld(
  options: Partial<GatewayOptions> & {
    readonly port?: number
    readonly events?: number
    readonly files?: Readonly<Record<string, string>>
    /** Origins that `cors` allows. */
    readonly origins?: string
  } = {},
): Promise<World> {
  const { port = 0, events = 100, files = {}, origins: cors = '', ...given } = options
  const upstream = await countingUpstream()
  let count = 0
  let well = true
  upstream.answer = (path, response) => {
    if (!well) return json(response, {}, 500)
    if (path === '/items/none') return json(response, null)
    json(response, { path, count: path.includes('still') ? 0 : count++, rows: path.includes('big') ? ROWS : [] })
  }
  const source = http({ name: 'source', url: upstream.url, pastUsage: 'none', timeout: '2s' })
  const item = feed('/items/:id', {
    name: 'item',
    key: { id: z.string() },
    value: z.unknown(),
    from: source,
    load: {
      one: async ({ id }, call) => {
        const found = await call.get(`/items/${encodeURIComponent(id)}`)
        return found === null ? absent('no such item', { for: '50ms' }) : found
      },
    },
    fresh: '100ms',
    stale: '10s',
    live: { every: '20ms', linger: '1s' },
  })
  const book = feed('/books/:venue', {
    name: 'book',
    key: { venue: z.string(), depth: z.coerce.number().int().default(10) },
    value: z.object({ depth: z.number() }),
    from: source,
    load: { one: async ({ depth }) => ({ depth }) },
    fresh: '1m',
  })
  const trades = log('/trades/:mint', {
    name: 'trades',
    key: { mint: z.string() },
    event: z.object({ n: z.number() }),
    history: { events, age: '1h' },
    mayPublish: ({ key }) => key.mint !== 'CLOSED',
  })
  // An empty page, and the scripts of the test.
  const routes: Routes = {
    fetch(request) {
      const { pathname } = new URL(request.url)
      if (pathname === '/blank')
        return new Response('<!doctype html><title>blank</title>', { headers: { 'content-type': 'text/html' } })
      const script = files[pathname]
      const headers = { 'content-type': 'text/javascript' }
      return script === undefined ? new Response('', { status: 404 }) : new Response(script, { headers })
    },
  }
  const app = defineApp({ name: 'world', use: [item, book, trades], routes, cors })
  const gateway = createGateway({ apps: [app], ...given })
  const [url = ''] = await gateway.listen({ port })
  return {
    url,
    gateway,
    asked: (path) => upstream.asked.get(path) ?? 0,
    get well() {
      return well
    },
    set well(is) {
      well = is
    },
    async sell(from, to = from) {
      for (let n = from; n <= to; n += 1) await trades.publish({ mint: 'SOL' }, { n })
    },
    async [Symbol.asyncDispose]() {
      await gateway.close(1000)
      await upstream[Symbol.asyncDispose]()
    },
  }
}

const ROWS = Array.from({ length: 200 }, (_, row) => ({ row, name: `row ${row}` }))

/** A client that is closed with the test. */
export function client(options: ClientOptions): Client & Disposable {
  const made = createClient(options)
  return Object.assign(made, { [Symbol.dispose]: made.close })
}

/** What a subscriber receives of a topic, and whether versions only rose. */
export function listen(to: Client, topic: string) {
  const heard: Entry[] = []
  const stop = to.subscribe(topic, (entry) => heard.push(entry))
  const versions = () => heard.flatMap(({ version }) => (version === undefined ? [] : [version]))
  return {
    heard,
    stop,
    versions,
    get last() {
      return heard.at(-1)
    },
  }
}

/** Waits until the upstream gets no more calls for one key while it gets calls for another. */
export async function isLeft(world: World, path: string, other: string): Promise<void> {
  await expect
    .poll(async () => {
      const before = world.asked(path)
      const after = world.asked(other) + 10
      await expect.poll(() => world.asked(other)).toBeGreaterThan(after)
      return world.asked(path) - before
    })
    .toBe(0)
}

/** Versions in their expected order. */
export function rising(versions: readonly string[]): string[] {
  const parts = versions.map((version) => version.split(':').map(Number))
  return parts.toSorted(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d).map((pair) => pair.join(':'))
}
