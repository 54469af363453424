import { type Jupiter, type JupiterOptions, startJupiter } from '@weir/simulators'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { EventStream, type StreamEvent } from '../../../scripts/event-stream.ts'
import { weir } from '../../../scripts/running.ts'
import type { Served } from '../../../scripts/served.ts'
import { POPULAR } from '../popular.ts'
import { KEY, reaching, serve } from './served.ts'

const SOL = 'So11111111111111111111111111111111111111112'
const JUP = 'JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN'
const BONK = 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263'
/** A valid but unknown mint. */
const UNKNOWN = 'Nobody1111111111111111111111111111111111111'

let jupiter: Jupiter
let served: Served

beforeAll(async () => {
  jupiter = await simulator()
  served = await serve(reaching(jupiter))
})

afterAll(async () => {
  await served?.[Symbol.asyncDispose]()
  await jupiter?.close()
})

function simulator(options: JupiterOptions = {}): Promise<Jupiter> {
  return startJupiter({ strict: true, keys: { [KEY]: 'weir' }, ...options })
}

function get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return fetch(`${served.url}${path}`, { headers })
}

async function openStream(url: string): Promise<EventStream> {
  return new EventStream(await fetch(url, { headers: { accept: 'text/event-stream' } }))
}

/** Reads snapshots until they cover `count` different topics. */
async function topicsOf(events: EventStream, count: number): Promise<ReadonlySet<string>> {
  const topics = new Set<string>()
  while (topics.size < count) topics.add(topicOf(await events.until('snapshot')))
  return topics
}

function topicOf({ data }: StreamEvent): string {
  return String(data.topic)
}

function pricedMints(count: number): readonly string[] {
  const priced = jupiter.market.tokens.filter(({ price }) => price !== undefined)
  return priced.slice(0, count).map(({ mint }) => mint)
}

describe('a price', () => {
  test('is the value of the upstream as JSON, with version, tag and freshness', async () => {
    const answer = await get(`/prices/${SOL}`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.headers.get('cache-control')).toBe('public, max-age=1, stale-while-revalidate=2, stale-if-error=30')
    expect(answer.headers.get('weir-version')).toMatch(/^\d+:\d+$/)
    expect(answer.headers.get('etag')).toMatch(/^"[^"]+"$/)
    expect(await answer.json()).toEqual({
      usdPrice: expect.closeTo(147, -2),
      priceChange24h: expect.any(Number),
      liquidity: expect.any(Number),
      decimals: 9,
    })
  })

  test('of an unknown mint is absent: 404 with Retry-After', async () => {
    const answer = await get(`/prices/${UNKNOWN}`)
    expect(answer.status).toBe(404)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.headers.get('retry-after')).toBe('10')
    expect(await answer.json()).toMatchObject({ code: 'absent', detail: `/prices/${UNKNOWN}: not priced`, retry: true })
  })

  test('of an invalid mint is refused: 400 with the expected form', async () => {
    const before = jupiter.stats().asked
    const answer = await get('/prices/SOL')
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      code: 'bad_key',
      detail: 'mint: expected a mint address in base58, got "SOL"',
      retry: false,
    })
    expect(jupiter.stats().asked).toBe(before)
  })

  test('a thousand simultaneous readers cost no more calls than one', async () => {
    await get(`/prices/${BONK}`)
    const before = jupiter.stats().asked
    const answers = await Promise.all(Array.from({ length: 1000 }, () => get(`/prices/${BONK}`)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    // A value is fresh for a second, and a thousand responses may take two.
    expect(jupiter.stats().asked - before).toBeLessThanOrEqual(3)
  })
})

test('in GraphQL, a subscription receives the price and then every change', async () => {
  const query = `subscription { price(mint: "${SOL}") { usdPrice decimals } }`
  const answer = await fetch(`${served.url}/graphql?${new URLSearchParams({ query })}`, {
    headers: { accept: 'text/event-stream' },
  })
  const values = new Set<unknown>()
  await using events = new EventStream(answer)
  while (values.size < 2) {
    const { data } = await events.until('next')
    // On a busy machine, extensions may mark the value as stale for a moment.
    expect(data.data).toEqual({ price: { usdPrice: expect.closeTo(147, -2), decimals: 9 } })
    values.add(JSON.stringify(data.data))
  }
})

describe('the stream', () => {
  test('with ?mints= carries only these tokens', async () => {
    await using others = await openStream(`${served.url}/api/stream?mints=${BONK}`)
    await others.until('snapshot')
    await using events = await openStream(`${served.url}/api/stream?mints=${SOL},${JUP}`)
    expect(events.response.headers.get('content-type')).toBe('text/event-stream')
    expect(events.response.headers.get('cache-control')).toContain('no-store')
    expect((await events.until('hello')).data).toMatchObject({ heartbeat: 10_000, level: 'normal' })
    const topics: string[] = []
    while (topics.length < 4) topics.push(topicOf(await events.until('snapshot')))
    expect(new Set(topics)).toEqual(new Set([`/prices/${SOL}`, `/prices/${JUP}`]))
  })

  test('without ?mints= carries popular and watched tokens', async () => {
    const seldom = 'MEW1gQWJ3nEXg2qgERiKu7FAFj79PHvQVREQUzScPP5'
    await using watcher = await openStream(`${served.url}/api/stream?mints=${seldom}`)
    await watcher.until('snapshot')
    await using events = await openStream(`${served.url}/api/stream`)
    const wanted = [...POPULAR.map(({ mint }) => mint), seldom].map((mint) => `/prices/${mint}`)
    const seen = new Set<string>()
    while (!wanted.every((topic) => seen.has(topic))) seen.add(topicOf(await events.until('snapshot')))
  })

  test('delivers changes, with increasing versions', async () => {
    await using events = await openStream(`${served.url}/api/stream?mints=${SOL}`)
    const sequences: number[] = []
    while (sequences.length < 3) {
      const { id, data } = await events.until('snapshot')
      expect(id).toBe(data.version)
      sequences.push(Number(id?.split(':')[1]))
    }
    expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b))
  })

  test('reports a token without a price, and continues', async () => {
    await using events = await openStream(`${served.url}/api/stream?mints=${UNKNOWN},${SOL}`)
    expect((await events.until('absent')).data).toMatchObject({ topic: `/prices/${UNKNOWN}`, reason: 'not priced' })
    await events.until('snapshot')
  })

  test('reports an invalid mint, and continues with the others', async () => {
    await using events = await openStream(`${served.url}/api/stream?mints=SOL,${JUP}`)
    const received = new Map<string, StreamEvent>()
    while (received.size < 2) {
      const event = await events.next()
      if (event?.event === 'error' || event?.event === 'snapshot') received.set(topicOf(event), event)
    }
    expect(received.get('/prices/SOL')?.data).toMatchObject({ problem: { code: 'bad_key' } })
    expect(received.get(`/prices/${JUP}`)?.event).toBe('snapshot')
  })

  test('refuses more than 500 mints', async () => {
    const many = await get(`/api/stream?mints=${Array.from({ length: 501 }, (_, i) => `x${i}`).join()}`)
    expect(many.status).toBe(400)
    expect(await many.json()).toMatchObject({ detail: 'mints: expected at most 500 keys, got 501' })
  })

  test.each([
    [50, 1],
    [120, 3],
  ])('%i tokens are %i calls a round', async (tokens, calls) => {
    await using own = await simulator()
    await using app = await serve(reaching(own))
    await using events = await openStream(`${app.url}/api/stream?mints=${pricedMints(tokens).join()}`)
    await topicsOf(events, tokens)
    expect(await rounds(own, 3)).toEqual(Array(3).fill(calls))
    expect(own.stats().refused).toBe(0)
    expect(Object.keys(own.stats().byPath)).toEqual(['GET /price/v3'])
  })
})

/** The number of calls in each of the next rounds. Calls less than half a second apart belong to one round. */
async function rounds(jupiter: Jupiter, count: number): Promise<readonly number[]> {
  const counts: number[] = []
  let asked = jupiter.stats().asked
  let moved = performance.now()
  await vi.waitFor(
    () => {
      const now = performance.now()
      const more = jupiter.stats().asked - asked
      asked += more
      if (more > 0) {
        if (now - moved > 500) counts.push(more)
        // Calls of a round that started earlier do not count.
        else if (counts.length > 0) counts.push((counts.pop() ?? 0) + more)
        moved = now
      }
      if (counts.length <= count) throw new Error(`expected ${count} whole rounds, got ${counts}`)
    },
    { timeout: 15_000, interval: 10 },
  )
  return counts.slice(0, count)
}

describe('tokens', () => {
  test('are found by mint', async () => {
    const answer = await get(`/tokens/${JUP}`)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({
      mint: JUP,
      symbol: 'JUP',
      name: 'Jupiter',
      decimals: 6,
      verified: true,
    })
    expect((await get(`/tokens/${UNKNOWN}`)).status).toBe(404)
  })

  test('are found by a word, in any case', async () => {
    const answer = await get('/tokens/search?query=%20BoNk')
    expect(answer.status).toBe(200)
    expect((await answer.json())[0]).toMatchObject({ mint: BONK, symbol: 'BONK' })
    const before = jupiter.stats().asked
    expect((await get('/tokens/search?query=bonk')).status).toBe(200)
    expect(jupiter.stats().asked).toBe(before)
  })

  test('an empty search is refused, and a search without matches is an empty list', async () => {
    expect((await get('/tokens/search')).status).toBe(400)
    const blank = await get('/tokens/search?query=%20')
    expect(await blank.json()).toMatchObject({
      code: 'bad_key',
      detail: 'query: expected a symbol, a name or a mint, got " "',
    })
    expect(await (await get('/tokens/search?query=zzzzzzzz')).json()).toEqual([])
  })
})

test('the first reader after a quiet period gets a current price', async () => {
  const [, mint = ''] = pricedMints(2)
  await get(`/prices/${mint}`)
  await new Promise((resolve) => setTimeout(resolve, 3500))
  const { headers } = await get(`/prices/${mint}`)
  expect([Number(headers.get('age')) <= 1, headers.get('weir-stale')]).toEqual([true, null])
})

describe("Jupiter's own API", () => {
  test('serves its prices with one call a second, cacheable for a minute by a CDN', async () => {
    const path = `/api/jupiter/price/v3?ids=${SOL},${UNKNOWN}`
    const before = jupiter.stats().asked
    const answers = await Promise.all(Array.from({ length: 100 }, () => get(path)))
    // A response is fresh for a second, and a hundred may take two.
    expect(jupiter.stats().asked - before).toBeLessThanOrEqual(3)
    const [answer] = answers
    expect(answer?.status).toBe(200)
    expect(answer?.headers.get('cdn-cache-control')).toBe('max-age=60')
    expect(answer?.headers.get('cache-status')).toMatch(/^weir; /)
    expect([...(answer?.headers.keys() ?? [])].filter((name) => /ratelimit/.test(name))).toEqual([])
    expect(await answer?.json()).toEqual({ [SOL]: expect.objectContaining({ usdPrice: expect.closeTo(147, -2) }) })
  })

  test('serves its quotes, at most a second old and not cacheable by a CDN, and passes errors on', async () => {
    const quote = await get(`/api/jupiter/swap/v1/quote?inputMint=${SOL}&outputMint=${JUP}&amount=1000000000`)
    expect(quote.status).toBe(200)
    expect(quote.headers.get('cdn-cache-control')).toBe(null)
    expect(quote.headers.get('cache-control')).toContain('max-age=1')
    expect(await quote.json()).toMatchObject({ inputMint: SOL, outputMint: JUP, inAmount: '1000000000' })
    const refused = await get(`/api/jupiter/swap/v1/quote?inputMint=${SOL}&outputMint=${SOL}&amount=1`)
    expect([refused.status, refused.headers.get('cdn-cache-control')]).toEqual([400, null])
    expect(await refused.json()).toMatchObject({ errorCode: 'CIRCULAR_ARBITRAGE_IS_DISABLED' })
  })

  test('serves no other paths', async () => {
    expect((await get('/api/jupiter/tokens/v2/recent')).status).toBe(404)
    expect((await fetch(`${served.url}/api/jupiter/swap/v1/quote`, { method: 'POST', body: '{}' })).status).toBe(405)
  })
})

describe('the gateway', () => {
  test('health names status, connections, queue, cacheSize and timestamp', async () => {
    await using events = await openStream(`${served.url}/api/stream?mints=${SOL}`)
    await events.until('snapshot')
    const answer = await get('/api/health')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const health: Readonly<Record<string, unknown>> = await answer.json()
    expect(health).toMatchObject({ status: 'healthy', queue: expect.any(Number) })
    expect(health.connections).toBeGreaterThanOrEqual(1)
    expect(health.cacheSize).toBeGreaterThanOrEqual(1)
    expect(Math.abs(Date.now() - Number(health.timestamp))).toBeLessThan(5000)
  })

  test('health and metrics contain the figures that an operator compares with targets', async () => {
    // The second read is a cache hit, whether the token is watched or not.
    for (let reads = 0; reads < 2; reads++) await get(`/prices/${SOL}`)
    const health: Readonly<Record<string, unknown>> = await (await get('/api/health')).json()
    expect(health).toMatchObject({
      responseTime: { p50: expect.any(Number), p95: expect.any(Number), p99: expect.any(Number) },
      errorRate: 0,
      level: 'normal',
    })
    expect(health.cacheHitRate).toBeGreaterThan(0)
    const metrics = await (await get('/metrics')).text()
    expect(metrics).toMatch(/^weir_request_seconds_bucket\{le="0.2",app="prices",route="\/prices\/:mint"\} \d+$/m)
    expect(metrics).toMatch(/^weir_requests_total\{app="prices",route="\/prices\/:mint",status="200"\} \d+$/m)
    expect(metrics).toMatch(/^weir_cache_reads_total\{feed="price",outcome="hit"\} \d+$/m)
    expect(metrics).toMatch(/^weir_budget_queue\{upstream="jupiter"\} \d+$/m)
    expect(metrics).toMatch(/^weir_connections \d+$/m)
  })

  test('a search is cacheable for a minute by a CDN, and for half a minute by browsers', async () => {
    const { headers } = await get('/tokens/search?query=orca')
    expect(headers.get('cache-control')).toContain('max-age=30')
    expect(headers.get('cdn-cache-control')).toContain('max-age=60')
  })

  test('popular prices are loaded before the first request', async () => {
    await using own = await simulator()
    await using app = await serve(reaching(own))
    await vi.waitFor(
      () => expect(own.stats().byPath).toEqual({ 'GET /price/v3': expect.objectContaining({ served: 1 }) }),
      5000,
    )
    await vi.waitFor(
      async () =>
        expect(await (await fetch(`${app.url}/api/health`)).json()).toMatchObject({ cacheSize: POPULAR.length }),
      5000,
    )
  })

  test('the operator switches levels at run time: strained suspends non-essential feeds, and prices continue', async () => {
    await using own = await simulator()
    await using app = await serve(reaching(own), ['--level', 'saver'])
    await using events = await openStream(`${app.url}/api/stream?mints=${SOL}`)
    expect((await events.until('hello')).data).toMatchObject({ level: 'saver' })
    app.signal('SIGUSR2')
    expect((await events.until('level')).data).toMatchObject({ level: 'strained' })
    const health = await (await fetch(`${app.url}/api/health`)).json()
    expect(health).toMatchObject({ status: 'degraded', level: 'strained' })
    expect((await fetch(`${app.url}/prices/${SOL}`)).status).toBe(200)
    const searched = await fetch(`${app.url}/tokens/search?query=bonk`)
    expect(searched.status).toBe(503)
    expect(await searched.json()).toMatchObject({ code: 'suspended', retry: true })
    app.signal('SIGUSR2')
    expect((await events.until('level')).data).toMatchObject({ level: 'normal' })
    expect((await fetch(`${app.url}/tokens/search?query=bonk`)).status).toBe(200)
  })

  test('the page is revalidated, and its assets are immutable', async () => {
    const index = await get('/', { 'accept-encoding': 'identity' })
    expect(index.status).toBe(200)
    expect(index.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(index.headers.get('cache-control')).toBe('no-cache')
    const again = await get('/', { 'if-none-match': index.headers.get('etag') ?? '', 'accept-encoding': 'identity' })
    expect(again.status).toBe(304)
    const assets = [...(await index.text()).matchAll(/(?:src|href)="\.?(\/assets\/[^"]+)"/g)].map(
      ([, path = '']) => path,
    )
    expect(assets.length).toBeGreaterThanOrEqual(2)
    for (const path of assets) {
      const asset = await get(path)
      expect(asset.status).toBe(200)
      expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
      // Node's fetch requests compression and decodes the body.
      if (/\.(js|css)$/.test(path)) expect(asset.headers.get('content-encoding')).toMatch(/^(br|gzip)$/)
    }
  })

  test('an unknown path is 404', async () => {
    const answer = await get('/nowhere')
    expect(answer.status).toBe(404)
    expect(await answer.json()).toMatchObject({ code: 'not_found', detail: 'GET /nowhere: nothing is served here' })
  })
})

describe('JUPITER_PLAN', () => {
  test('selects the limits, and reserves a tenth for other users', async () => {
    await using own = await simulator({ plan: 'developer' })
    await using app = await serve({ ...reaching(own), JUPITER_PLAN: 'developer' })
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, index) => fetch(`${app.url}/tokens/search?query=word${index}`)),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    const { refused, mostIn1s, byPath } = own.stats()
    expect({ refused, mostIn1s, searches: byPath['GET /tokens/v2/search']?.served }).toEqual({
      refused: 0,
      mostIn1s: 9,
      searches: 24,
    })
  })

  test('keyless works without a key', async () => {
    await using own = await simulator()
    await using app = await serve({ JUPITER_URL: own.url, JUPITER_PLAN: 'keyless' })
    expect((await fetch(`${app.url}/prices/${SOL}`)).status).toBe(200)
    expect(own.stats().byOrganisation).toHaveProperty('keyless')
  })

  test('an unknown plan is refused with the list of plans, before the server starts', async () => {
    await using running = weir(['start', 'apps/prices', '--port', '0'], {
      JUPITER_URL: jupiter.url,
      JUPITER_PLAN: 'gold',
    })
    expect(await running.ended).toBe(1)
    expect(running.complained).toBe(
      'weir: apps/prices/app.ts: app "prices": JUPITER_PLAN: expected keyless, free, developer, launch, pro, got "gold"\n',
    )
  })

  test('without JUPITER_URL the error names the missing option', async () => {
    await using running = weir(['start', 'apps/prices', '--port', '0'])
    expect(await running.ended).toBe(1)
    expect(running.complained).toBe(
      'weir: apps/prices/app.ts: http "jupiter": url: expected a URL that begins with http:// or https://, got nothing\n',
    )
  })
})
