import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { request } from '../../test/request.ts'
import { type HttpCall, type HttpOptions, http } from './http.ts'
import type { Outgoing } from './upstream.ts'

const PLAIN = { name: 'jupiter', url: 'https://api.example.com/v1' } as const

describe('an HTTP upstream', () => {
  test('has its defaults', () => {
    expect(http(PLAIN)).toMatchObject({
      kind: 'upstream',
      name: 'jupiter',
      settings: {
        keys: [],
        limits: [],
        pastUsage: 'unknown',
        concurrency: 10,
        timeout: 10_000,
        stall: 2000,
        maxResponse: 16 * 1024 ** 2,
      },
    })
  })

  test('reads what an answer says of the limits: status and headers, codes of APIs, and over these what is its own', () => {
    const answer = { status: 429, headers: { 'retry-after': '7', 'x-ratelimit-remaining': '3' }, body: Buffer.alloc(0) }
    const remaining = { calls: 3 }
    expect(http(PLAIN).rateLimits?.(answer, 0)).toMatchObject({ pause: 7000, remaining, exhausted: false })
    const spent = { ...answer, body: Buffer.from('{"code":"insufficient_quota"}') }
    expect(http(PLAIN).rateLimits?.(spent, 0)).toMatchObject({ remaining, exhausted: true })
    const own = http({
      ...PLAIN,
      rateLimitSignal: ({ headers }) => ({ remaining: { cost: Number(headers['x-credits']) } }),
    })
    expect(own.rateLimits?.({ ...spent, headers: { 'x-credits': '40' } }, 0)).toMatchObject({
      remaining: { cost: 40 },
      exhausted: true,
    })
  })

  test('leaves the reserve of each limit to others', () => {
    const limits = [
      { calls: 50, per: '1s' },
      { calls: 1000, per: '1m', by: 'key' },
    ] as const
    expect(http({ ...PLAIN, limits, reserve: 5 }).settings.limits).toEqual([
      { limit: 45, window: 1000, by: 'account', counts: 'calls' },
      { limit: 995, window: 60_000, by: 'key', counts: 'calls' },
    ])
  })

  test.each([
    ['no address', { url: undefined }, 'url'],
    ['an address without its scheme', { url: 'api.example.com' }, 'url'],
    ['no name', { name: '' }, 'name'],
    ['a signal that is no function', { rateLimitSignal: 429 }, 'rateLimitSignal'],
    ['an unknown option', { timeOut: '1s' }, 'timeOut'],
    ['limits that are no list', { limits: { calls: 1, per: '1s' } }, 'limits'],
    ['a limit of neither calls nor cost', { limits: [{ per: '1s' }] }, 'limits[0]'],
    ['a limit of both', { limits: [{ calls: 1, cost: 1, per: '1s' }] }, 'limits[0]'],
    ['an address with a query', { url: 'http://127.0.0.1/?a=1' }, 'url'],
    ['an address with a user, which nobody would send', { url: 'http://user:word@127.0.0.1/' }, 'url'],
    ['a limit of nothing', { limits: [{ calls: 0, per: '1s' }] }, 'calls'],
    ['a limit without its window', { limits: [{ calls: 1 }] }, 'per'],
    ['a limit by something else', { limits: [{ calls: 1, per: '1s', by: 'ip' }] }, 'limits[0].by'],
    ['a reserve of the whole limit', { limits: [{ calls: 5, per: '1s' }], reserve: 5 }, 'reserve'],
    ['a past that is neither', { pastUsage: 'clean' }, 'pastUsage'],
    ['no connections', { concurrency: 0 }, 'concurrency'],
    ['a header that is no text', { headers: { 'x-a': 1 } }, 'headers.x-a'],
    ['a key in two places', { auth: { header: 'a', query: 'b' } }, 'auth'],
    ['a key nowhere', { auth: {} }, 'auth'],
  ])('%s is refused', (_, given, key) => {
    const options = { ...PLAIN, ...given } as HttpOptions
    expect(() => http(options)).toThrow(expect.objectContaining({ name: 'ConfigError', key }))
  })

  test.each([
    ['a bearer token by default', undefined, { headers: { authorization: 'Bearer K' }, path: '/a?b=1' }],
    ['a header', { header: 'X-API-Key' }, { headers: { 'x-api-key': 'K' }, path: '/a?b=1' }],
    ['a header with its prefix', { header: 'auth', prefix: 'Key ' }, { headers: { auth: 'Key K' }, path: '/a?b=1' }],
    ['a query parameter', { query: 'apikey' }, { headers: {}, path: '/a?b=1&apikey=K' }],
  ])('puts its key where the upstream wants it: %s', (_, auth, expected) => {
    const { authorize } = http({ ...PLAIN, ...(auth === undefined ? {} : { auth }) })
    expect(authorize(request({ path: '/a?b=1', apiKey: 'K' }))).toMatchObject(expected)
  })

  test('encodes a key in a query, and puts none where none was chosen', () => {
    const { authorize } = http({ ...PLAIN, auth: { query: 'k' } })
    expect(authorize(request({ path: '/a', apiKey: 'a&b=c' })).path).toBe('/a?k=a%26b%3Dc')
    const without = request({ path: '/a' })
    expect(authorize(without)).toEqual(without)
  })
})

describe('a call to an HTTP upstream', () => {
  function calling(answer: { status?: number; type?: string; body?: string } = {}, options: Partial<HttpOptions> = {}) {
    const sent: Outgoing[] = []
    const { status = 200, type = 'application/json', body = '{"price":1}' } = answer
    const call: HttpCall = http({ ...PLAIN, ...options }).client({
      signal: new AbortController().signal,
      caller: {},
      now: () => 0,
      send: async (request) => {
        sent.push(request)
        return { status, headers: type === '' ? {} : { 'content-type': type }, body: Buffer.from(body) }
      },
    })
    return { call, sent }
  }

  test('gets JSON from path and query; what is undefined is left out', async () => {
    const { call, sent } = calling()
    expect(await call.get('/price', { query: { ids: 'a,b', n: 1, live: true, none: undefined } })).toEqual({ price: 1 })
    expect(sent).toMatchObject([{ method: 'GET', path: '/price?ids=a%2Cb&n=1&live=true', body: undefined }])
  })

  test('posts JSON', async () => {
    const { call, sent } = calling()
    await call.post('/rpc', { body: { id: 1 } })
    expect(sent).toMatchObject([
      { method: 'POST', path: '/rpc', body: '{"id":1}', headers: { 'content-type': 'application/json' } },
    ])
  })

  test('has the headers of the upstream, and its own before them', async () => {
    const { authorize } = http({ ...PLAIN, headers: { 'X-App': 'weir', 'X-Kind': 'fixed' } })
    const { call, sent } = calling()
    await call.get('/', { headers: { 'x-kind': 'own' } })
    const { headers } = authorize(request({ headers: sent[0]?.headers ?? {} }))
    expect(headers).toEqual({ accept: 'application/json', 'x-app': 'weir', 'x-kind': 'own' })
  })

  test('says what it costs, what is counted apart, and whether it may be sent twice', async () => {
    const { call, sent } = calling()
    const costOf = () => 3
    await call.get('/', { cost: 5, costOf, lane: 'swap' })
    await call.post('/', { repeatable: true })
    await call.get('/')
    expect(sent).toMatchObject([
      { method: 'GET', cost: 5, costOf, lane: 'swap' },
      { method: 'POST', repeatable: true },
      { method: 'GET' },
    ])
    expect(Object.keys(sent[2] ?? {}).sort()).toEqual(['body', 'check', 'headers', 'method', 'path'])
  })

  test('gives what the schema makes of the answer', async () => {
    const answer = z.object({ price: z.number().transform((price) => price * 2) })
    expect(await calling().call.get('/', { answer })).toEqual({ price: 2 })
  })

  test.each([
    ['a schema that refuses', { body: '{"price":"x"}' }, 'upstream_invalid', /^jupiter: GET \/price: price: /],
    ['an answer that is no JSON', { body: '{"price":' }, 'upstream_invalid', /expected JSON, got "\{\\"price\\":"/],
    ['a page', { type: 'text/html' }, 'upstream_invalid', /expected JSON, got "text\/html"/],
    ['a client error', { status: 404 }, 'upstream_failed', /answered 404/],
  ])('fails for %s, and names the call without its query', async (_, answer, code, message) => {
    const { call } = calling(answer)
    const failed = call.get('/price?secret=1', { answer: z.object({ price: z.number() }) })
    const error = await failed.catch((error: unknown) => error)
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
    expect(error).not.toMatchObject({ message: expect.stringContaining('secret') })
  })

  test.each(['application/json; charset=utf-8', 'application/problem+json', 'APPLICATION/JSON'])(
    '%s is JSON',
    async (type) => {
      expect(await calling({ type }).call.get('/')).toEqual({ price: 1 })
    },
  )

  test('tells the status that the upstream answered', async () => {
    const failed = calling({ status: 404 })
      .call.get('/')
      .catch((error: unknown) => error)
    expect(await failed).toMatchObject({ upstreamStatus: 404 })
  })
})
