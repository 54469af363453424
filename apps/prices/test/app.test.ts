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
/** Shaped like a mint, and nobody's. */
const NOBODY = 'Nobody1111111111111111111111111111111111111'

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

/** The topics of the next snapshots, until there are so many different ones. */
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
  test('is the JSON of what the upstream says, with version, tag and freshness', async () => {
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

  test('of a mint that nobody knows is absent: 404, and when to ask again', async () => {
    const answer = await get(`/prices/${NOBODY}`)
    expect(answer.status).toBe(404)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.headers.get('retry-after')).toBe('10')
    expect(await answer.json()).toMatchObject({ code: 'absent', detail: `/prices/${NOBODY}: not priced`, retry: true })
  })

  test('of what is no mint is refused: 400, and what was expected', async () => {
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

  test('a thousand who ask at once cost no more calls than one', async () => {
    await get(`/prices/${BONK}`)
    const before = jupiter.stats().asked
    const answers = await Promise.all(Array.from({ length: 1000 }, () => get(`/prices/${BONK}`)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    // A value is fresh for a second, and a thousand answers may take two.
    expect(jupiter.stats().asked - before).toBeLessThanOrEqual(3)
  })
})

test('in GraphQL, a subscription is told the price and then every change', async () => {
  const query = `subscription { price(mint: "${SOL}") { usdPrice decimals } }`
  const answer = await fetch(`${served.url}/graphql?${new URLSearchParams({ query })}`, {
    headers: { accept: 'text/event-stream' },
  })
  const told = new Set<unknown>()
  await using events = new EventStream(answer)
  while (told.size < 2) {
    const { data } = await events.until('next')
    // On a busy machine it may be marked as stale for a moment, beside the data.
    expect(data.data).toEqual({ price: { usdPrice: expect.closeTo(147, -2), decimals: 9 } })
    told.add(JSON.stringify(data.data))
  }
})

describe('the stream', () => {
  test('with ?mints= carries these and no others', async () => {
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

  test('without it carries the popular ones and whatever anybody watches', async () => {
    const seldom = 'MEW1gQWJ3nEXg2qgERiKu7FAFj79PHvQVREQUzScPP5'
    await using watcher = await openStream(`${served.url}/api/stream?mints=${seldom}`)
    await watcher.until('snapshot')
    await using events = await openStream(`${served.url}/api/stream`)
    const wanted = [...POPULAR.map(({ mint }) => mint), seldom].map((mint) => `/prices/${mint}`)
    const seen = new Set<string>()
    while (!wanted.every((topic) => seen.has(topic))) seen.add(topicOf(await events.until('snapshot')))
  })

  test('moves, with versions that only rise', async () => {
    await using events = await openStream(`${served.url}/api/stream?mints=${SOL}`)
    const sequences: number[] = []
    while (sequences.length < 3) {
      const { id, data } = await events.until('snapshot')
      expect(id).toBe(data.version)
      sequences.push(Number(id?.split(':')[1]))
    }
    expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b))
  })

  test('says that a token has no price, and goes on', async () => {
    await using events = await openStream(`${served.url}/api/stream?mints=${NOBODY},${SOL}`)
    expect((await events.until('absent')).data).toMatchObject({ topic: `/prices/${NOBODY}`, reason: 'not priced' })
    await events.until('snapshot')
  })

  test('says what is no mint, and goes on with the others', async () => {
    await using events = await openStream(`${served.url}/api/stream?mints=SOL,${JUP}`)
    const heard = new Map<string, StreamEvent>()
    while (heard.size < 2) {
      const event = await events.next()
      if (event?.event === 'error' || event?.event === 'snapshot') heard.set(topicOf(event), event)
    }
    expect(heard.get('/prices/SOL')?.data).toMatchObject({ problem: { code: 'bad_key' } })
    expect(heard.get(`/prices/${JUP}`)?.event).toBe('snapshot')
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

/** How many calls each of the next rounds makes: calls with less than half a second between them are one round's. */
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
        // What belongs to a round that was under way when this began is not counted.
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
  test('one by its mint', async () => {
    const answer = await get(`/tokens/${JUP}`)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({
      mint: JUP,
      symbol: 'JUP',
      name: 'Jupiter',
      decimals: 6,
      verified: true,
    })
    expect((await get(`/tokens/${NOBODY}`)).status).toBe(404)
  })

  test('several by a word, in whatever case', async () => {
    const answer = await get('/tokens/search?query=%20BoNk')
    expect(answer.status).toBe(200)
    expect((await answer.json())[0]).toMatchObject({ mint: BONK, symbol: 'BONK' })
    const before = jupiter.stats().asked
    expect((await get('/tokens/search?query=bonk')).status).toBe(200)
    expect(jupiter.stats().asked).toBe(before)
  })

  test('a search for nothing is refused, one that finds nothing is an empty list', async () => {
    expect((await get('/tokens/search')).status).toBe(400)
    const blank = await get('/tokens/search?query=%20')
    expect(await blank.json()).toMatchObject({
      code: 'bad_key',
      detail: 'query: expected a symbol, a name or a mint, got " "',
    })
    expect(await (await get('/tokens/search?query=zzzzzzzz')).json()).toEqual([])
  })
})

test('the first who reads a price after a quiet time gets one of now', async () => {
  const [, mint = ''] = pricedMints(2)
  await get(`/prices/${mint}`)
  await new Promise((resolve) => setTimeout(resolve, 3500))
  const { headers } = await get(`/prices/${mint}`)
  expect([Number(headers.get('age')) <= 1, headers.get('weir-stale')]).toEqual([true, null])
})

describe("Jupiter's own API", () => {
  test('gives its prices, once for all who ask within a second, and to edges for a minute', async () => {
    const path = `/api/jupiter/price/v3?ids=${SOL},${NOBODY}`
    const before = jupiter.stats().asked
    const answers = await Promise.all(Array.from({ length: 100 }, () => get(path)))
    // An answer is fresh for a second, and a hundred may take two.
    expect(jupiter.stats().asked - before).toBeLessThanOrEqual(3)
    const [answer] = answers
    expect(answer?.status).toBe(200)
    expect(answer?.headers.get('cdn-cache-control')).toBe('max-age=60')
    expect(answer?.headers.get('cache-status')).toMatch(/^weir; /)
    expect([...(answer?.headers.keys() ?? [])].filter((name) => /ratelimit/.test(name))).toEqual([])
    expect(await answer?.json()).toEqual({ [SOL]: expect.objectContaining({ usdPrice: expect.closeTo(147, -2) }) })
  })

  test('gives its quotes, a second old at most and not to edges, and what it refuses is passed on', async () => {
    const quote = await get(`/api/jupiter/swap/v1/quote?inputMint=${SOL}&outputMint=${JUP}&amount=1000000000`)
    expect(quote.status).toBe(200)
    expect(quote.headers.get('cdn-cache-control')).toBe(null)
    expect(quote.headers.get('cache-control')).toContain('max-age=1')
    expect(await quote.json()).toMatchObject({ inputMint: SOL, outputMint: JUP, inAmount: '1000000000' })
    const refused = await get(`/api/jupiter/swap/v1/quote?inputMint=${SOL}&outputMint=${SOL}&amount=1`)
    expect([refused.status, refused.headers.get('cdn-cache-control')]).toEqual([400, null])
    expect(await refused.json()).toMatchObject({ errorCode: 'CIRCULAR_ARBITRAGE_IS_DISABLED' })
  })

  test('gives nothing else of it', async () => {
    expect((await get('/api/jupiter/tokens/v2/recent')).status).toBe(404)
    expect((await fetch(`${served.url}/api/jupiter/swap/v1/quote`, { method: 'POST', body: '{}' })).status).toBe(405)
  })
})

describe('the gateway around it', () => {
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

  test('health and metrics have what an operator holds against his targets', async () => {
    // A second one is served from memory, whether somebody watches the token or not.
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

  test('edges may keep a search for a minute, and browsers for half of it', async () => {
    const { headers } = await get('/tokens/search?query=orca')
    expect(headers.get('cache-control')).toContain('max-age=30')
    expect(headers.get('cdn-cache-control')).toContain('max-age=60')
  })

  test('popular prices are there before anybody asks for them', async () => {
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

  test('strained, what is not essential rests and prices go on; the operator presses and lets go while it runs', async () => {
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

  test('the page revalidates, and what it is made of never changes', async () => {
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
      // Node's fetch asks for compression, and has undone it.
      if (/\.(js|css)$/.test(path)) expect(asset.headers.get('content-encoding')).toMatch(/^(br|gzip)$/)
    }
  })

  test('an address where nothing is says so', async () => {
    const answer = await get('/nowhere')
    expect(answer.status).toBe(404)
    expect(await answer.json()).toMatchObject({ code: 'not_found', detail: 'GET /nowhere: nothing is served here' })
  })
})

describe('JUPITER_PLAN', () => {
  test('chooses the limits, a tenth of which is left to others', async () => {
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

  test('keyless goes without a key', async () => {
    await using own = await simulator()
    await using app = await serve({ JUPITER_URL: own.url, JUPITER_PLAN: 'keyless' })
    expect((await fetch(`${app.url}/prices/${SOL}`)).status).toBe(200)
    expect(own.stats().byOrganisation).toHaveProperty('keyless')
  })

  test('an unknown one is refused with those there are, before anything is served', async () => {
    await using running = weir(['start', 'apps/prices', '--port', '0'], {
      JUPITER_URL: jupiter.url,
      JUPITER_PLAN: 'gold',
    })
    expect(await running.ended).toBe(1)
    expect(running.complained).toBe(
      'weir: apps/prices/app.ts: app "prices": JUPITER_PLAN: expected keyless, free, developer, launch, pro, got "gold"\n',
    )
  })

  test('without JUPITER_URL the error says what is missing', async () => {
    await using running = weir(['start', 'apps/prices', '--port', '0'])
    expect(await running.ended).toBe(1)
    expect(running.complained).toBe(
      'weir: apps/prices/app.ts: http "jupiter": url: expected a URL that begins with http:// or https://, got nothing\n',
    )
  })
})
