import { describe, expect, test } from 'vitest'
import { type Asked, ask, JUP, ManualClock, SOL, USDC } from '../test-client.ts'
import { type JupiterOptions, startJupiter } from './server.ts'

const KEY = 'jup_one'
const PRICE = `/price/v3?ids=${SOL}`

/** At once, on a clock of its own. */
async function start(options: JupiterOptions = {}) {
  const clock = new ManualClock()
  const jupiter = await startJupiter({ latency: 0, jitter: 0, clock, ...options })
  return {
    clock,
    jupiter,
    get: (path: string, key?: string) => ask(jupiter.url + path, key),
    post: (path: string, body: unknown, key?: string) =>
      ask(jupiter.url + path, key, { method: 'POST', body: JSON.stringify(body) }),
    [Symbol.asyncDispose]: () => jupiter.close(),
  }
}

/** So many of the same, a hundred at a time; how many got each status. */
async function burst(count: number, one: () => Promise<Asked>): Promise<Record<string, number>> {
  const statuses: Record<string, number> = {}
  for (let left = count; left > 0; left -= 100) {
    for (const { status } of await Promise.all(Array.from({ length: Math.min(100, left) }, one))) {
      statuses[status] = (statuses[status] ?? 0) + 1
    }
  }
  return statuses
}

describe('limits', () => {
  test.each([
    [{ plan: 'launch' }, KEY, 3_000, 60_000],
    [{ plan: 'developer' }, KEY, 600, 60_000],
    [{ plan: 'free' }, KEY, 60, 60_000],
    [{ plan: 'launch', strict: true }, KEY, 50, 1_000],
    [{ plan: 'pro', strict: true }, KEY, 150, 1_000],
    [{ plan: 'launch' }, undefined, 30, 60_000],
    [{ plan: 'launch', strict: true }, undefined, 1, 2_000],
    [{ plan: 'keyless' }, KEY, 30, 60_000],
  ] as const)('%j with key %s: %d in any %d ms', async (options, key, calls, span) => {
    await using sim = await start(options)
    expect(await burst(calls + 5, () => sim.get(PRICE, key))).toEqual({ 200: calls, 429: 5 })
    sim.clock.now = span - 1
    expect(await burst(2, () => sim.get(PRICE, key))).toEqual({ 429: 2 })
    sim.clock.now = span
    expect(await burst(calls + 1, () => sim.get(PRICE, key))).toEqual({ 200: calls, 429: 1 })
  })

  test('two keys of one organisation share its limit; another organisation has its own', async () => {
    await using sim = await start({ strict: true, keys: { a1: 'acme', a2: 'acme', b1: 'bolt' } })
    expect(await burst(30, () => sim.get(PRICE, 'a1'))).toEqual({ 200: 30 })
    expect(await burst(30, () => sim.get(PRICE, 'a2'))).toEqual({ 200: 20, 429: 10 })
    expect(await burst(50, () => sim.get(PRICE, 'b1'))).toEqual({ 200: 50 })
    const { byOrganisation } = sim.jupiter.stats()
    expect(byOrganisation.acme).toEqual({ asked: 60, served: 50, refused: 10, faulted: 0, mostIn1s: 60, mostIn60s: 60 })
    expect(byOrganisation.bolt?.mostIn1s).toBe(50)
  })

  test('a list of keys is one organisation', async () => {
    await using sim = await start({ strict: true, keys: ['a', 'b'] })
    expect(await burst(50, () => sim.get(PRICE, 'a'))).toEqual({ 200: 50 })
    expect((await sim.get(PRICE, 'b')).status).toBe(429)
  })

  test('one bucket for all endpoints but execute, which has 100 in any second of its own', async () => {
    await using sim = await start({ strict: true })
    await burst(25, () => sim.get(PRICE, KEY))
    await burst(25, () => sim.get('/tokens/v2/recent', KEY))
    expect((await sim.get('/nowhere', KEY)).status).toBe(429)
    const execute = () => sim.post('/swap/v2/execute', { signedTransaction: 'AA==', requestId: 'x' }, KEY)
    expect(await burst(101, execute)).toEqual({ 200: 100, 429: 1 })
  })

  test('one who keeps asking while refused is served again the moment the window lets go', async () => {
    await using sim = await start({ strict: true })
    await burst(50, () => sim.get(PRICE, KEY))
    for (const at of [200, 400, 600, 800, 999]) {
      sim.clock.now = at
      expect(await burst(10, () => sim.get(PRICE, KEY))).toEqual({ 429: 10 })
    }
    sim.clock.now = 1_000
    expect((await sim.get(PRICE, KEY)).status).toBe(200)
  })
})

describe('headers', () => {
  const limitHeaders = (asked: Asked) =>
    ['remaining', 'current', 'reset'].map((name) => asked.headers.get(`x-ratelimit-${name}`))

  test('200 and 429 say the limit: what is left, below zero when over, and the second at which there is a place', async () => {
    await using sim = await start({ strict: true })
    sim.clock.now = 300
    expect(limitHeaders(await sim.get(PRICE, KEY))).toEqual(['49', '1', '1800000002'])
    await burst(49, () => sim.get(PRICE, KEY))
    expect(limitHeaders(await sim.get(PRICE, KEY))).toEqual(['-1', '51', '1800000002'])
    expect(limitHeaders(await sim.get(PRICE, KEY))).toEqual(['-2', '52', '1800000002'])
  })

  test('no other answer does', async () => {
    await using sim = await start()
    const wrong = await sim.get(PRICE, 'wrong')
    const bad = await sim.get('/price/v3?ids=x', KEY)
    const unknown = await sim.get('/nowhere', KEY)
    sim.jupiter.fault({ kind: '500', count: 1 })
    const failed = await sim.get(PRICE, KEY)
    sim.jupiter.fault({ kind: '403', count: 1 })
    const forbidden = await sim.get(PRICE, KEY)
    const all = [wrong, bad, unknown, failed, forbidden]
    expect(all.map((asked) => asked.status)).toEqual([401, 400, 404, 500, 403])
    for (const asked of all) expect(limitHeaders(asked)).toEqual([null, null, null])
  })

  test('every answer has a request id of its own, JSON as its type, and no Retry-After', async () => {
    await using sim = await start({ plan: 'free', strict: true })
    const all = [await sim.get(PRICE, KEY), await sim.get(PRICE, KEY), await sim.get(PRICE, 'x'), await sim.get('/no')]
    expect(all.map((asked) => asked.status)).toEqual([200, 429, 401, 404])
    expect(new Set(all.map((asked) => asked.headers.get('x-api-gateway-request-id'))).size).toBe(4)
    for (const { headers } of all) {
      expect(headers.get('x-api-gateway-request-id')).toMatch(/^[0-9a-f]{32}$/)
      expect(headers.get('content-type')).toBe('application/json')
      expect(headers.get('retry-after')).toBeNull()
    }
  })
})

describe('refusals, word for word', () => {
  test('a wrong key', async () => {
    await using sim = await start({ keys: ['right'] })
    const { status, text } = await sim.get(PRICE, 'jup_wrong')
    expect([status, text]).toEqual([401, '{"code":401,"message":"Unauthorized"}'])
    expect((await sim.get(PRICE, 'right')).status).toBe(200)
  })

  test('over the limit', async () => {
    await using sim = await start({ plan: 'free', strict: true })
    await sim.get(PRICE, KEY)
    expect((await sim.get(PRICE, KEY)).text).toBe('{"code":429,"message":"[API Gateway] Too many requests"}')
  })

  test.each([
    ['403', 403, '{"code":403,"message":"API key does not have access to this endpoint"}'],
    ['403-firewall', 403, '{"code":403,"message":"Request blocked by firewall"}'],
    ['429', 429, '{"code":429,"message":"[API Gateway] Too many requests"}'],
    ['429-firewall', 429, '{"code":429,"message":"Too many requests"}'],
    ['500', 500, '{"code":500,"message":"Internal Server Error"}'],
    ['502', 502, '{"code":502,"message":"Bad Gateway"}'],
    ['503', 503, '{"code":503,"message":"Service Unavailable"}'],
  ] as const)('on demand: %s', async (kind, status, body) => {
    await using sim = await start()
    sim.jupiter.fault({ kind, count: 1 })
    const asked = await sim.get(PRICE, KEY)
    expect([asked.status, asked.text]).toEqual([status, body])
    expect((await sim.get(PRICE, KEY)).status).toBe(200)
    const { served, refused, faulted } = sim.jupiter.stats()
    expect({ served, refused, faulted }).toEqual({ served: 1, refused: 0, faulted: 1 })
  })

  test('a burst of 429 on demand names the second at which it is over, and takes no places', async () => {
    await using sim = await start({ strict: true })
    sim.jupiter.fault({ kind: '429', for: 3_500 })
    const { headers } = await sim.get(PRICE, KEY)
    expect(headers.get('x-ratelimit-reset')).toBe('1800000004')
    expect(Number(headers.get('x-ratelimit-remaining'))).toBeLessThanOrEqual(0)
    sim.clock.now = 3_500
    expect(await burst(51, () => sim.get(PRICE, KEY))).toEqual({ 200: 50, 429: 1 })
  })
})

describe('prices', () => {
  test('v3 has no wrapper, and leaves out what is not priced or not known', async () => {
    await using sim = await start()
    const unpriced = sim.jupiter.market.tokens.find((token) => token.price === undefined)?.mint
    const unknown = '1'.repeat(32)
    const { status, text } = await sim.get(`/price/v3?ids=${SOL},${unpriced},${unknown},${USDC},${SOL}`, KEY)
    expect(status).toBe(200)
    expect(Object.keys(JSON.parse(text))).toEqual([SOL, USDC])
    expect(JSON.parse(text)[SOL]).toEqual({
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      liquidity: 621_679_197.67,
      usdPrice: sim.jupiter.market.price(SOL, 0)?.usd,
      blockId: 348_004_023,
      decimals: 9,
      priceChange24h: expect.any(Number),
    })
    expect((await sim.get(`/price/v3?ids=${unknown}`, KEY)).text).toBe('{}')
    expect((await sim.get(`/tokens/v2/search?query=${unpriced}`, KEY)).text).toContain(`"id":"${unpriced}"`)
  })

  test('two runs with one seed say the same at the same time', async () => {
    await using first = await start({ seed: 9 })
    await using second = await start({ seed: 9 })
    await using other = await start({ seed: 10 })
    const texts: string[] = []
    for (const sim of [first, second, other]) {
      sim.clock.now += 12_345
      texts.push((await sim.get(`/price/v3?ids=${SOL},${JUP}`, KEY)).text)
    }
    expect(texts[1]).toBe(texts[0])
    expect(texts[2]).not.toBe(texts[0])
  })

  test('50 ids are served; 51 are refused, or cut to 50', async () => {
    await using refusing = await start()
    await using truncating = await start({ tooManyIds: 'truncate' })
    const priced = refusing.jupiter.market.tokens.filter((token) => token.price !== undefined)
    const ids = (count: number) => `/price/v3?ids=${priced.slice(0, count).map((token) => token.mint)}`
    expect(Object.keys(JSON.parse((await refusing.get(ids(50), KEY)).text))).toHaveLength(50)
    const { status, text } = await refusing.get(ids(51), KEY)
    expect([status, text]).toEqual([400, '{"error":"Too many ids: at most 50, got 51"}'])
    expect(Object.keys(JSON.parse((await truncating.get(ids(51), KEY)).text))).toHaveLength(50)
  })

  test.each(['', '?ids=', '?ids=nonsense', `?ids=${SOL},`, `?ids=${SOL},0OIl`])('refuses %j', async (query) => {
    await using sim = await start()
    const { status, text } = await sim.get(`/price/v3${query}`, KEY)
    expect([status, Object.keys(JSON.parse(text))]).toEqual([400, ['error']])
  })

  test('v2 has a wrapper and prices as text', async () => {
    await using sim = await start()
    const { text } = await sim.get(`/price/v2?ids=${SOL}`, KEY)
    const price = sim.jupiter.market.price(SOL, 0)?.usd.toFixed(9)
    expect(JSON.parse(text)).toEqual({ data: { [SOL]: { id: SOL, type: 'derivedPrice', price } }, timeTaken: 0.005 })
  })
})

describe('tokens', () => {
  test('search by mints gives each that is known', async () => {
    await using sim = await start()
    const [jup] = JSON.parse((await sim.get(`/tokens/v2/search?query=${JUP},${'1'.repeat(32)}`, KEY)).text)
    expect(jup).toEqual({
      id: JUP,
      name: 'Jupiter',
      symbol: 'JUP',
      icon: 'https://static.jup.ag/jup/icon.png',
      decimals: 6,
      tokenProgram: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA',
      circSupply: expect.any(Number),
      holderCount: expect.any(Number),
      audit: { mintAuthorityDisabled: true },
      organicScore: expect.any(Number),
      organicScoreLabel: 'high',
      isVerified: true,
      tags: ['verified'],
      usdPrice: sim.jupiter.market.price(JUP, 0)?.usd,
      priceBlockId: expect.any(Number),
      liquidity: 2_992_387.89,
      stats24h: expect.objectContaining({ numBuys: expect.any(Number) }),
      updatedAt: '2027-01-15T08:00:00.000Z',
    })
  })

  test('search by word gives 20 at most, the exact symbol first', async () => {
    await using sim = await start()
    const find = async (word: string): Promise<{ symbol: string; name: string }[]> =>
      JSON.parse((await sim.get(`/tokens/v2/search?query=${word}`, KEY)).text)
    expect((await find('jup'))[0]?.symbol).toBe('JUP')
    const otters = await find('OTTER')
    expect(otters).toHaveLength(16)
    for (const { name } of otters) expect(name).toContain('Otter')
    expect(await find('o')).toHaveLength(20)
    expect(await find('no such thing')).toEqual([])
  })

  test('search takes 100 mints and no more, and needs a query', async () => {
    await using sim = await start()
    const mints = sim.jupiter.market.tokens.map((token) => token.mint)
    const all = await sim.get(`/tokens/v2/search?query=${mints.slice(0, 100)}`, KEY)
    expect(JSON.parse(all.text)).toHaveLength(100)
    const over = await sim.get(`/tokens/v2/search?query=${mints.slice(0, 101)}`, KEY)
    expect([over.status, over.text]).toEqual([400, '{"error":"Too many mints: at most 100, got 101"}'])
    expect((await sim.get('/tokens/v2/search', KEY)).status).toBe(400)
  })

  test('a flagged token says so, and only a flagged one', async () => {
    await using sim = await start()
    const flagged = sim.jupiter.market.tokens.find((token) => token.flagged)?.mint
    const [bad, good] = JSON.parse((await sim.get(`/tokens/v2/search?query=${flagged},${SOL}`, KEY)).text)
    expect([bad.audit.isSus, 'isSus' in good.audit, 'usdPrice' in bad]).toEqual([true, false, false])
  })

  test.each(['verified', 'lst', 'stocks'])('tag %s gives the whole list', async (tag) => {
    await using sim = await start()
    const found: { tags: string[] }[] = JSON.parse((await sim.get(`/tokens/v2/tag?query=${tag}`, KEY)).text)
    expect(found.length).toBeGreaterThan(3)
    for (const { tags } of found) expect(tags).toContain(tag)
  })

  test('an unknown tag is refused', async () => {
    await using sim = await start()
    expect((await sim.get('/tokens/v2/tag?query=constructor', KEY)).status).toBe(400)
  })

  test('rankings of each kind and interval, as long as asked', async () => {
    await using sim = await start()
    for (const category of ['toporganicscore', 'toptraded', 'toptrending']) {
      for (const interval of ['5m', '1h', '6h', '24h']) {
        const { text } = await sim.get(`/tokens/v2/${category}/${interval}?limit=7`, KEY)
        expect(JSON.parse(text)).toHaveLength(7)
      }
    }
    const best: { organicScore: number }[] = JSON.parse((await sim.get('/tokens/v2/toporganicscore/1h', KEY)).text)
    const scores = best.map((token) => token.organicScore)
    expect(scores).toEqual(scores.toSorted((a, b) => b - a))
    expect(JSON.parse((await sim.get('/tokens/v2/recent', KEY)).text)).toHaveLength(30)
    expect((await sim.get('/tokens/v2/toptraded/2h', KEY)).status).toBe(404)
    for (const limit of ['0', '101', 'x', '']) {
      expect((await sim.get(`/tokens/v2/toptraded/1h?limit=${limit}`, KEY)).status).toBe(400)
    }
  })
})

describe('swaps', () => {
  const swap = (input: string, output: string, amount: string, more = '') =>
    `?inputMint=${input}&outputMint=${output}&amount=${amount}${more}`

  test('a quote follows the prices', async () => {
    await using sim = await start()
    const { status, text } = await sim.get(`/swap/v1/quote${swap(SOL, USDC, '100000000')}`, KEY)
    expect(status).toBe(200)
    const quote = JSON.parse(text)
    const price = (mint: string) => sim.jupiter.market.price(mint, 0)?.usd ?? 0
    expect(Number(quote.outAmount)).toBeCloseTo(((0.1 * price(SOL)) / price(USDC)) * 1e6, -1)
    expect(quote).toEqual({
      inputMint: SOL,
      inAmount: '100000000',
      outputMint: USDC,
      outAmount: expect.stringMatching(/^\d+$/),
      otherAmountThreshold: String((BigInt(quote.outAmount) * 9_950n) / 10_000n),
      swapMode: 'ExactIn',
      slippageBps: 50,
      platformFee: null,
      priceImpactPct: '0',
      routePlan: [
        {
          swapInfo: {
            ammKey: expect.any(String),
            label: 'Meteora DLMM',
            inputMint: SOL,
            outputMint: USDC,
            inAmount: '100000000',
            outAmount: quote.outAmount,
          },
          percent: 100,
        },
      ],
      contextSlot: 348_004_023,
      timeTaken: expect.any(Number),
    })
  })

  test('a large trade moves the price', async () => {
    await using sim = await start()
    const { text } = await sim.get(`/swap/v1/quote${swap(SOL, JUP, '1000000000000')}`, KEY)
    expect(Number(JSON.parse(text).priceImpactPct)).toBeGreaterThan(0.01)
  })

  test('each reason for no quote has its code', async () => {
    await using sim = await start()
    const { tokens } = sim.jupiter.market
    const flagged = tokens.find((token) => token.flagged)?.mint ?? ''
    const untraded = tokens.find((token) => token.price === undefined && !token.flagged && token.liquidity)?.mint ?? ''
    const poolless = tokens.find((token) => token.price !== undefined && token.liquidity === undefined)?.mint ?? ''
    const cases = [
      [SOL, SOL, '1000', 'CIRCULAR_ARBITRAGE_IS_DISABLED', 'Circular arbitrage is disabled'],
      [SOL, flagged, '1000', 'TOKEN_NOT_TRADABLE', 'The token is not tradable'],
      ['1'.repeat(32), SOL, '1000', 'TOKEN_NOT_TRADABLE', 'The token is not tradable'],
      [SOL, untraded, '1000', 'COULD_NOT_FIND_ANY_ROUTE', 'Could not find any route'],
      [SOL, poolless, '1000', 'MARKET_NOT_FOUND', 'Market not found'],
      [SOL, USDC, '1', 'NO_ROUTES_FOUND', 'No routes found'],
    ] as const
    for (const [input, output, amount, errorCode, error] of cases) {
      const { status, text } = await sim.get(`/swap/v1/quote${swap(input, output, amount)}`, KEY)
      expect([status, JSON.parse(text)]).toEqual([400, { error, errorCode }])
    }
  })

  test.each([
    swap('x', USDC, '1'),
    swap(SOL, 'x', '1'),
    swap(SOL, USDC, '1.5'),
    swap(SOL, USDC, '1000', '&slippageBps=10001'),
  ])('refuses %s', async (query) => {
    await using sim = await start()
    expect((await sim.get(`/swap/v1/quote${query}`, KEY)).status).toBe(400)
    const order = await sim.get(`/swap/v2/order${query}`, KEY)
    expect(order.status).toBe(400)
    expect(JSON.parse(order.text)).toEqual({ requestId: expect.any(String), error: 'Failed to get quotes' })
  })

  test('an order has a transaction only with a taker, and an empty one when it cannot be built', async () => {
    await using sim = await start()
    const order = async (more: string) =>
      JSON.parse((await sim.get(`/swap/v2/order${swap(SOL, USDC, '100000000', more)}`, KEY)).text)
    expect(await order('')).toMatchObject({
      mode: 'manual',
      router: 'metis',
      transaction: null,
      requestId: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      priceImpact: 0,
      feeBps: 0,
      totalTime: 15,
      lastValidBlockHeight: '348004173',
    })
    expect((await order(`&taker=${JUP}`)).transaction).toMatch(/^[A-Za-z0-9+/]+=*$/)
    expect(await order(`&taker=${'1'.repeat(32)}`)).toMatchObject({ transaction: '', errorCode: 1 })
  })

  test('an order is executed once, whoever asks how often; an unknown one never', async () => {
    await using sim = await start()
    const order = JSON.parse((await sim.get(`/swap/v2/order${swap(SOL, USDC, '5000000', `&taker=${JUP}`)}`, KEY)).text)
    const execute = async (signedTransaction: unknown, requestId: unknown) => {
      const { status, text } = await sim.post('/swap/v2/execute', { signedTransaction, requestId }, KEY)
      return { http: status, ...JSON.parse(text) }
    }
    const done = await execute(order.transaction, order.requestId)
    expect(done).toEqual({ http: 200, status: 'Success', signature: expect.any(String), code: 0 })
    expect(done.signature.length).toBeGreaterThan(80)
    expect(await execute(order.transaction, order.requestId)).toEqual(done)
    expect(await execute(order.transaction, 'unknown')).toMatchObject({ status: 'Failed', code: -1 })
    expect(await execute('not base64!', order.requestId)).toMatchObject({ status: 'Failed', code: -2 })
    expect((await execute(5, order.requestId)).http).toBe(400)
  })
})

test('a path that is not there is 404 in JSON, and so is a method', async () => {
  await using sim = await start()
  const { status, text } = await sim.get('/price/v4', KEY)
  expect([status, text]).toEqual([404, '{"code":404,"message":"Not Found"}'])
  expect((await sim.post('/price/v3', {}, KEY)).status).toBe(404)
  expect(sim.jupiter.stats().byPath.other?.asked).toBe(2)
})
