import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import { type Clock, systemClock } from '../src/clock.ts'
import {
  createGateway,
  defineApp,
  type HttpOptions,
  http,
  type ProxyOptions,
  proxy,
  type WeirEvent,
} from '../src/index.ts'
import { call } from './call.ts'
import { RUNTIMES, type Runtime, type Served } from './served.ts'

type Respond = (request: IncomingMessage, response: ServerResponse) => unknown

/** An origin that remembers what it was asked. */
interface Origin extends AsyncDisposable {
  readonly url: string
  readonly asked: IncomingMessage[]
  respond: Respond
}

async function origin(respond: Respond): Promise<Origin> {
  const asked: IncomingMessage[] = []
  const server = createServer((request, response) => {
    asked.push(request)
    // Its clock is not the one that tests put forward.
    response.sendDate = false
    opened.respond(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const opened: Origin = {
    url: `http://127.0.0.1:${port}`,
    asked,
    respond,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return opened
}

/** The machine's clock, that a test can put forward. */
interface Ahead extends Clock {
  pass(milliseconds: number): void
}

function ahead(): Ahead {
  let by = 0
  return {
    ...systemClock,
    now: () => systemClock.now() + by,
    monotonic: () => systemClock.monotonic() + by,
    pass(milliseconds) {
      by += milliseconds
    },
  }
}

interface Opened extends AsyncDisposable {
  readonly origin: Origin
  readonly clock: Ahead
  readonly events: WeirEvent[]
  fetch: Served['fetch']
}

type Given = Partial<ProxyOptions> & { readonly upstream?: Partial<HttpOptions>; readonly base?: string }

/** A proxy at /up/* before an origin. */
async function open(
  { serve }: Runtime,
  respond: Respond,
  { upstream, base = '', ...given }: Given = {},
): Promise<Opened> {
  const source = await origin(respond)
  const clock = ahead()
  const events: WeirEvent[] = []
  const to = http({ name: 'source', url: source.url + base, pastUsage: 'none', retries: 0, ...upstream })
  const app = defineApp({ name: 'test', use: [proxy('/up/*', { to, name: 'up', ...given })] })
  const served = await serve({ apps: [app], clock, observe: (event) => events.push(event) })
  return {
    origin: source,
    clock,
    events,
    fetch: served.fetch,
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]()
      await source[Symbol.asyncDispose]()
    },
  }
}

/** Answers with these headers, and a body that counts. */
function counting(headers: Record<string, string | string[]> = {}, status = 200): Respond {
  let count = 0
  return (_, response) => {
    count += 1
    response.writeHead(status, headers).end(`body ${count}`)
  }
}

async function bodies(answers: readonly Response[]): Promise<readonly string[]> {
  return Promise.all(answers.map((answer) => answer.text()))
}

function many(site: Opened, path: string, count = 20): Promise<readonly Response[]> {
  return Promise.all(Array.from({ length: count }, () => site.fetch(path)))
}

/** Holds answers back until so many clients wait. */
function gate(): { readonly open: () => void; readonly opened: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { open: resolve, opened: promise }
}

describe.each(RUNTIMES)('a proxy on runtime $name', (runtime) => {
  test.each([-3000, -3_600_000, 3000, 3_600_000])(
    'its own lifetime counts by its own clock, whatever that of the upstream says: %d ms',
    async (skew) => {
      const dated: Respond = (_, response) =>
        response.writeHead(200, { date: new Date(Date.now() + skew).toUTCString(), age: '0' }).end('body')
      await using site = await open(runtime, dated, { fresh: '2s', stale: '0ms' })
      for (let round = 0; round < 5; round++) {
        await site.fetch('/up/a')
        site.clock.pass(300)
      }
      expect(site.origin.asked).toHaveLength(1)
      site.clock.pass(1000)
      await site.fetch('/up/a')
      expect(site.origin.asked).toHaveLength(2)
    },
  )

  test('cookies of the upstream are dropped where that is declared, and its answers kept', async () => {
    const respond = counting({ 'cache-control': 'max-age=60', 'set-cookie': ['__cf_bm=a; Path=/', 'b=c'] })
    await using site = await open(runtime, respond, { dropCookies: true })
    const answers = await many(site, '/up/a')
    expect(new Set(await bodies(answers))).toEqual(new Set(['body 1']))
    expect(answers.flatMap(({ headers }) => headers.getSetCookie())).toEqual([])
    expect(site.origin.asked).toHaveLength(1)
  })

  describe('passes on', () => {
    test('path, query and status, with the base path of the upstream before them', async () => {
      const echo: Respond = ({ method, url }, response) =>
        response.writeHead(203, { 'x-a': 'b' }).end(`${method} ${url}`)
      await using site = await open(runtime, echo, { base: '/v1' })
      const answer = await site.fetch('/up/price/v3?ids=a,b&x=%20')
      expect([answer.status, answer.headers.get('x-a'), await answer.text()]).toEqual([
        203,
        'b',
        'GET /v1/price/v3?ids=a,b&x=%20',
      ])
    })

    test('no header of the client that is not named, and the key of the upstream', async () => {
      const options: Given = { forward: ['X-Tenant'], upstream: { keys: 'SECRET', auth: { header: 'x-api-key' } } }
      await using site = await open(runtime, counting(), options)
      const headers = {
        cookie: 'a=b',
        authorization: 'Bearer C',
        'x-tenant': 't',
        'x-api-key': 'theirs',
        accept: 'a/b',
      }
      await site.fetch('/up/', { headers })
      expect(site.origin.asked[0]?.headers).toMatchObject({
        'x-tenant': 't',
        'x-api-key': 'SECRET',
        accept: 'a/b',
        via: '1.1 weir',
      })
      expect(site.origin.asked[0]?.headers).not.toHaveProperty('cookie')
      expect(site.origin.asked[0]?.headers).not.toHaveProperty('authorization')
    })

    test('no header of the connection to the client, nor what speaks of our key or our limits', async () => {
      const headers = { connection: 'x-hop', 'x-hop': '1', 'keep-alive': 'timeout=9', 'proxy-authenticate': 'Basic' }
      const account = { 'x-ratelimit-remaining': '3', location: '/next?key=SECRET', 'x-end': '2' }
      await using site = await open(runtime, counting({ ...headers, ...account }), { upstream: { keys: 'SECRET' } })
      const answer = await site.fetch('/up/', { redirect: 'manual' })
      const names = [...answer.headers.keys()]
      expect(names).toContain('x-end')
      for (const name of ['x-hop', 'proxy-authenticate', 'x-ratelimit-remaining']) expect(names).not.toContain(name)
      expect(answer.headers.get('location')).not.toContain('SECRET')
    })

    test('a redirect to where it leads through the proxy', async () => {
      const respond: Respond = ({ headers }, response) =>
        response.writeHead(302, { location: `http://${headers.host}/v1/there?a=1#b` }).end()
      await using site = await open(runtime, respond, { base: '/v1' })
      const answer = await site.fetch('/up/here', { redirect: 'manual' })
      expect([answer.status, answer.headers.get('location')]).toEqual([302, '/up/there?a=1#b'])
    })

    test.each([500, 503, 404, 418])('the answer %i as it came', async (status) => {
      await using site = await open(runtime, counting({}, status))
      const answer = await site.fetch('/up/')
      expect([answer.status, await answer.text()]).toEqual([status, 'body 1'])
    })

    test('nothing of what an upstream says of our key', async () => {
      await using site = await open(runtime, counting({}, 403), { upstream: { keys: 'SECRET' } })
      const answer = await site.fetch('/up/')
      expect([answer.status, (await answer.json()).code]).toEqual([502, 'upstream_refused'])
    })

    test('a body and what it is, where its method is allowed; a larger one is refused', async () => {
      const echo: Respond = async (request, response) => {
        const chunks: Buffer[] = []
        for await (const chunk of request) chunks.push(chunk)
        response.end(`${request.method} ${request.headers['content-type']} ${Buffer.concat(chunks)}`)
      }
      await using site = await open(runtime, echo, { methods: ['post'], maxBody: '10b' })
      const post = (body: string) => site.fetch('/up/', { method: 'POST', body, headers: { 'content-type': 'a/b' } })
      expect(await (await post('whole')).text()).toBe('POST a/b whole')
      expect((await post('larger than ten')).status).toBe(413)
      expect(site.origin.asked).toHaveLength(1)
    })

    test("with its client's address, where that is named", async () => {
      await using site = await open(runtime, counting(), { forward: ['x-forwarded-for', 'forwarded'] })
      await site.fetch('/up/', { headers: { 'x-forwarded-for': '1.2.3.4' } })
      const { headers } = site.origin.asked[0] ?? {}
      expect(headers?.['x-forwarded-for']).toMatch(/^1\.2\.3\.4, /)
      expect(headers?.forwarded).toMatch(/^for=/)
    })
  })

  describe('refuses', () => {
    test('methods that are not allowed, and says which are', async () => {
      await using site = await open(runtime, counting())
      const answer = await site.fetch('/up/a', { method: 'POST', body: 'b' })
      expect([answer.status, answer.headers.get('allow'), (await answer.json()).code]).toEqual([
        405,
        'GET, HEAD',
        'method_not_allowed',
      ])
      expect(site.origin.asked).toHaveLength(0)
    })

    test('paths that are not allowed', async () => {
      await using site = await open(runtime, counting(), { paths: ['/price/v3', '/tokens/:id', '/swap/*'] })
      const statuses = async (paths: readonly string[]) =>
        Promise.all(paths.map(async (path) => [path, (await site.fetch(`/up${path}`)).status]))
      const passed = ['/price/v3?ids=a', '/tokens/a', '/swap/v1/quote']
      const refused = ['/', '/price', '/price/v3/x', '/tokens/a/b', '/other']
      expect(await statuses(passed)).toEqual(passed.map((path) => [path, 200]))
      expect(await statuses(refused)).toEqual(refused.map((path) => [path, 404]))
      expect(site.origin.asked).toHaveLength(passed.length)
    })

    test.each(['a%2f..%2fx', 'a%5cx', '%252e%252e/x', '%2%65%2%65/x', '..;/x', 'a%00'])(
      'what could lead above the base path: %s',
      async (path) => {
        await using site = await open(runtime, counting(), { base: '/v1' })
        const { status } = await site.fetch(`/up/${path}`)
        expect(status).toBe(404)
        expect(site.origin.asked).toHaveLength(0)
      },
    )
  })

  describe('keeps', () => {
    test('a fresh answer: the same for all, with its age, until it is stale', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'max-age=60' }))
      const first = await site.fetch('/up/a')
      expect(first.headers.get('cache-status')).toBe('weir; fwd=uri-miss; fwd-status=200; stored')
      expect(first.headers.get('age')).toBeNull()
      site.clock.pass(10_000)
      const second = await site.fetch('/up/a')
      expect(second.headers.get('cache-status')).toMatch(/^weir; hit; ttl=(49|50)$/)
      expect(second.headers.get('age')).toBe('10')
      expect(second.headers.get('date')).toBe(first.headers.get('date'))
      expect(await bodies([first, second])).toEqual(['body 1', 'body 1'])
      site.clock.pass(51_000)
      expect(await (await site.fetch('/up/a')).text()).toBe('body 2')
      expect(site.events.filter(({ type }) => type === 'cache.read')).toMatchObject([
        { feed: 'up', outcome: 'miss' },
        { feed: 'up', outcome: 'hit' },
        { feed: 'up', outcome: 'refresh' },
      ])
    })

    test.each([
      ['no-store', { 'cache-control': 'max-age=60, no-store' }],
      ['private', { 'cache-control': 'max-age=60, private' }],
      ['one that sets a cookie', { 'cache-control': 'max-age=60', 'set-cookie': 'a=b' }],
      ['one that varies by all', { 'cache-control': 'max-age=60', vary: '*' }],
      ['one that says nothing', {}],
    ])('nothing that is not for others: %s', async (_, headers) => {
      await using site = await open(runtime, counting(headers))
      expect(await bodies([await site.fetch('/up/a'), await site.fetch('/up/a')])).toEqual(['body 1', 'body 2'])
    })

    test('by `fresh` what says nothing, and nothing that is private', async () => {
      await using site = await open(runtime, counting(), { fresh: '5s', cdn: '1m' })
      await site.fetch('/up/a')
      const hit = await site.fetch('/up/a')
      expect([await hit.text(), hit.headers.get('cache-control'), hit.headers.get('cdn-cache-control')]).toEqual([
        'body 1',
        'public, max-age=5',
        'max-age=60',
      ])
      site.origin.respond = counting({ 'cache-control': 'private' })
      const own = [await site.fetch('/up/b'), await site.fetch('/up/b')]
      expect(await bodies(own)).toEqual(['body 1', 'body 2'])
      expect(own.map(({ headers }) => headers.get('cdn-cache-control'))).toEqual([null, null])
    })

    test('a variant for each value of what the answer varies by', async () => {
      let count = 0
      const respond: Respond = ({ headers }, response) => {
        count += 1
        response
          .writeHead(200, { 'cache-control': 'max-age=60', vary: 'Accept-Language' })
          .end(`${headers['accept-language']} ${count}`)
      }
      await using site = await open(runtime, respond)
      const ask = async (language: string) =>
        (await site.fetch('/up/', { headers: { 'accept-language': language } })).text()
      expect([await ask('en'), await ask('de'), await ask('en'), await ask('de')]).toEqual([
        'en 1',
        'de 2',
        'en 1',
        'de 2',
      ])
    })

    test('what is compressed from those who can not read it, also when it does not say that it varies by that', async () => {
      const respond: Respond = ({ headers }, response) => {
        const packed = headers['accept-encoding'] === 'gzip'
        response.writeHead(200, { 'cache-control': 'max-age=60', ...(packed ? { 'content-encoding': 'gzip' } : {}) })
        response.end(packed ? gzipSync('whole') : 'whole')
      }
      await using site = await open(runtime, respond)
      await site.fetch('/up/a', { headers: { 'accept-encoding': 'gzip' } })
      const plain = await site.fetch('/up/a', { headers: { 'accept-encoding': 'identity' } })
      expect([plain.headers.get('content-encoding'), await plain.text()]).toEqual([null, 'whole'])
    })

    test('nothing below itself either: what is private is asked for as if it had never been answered', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'private', etag: '"a"' }))
      await site.fetch('/up/a')
      await site.fetch('/up/a')
      expect(site.origin.asked.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, undefined])
    })

    test('what a client has already is 304, a range is its bytes, and HEAD has no body', async () => {
      const headers = { 'cache-control': 'max-age=60', etag: '"a"', 'content-type': 'text/plain' }
      await using site = await open(runtime, counting(headers))
      await site.fetch('/up/a')
      const has = await site.fetch('/up/a', { headers: { 'if-none-match': '"x", W/"a"' } })
      expect([has.status, await has.text(), has.headers.get('etag'), has.headers.get('content-type')]).toEqual([
        304,
        '',
        '"a"',
        null,
      ])
      const part = await site.fetch('/up/a', { headers: { range: 'bytes=5-' } })
      expect([part.status, await part.text(), part.headers.get('content-range')]).toEqual([206, '1', 'bytes 5-5/6'])
      const none = await site.fetch('/up/a', { headers: { range: 'bytes=6-' } })
      expect([none.status, none.headers.get('content-range')]).toEqual([416, 'bytes */6'])
      const other = await site.fetch('/up/a', { headers: { range: 'bytes=5-', 'if-range': '"b"' } })
      expect([other.status, await other.text()]).toEqual([200, 'body 1'])
      const head = await site.fetch('/up/a', { method: 'HEAD' })
      expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, '"a"', ''])
      expect(site.origin.asked).toHaveLength(1)
    })

    test('nothing of a part, and nothing of what came in part', async () => {
      const partial: Respond = (_, response) =>
        response.writeHead(206, { 'cache-control': 'max-age=60', 'content-range': 'bytes 0-1/9' }).end('ab')
      await using site = await open(runtime, partial)
      const ranged = { headers: { range: 'bytes=0-1' } }
      expect((await site.fetch('/up/a', ranged)).status).toBe(206)
      expect((await site.fetch('/up/a', ranged)).status).toBe(206)
      expect(site.origin.asked.map(({ headers }) => headers.range)).toEqual(['bytes=0-1', 'bytes=0-1'])
      site.origin.respond = (_, response) => {
        response
          .writeHead(200, { 'cache-control': 'max-age=60', 'content-length': '100' })
          .write('cut', () => response.destroy())
      }
      expect((await site.fetch('/up/b')).status).toBe(502)
      site.origin.respond = counting({ 'cache-control': 'max-age=60' })
      expect(await (await site.fetch('/up/b')).text()).toBe('body 1')
    })

    test('nothing that failed in truth', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'max-age=60' }), {
        failed: ({ body }) => body.toString() === 'body 1',
      })
      const answers = [await site.fetch('/up/a'), await site.fetch('/up/a'), await site.fetch('/up/a')]
      expect(await bodies(answers)).toEqual(['body 1', 'body 2', 'body 2'])
    })
  })

  describe('asks whether what is stale still holds', () => {
    test('and serves it on when it does, with the fields of the confirmation', async () => {
      const headers = { 'cache-control': 'max-age=1', etag: '"a"', 'x-a': '1', 'x-b': '1' }
      await using site = await open(runtime, counting(headers))
      await site.fetch('/up/a')
      site.clock.pass(5000)
      site.origin.respond = (_, response) =>
        response.writeHead(304, { 'cache-control': 'max-age=60', 'x-a': '2' }).end()
      const confirmed = await site.fetch('/up/a')
      expect(site.origin.asked[1]?.headers['if-none-match']).toBe('"a"')
      expect([
        confirmed.status,
        await confirmed.text(),
        confirmed.headers.get('x-a'),
        confirmed.headers.get('x-b'),
      ]).toEqual([200, 'body 1', '2', '1'])
      expect(confirmed.headers.get('cache-status')).toBe('weir; fwd=stale; fwd-status=304; stored')
      expect((await site.fetch('/up/a')).headers.get('cache-status')).toMatch(/hit/)
      expect(site.origin.asked).toHaveLength(2)
    })

    test('each time, when it is no-cache', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'no-cache, max-age=60', etag: '"a"' }))
      await site.fetch('/up/a')
      site.origin.respond = (_, response) => response.writeHead(304, { etag: '"a"' }).end()
      expect(await bodies([await site.fetch('/up/a'), await site.fetch('/up/a')])).toEqual(['body 1', 'body 1'])
      expect(site.origin.asked).toHaveLength(3)
    })

    test('behind the back of its reader within stale-while-revalidate', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'max-age=1, stale-while-revalidate=60' }))
      await site.fetch('/up/a')
      site.clock.pass(5000)
      expect(await (await site.fetch('/up/a')).text()).toBe('body 1')
      await vi.waitFor(async () => expect(await (await site.fetch('/up/a')).text()).toBe('body 2'))
      expect(site.origin.asked).toHaveLength(2)
    })

    test('and serves it stale while the upstream fails, for a while', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'max-age=1' }), { stale: '10s' })
      await site.fetch('/up/a')
      site.origin.respond = counting({}, 503)
      site.clock.pass(5000)
      const stale = await site.fetch('/up/a')
      expect([stale.status, await stale.text(), stale.headers.get('cache-status')]).toEqual([
        200,
        'body 1',
        'weir; fwd=stale; fwd-status=503; stored',
      ])
      site.origin.respond = (request) => request.socket.destroy()
      expect([(await site.fetch('/up/a')).status, site.origin.asked.length]).toEqual([200, 3])
      site.clock.pass(7000)
      expect((await site.fetch('/up/a')).status).toBe(502)
    })

    test('and serves nothing that the upstream has taken back', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'max-age=1' }))
      await site.fetch('/up/a')
      site.origin.respond = counting({ 'cache-control': 'no-store' })
      site.clock.pass(2000)
      await site.fetch('/up/a')
      site.origin.respond = counting({}, 503)
      expect((await site.fetch('/up/a')).status).toBe(503)
    })

    test('and serves nothing stale where the upstream forbids it', async () => {
      const forbids = { 'cache-control': 'max-age=1, must-revalidate, stale-while-revalidate=60, stale-if-error=60' }
      await using site = await open(runtime, counting(forbids))
      await site.fetch('/up/a')
      site.origin.respond = counting({}, 503)
      site.clock.pass(5000)
      expect((await site.fetch('/up/a')).status).toBe(503)
    })
  })

  describe('heeds', () => {
    test('only-if-cached, and no reload unless told', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'max-age=60' }))
      const only = { headers: { 'cache-control': 'only-if-cached' } }
      const none = await site.fetch('/up/a', only)
      expect([none.status, (await none.json()).code]).toEqual([504, 'not_cached'])
      await site.fetch('/up/a')
      expect((await site.fetch('/up/a', only)).status).toBe(200)
      expect(await (await site.fetch('/up/a', { headers: { 'cache-control': 'no-cache' } })).text()).toBe('body 1')
      await using told = await open(runtime, counting({ 'cache-control': 'max-age=60' }), { reload: true })
      await told.fetch('/up/a')
      expect(await (await told.fetch('/up/a', { headers: { 'cache-control': 'no-cache' } })).text()).toBe('body 2')
    })

    test('a change: what is kept of the address, and of where the answer points, is let go', async () => {
      await using site = await open(runtime, counting({ 'cache-control': 'max-age=60' }), {
        methods: ['GET', 'POST'],
        base: '/v1',
      })
      const read = async () => bodies([await site.fetch('/up/a'), await site.fetch('/up/b'), await site.fetch('/up/c')])
      expect(await read()).toEqual(['body 1', 'body 2', 'body 3'])
      site.origin.respond = (_, response) => response.writeHead(400).end()
      await site.fetch('/up/a', { method: 'POST', body: 'x' })
      expect(await read()).toEqual(['body 1', 'body 2', 'body 3'])
      site.origin.respond = (_, response) => response.writeHead(201, { location: '/v1/b' }).end()
      await site.fetch('/up/a', { method: 'POST', body: 'x' })
      site.origin.respond = counting({ 'cache-control': 'max-age=60' })
      expect(await read()).toEqual(['body 1', 'body 2', 'body 3'])
      expect(site.origin.asked.map(({ url }) => url)).toEqual([
        '/v1/a',
        '/v1/b',
        '/v1/c',
        '/v1/a',
        '/v1/a',
        '/v1/a',
        '/v1/b',
      ])
    })
  })

  describe('makes one call', () => {
    test.each([
      ['fresh', { 'cache-control': 'max-age=60' }],
      ['of which nothing is said', {}],
    ])('of all who wait for an answer that is %s', async (_, headers) => {
      const { open: go, opened } = gate()
      const answer = counting(headers)
      await using site = await open(runtime, (request, response) => void opened.then(() => answer(request, response)))
      const asked = many(site, '/up/a')
      await vi.waitFor(() => expect(site.events.filter(({ type }) => type === 'flight.joined')).toHaveLength(19))
      go()
      const answers = await asked
      expect(new Set(await bodies(answers))).toEqual(new Set(['body 1']))
      expect(answers.filter(({ headers }) => /collapsed/.test(headers.get('cache-status') ?? ''))).toHaveLength(19)
      expect(site.origin.asked).toHaveLength(1)
    })

    test('of all who wait for one that fails', async () => {
      const { open: go, opened } = gate()
      await using site = await open(
        runtime,
        (_, response) => void opened.then(() => response.writeHead(503).end('away')),
      )
      const asked = many(site, '/up/a')
      await vi.waitFor(() => expect(site.events.filter(({ type }) => type === 'flight.joined')).toHaveLength(19))
      go()
      expect((await asked).map(({ status }) => status).sort()).toEqual([...Array.from({ length: 19 }, () => 502), 503])
      expect(site.origin.asked).toHaveLength(1)
    })

    test.each(['private', 'no-store'])(
      'for each of those who wait for one that is %s, and does not let them wait again',
      async (word) => {
        const { open: go, opened } = gate()
        const answer = counting({ 'cache-control': word })
        await using site = await open(runtime, (request, response) => void opened.then(() => answer(request, response)))
        const asked = many(site, '/up/a', 5)
        await vi.waitFor(() => expect(site.events.filter(({ type }) => type === 'flight.joined')).toHaveLength(4))
        go()
        expect(new Set(await bodies(await asked)).size).toBe(5)
        const joined = site.events.filter(({ type }) => type === 'flight.joined').length
        expect(new Set(await bodies(await many(site, '/up/a', 5))).size).toBe(5)
        expect(site.events.filter(({ type }) => type === 'flight.joined')).toHaveLength(joined)
      },
    )

    test('more, when what the first got is to be confirmed: that is one for all of them', async () => {
      const { open: go, opened } = gate()
      const respond: Respond = ({ headers }, response) =>
        void opened.then(() =>
          response
            .writeHead(headers['if-none-match'] === '"a"' ? 304 : 200, { 'cache-control': 'no-cache', etag: '"a"' })
            .end('a'),
        )
      await using site = await open(runtime, respond)
      const asked = many(site, '/up/a')
      await vi.waitFor(() => expect(site.events.filter(({ type }) => type === 'flight.joined')).toHaveLength(19))
      go()
      expect(new Set(await bodies(await asked))).toEqual(new Set(['a']))
      expect(site.origin.asked).toHaveLength(2)
    })
  })

  describe('streams', () => {
    test('what is larger than it keeps, for each who asks', async () => {
      const large = Buffer.alloc(300_000, 'x')
      const respond: Respond = (_, response) => response.writeHead(200, { 'cache-control': 'max-age=60' }).end(large)
      await using site = await open(runtime, respond, { maxCached: '64kb', upstream: { maxResponse: '100kb' } })
      for (const length of [undefined, String(large.length)]) {
        site.origin.respond = (_, response) =>
          response.writeHead(200, length === undefined ? {} : { 'content-length': length }).end(large)
        const answer = await site.fetch('/up/a')
        expect(Buffer.from(await answer.arrayBuffer()).equals(large)).toBe(true)
        expect(answer.headers.get('cache-status')).toBe('weir; fwd=uri-miss; fwd-status=200')
      }
      expect(site.origin.asked).toHaveLength(2)
      await vi.waitFor(() => expect(site.events.filter(({ type }) => type === 'pool.answered')).toHaveLength(2))
    })

    test('to each of those who wait, and to nobody who left', async () => {
      const { open: go, opened } = gate()
      const large = Buffer.alloc(300_000, 'x')
      const closed: boolean[] = []
      const respond: Respond = (_, response) => {
        response.on('close', () => closed.push(response.writableFinished))
        void opened.then(() => response.writeHead(200, { 'cache-control': 'max-age=60' }).end(large))
      }
      await using site = await open(runtime, respond, { maxCached: '64kb' })
      const first = new AbortController()
      const left = Promise.resolve(site.fetch('/up/a', { signal: first.signal })).catch(() => {})
      await vi.waitFor(() => expect(site.origin.asked).toHaveLength(1))
      const asked = many(site, '/up/a', 3)
      await vi.waitFor(() => expect(site.events.filter(({ type }) => type === 'flight.joined')).toHaveLength(3))
      first.abort()
      await left
      go()
      const lengths = (await Promise.all((await asked).map((answer) => answer.arrayBuffer()))).map(
        ({ byteLength }) => byteLength,
      )
      expect(lengths).toEqual([300_000, 300_000, 300_000])
      // All calls are over, the one that nobody read as well.
      await vi.waitFor(() => expect(site.events.filter(({ type }) => type === 'pool.answered')).toHaveLength(4))
    })

    test('and gives the call up when its client leaves', async () => {
      const { promise: closed, resolve } = Promise.withResolvers<void>()
      const respond: Respond = (_, response) => {
        response.on('close', resolve)
        const more = () => {
          if (!response.destroyed && response.write(Buffer.alloc(60_000))) setImmediate(more)
        }
        response.on('drain', more)
        more()
      }
      await using site = await open(runtime, respond, { maxCached: '64kb', upstream: { concurrency: 1 } })
      const answer = await site.fetch('/up/a')
      const reader = answer.body?.getReader()
      await reader?.read()
      await reader?.cancel()
      await closed
      // Its place is free again.
      site.origin.respond = counting()
      expect((await site.fetch('/up/b')).status).toBe(200)
    })
  })

  test('refuses with Retry-After what the budget has no room for, and serves what is kept', async () => {
    const limits = [{ calls: 1, per: '1m' }] as const
    await using site = await open(runtime, counting({ 'cache-control': 'max-age=60' }), {
      upstream: { limits },
      deadline: '1s',
    })
    expect((await site.fetch('/up/a')).status).toBe(200)
    const refused = await site.fetch('/up/b')
    expect([refused.status, (await refused.json()).code]).toEqual([503, 'over_budget'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await site.fetch('/up/a')).status).toBe(200)
  })
})

test.each(['/up/../x', '/up/%2e%2e/x', '/up/a/.%2E/x', '/up/./x', '/up\\..\\x', '/upper/x'])(
  'an address that no URL would have does not leave the base path either: %s',
  async (path) => {
    const [node] = RUNTIMES
    if (node === undefined) throw new Error('expected a runtime')
    await using source = await origin(counting())
    const to = http({ name: 'source', url: `${source.url}/v1`, pastUsage: 'none' })
    const gateway = createGateway({ apps: [defineApp({ name: 'test', use: [proxy('/up/*', { to })] })] })
    const [url = ''] = await gateway.listen({ port: 0 })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`)
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 404 /)
    expect(source.asked).toHaveLength(0)
    await gateway.close(0)
  },
)

test('HEAD has the length that GET would have, 204 has none', async () => {
  const [node] = RUNTIMES
  if (node === undefined) throw new Error('expected a runtime')
  await using site = await open(node, ({ method }, response) => {
    if (method === 'HEAD') response.writeHead(200, { 'content-length': '9000' }).end()
    else response.writeHead(204).end()
  })
  expect((await site.fetch('/up/a', { method: 'HEAD' })).headers.get('content-length')).toBe('9000')
  expect((await site.fetch('/up/a')).headers.get('content-length')).toBeNull()
})

test('the first of those who wait may leave: the others have the answer; when the last leaves the call ends', async () => {
  const [node] = RUNTIMES
  if (node === undefined) throw new Error('expected a runtime')
  const { open: go, opened } = gate()
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  await using site = await open(node, (request, response) => {
    if (request.url === '/b') response.on('close', end)
    else void opened.then(() => response.writeHead(200, { 'cache-control': 'max-age=9' }).end('whole'))
  })
  const first = new AbortController()
  const left = site.fetch('/up/a', { signal: first.signal }).catch((error: Error) => error.name)
  await vi.waitFor(() => expect(site.origin.asked).toHaveLength(1))
  const second = site.fetch('/up/a')
  await vi.waitFor(() => expect(site.events.some(({ type }) => type === 'flight.joined')).toBe(true))
  first.abort()
  expect(await left).toBe('AbortError')
  go()
  expect(await (await second).text()).toBe('whole')
  expect(site.origin.asked).toHaveLength(1)

  const last = new AbortController()
  const gone = site.fetch('/up/b', { signal: last.signal }).catch(() => 'gone')
  await vi.waitFor(() => expect(site.origin.asked).toHaveLength(2))
  last.abort()
  await gone
  await ended
})

test('a client that does not read holds the upstream back, not the memory', async () => {
  let written = 0
  const total = 64 * 1024 * 1024
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  const source = await origin((_, response) => {
    response.on('close', close)
    const piece = Buffer.alloc(65_536)
    const more = () => {
      while (written < total && !response.destroyed) {
        written += piece.length
        if (!response.write(piece)) return
      }
      response.end()
    }
    response.on('drain', more)
    more()
  })
  const to = http({ name: 'source', url: source.url, pastUsage: 'none' })
  const gateway = createGateway({
    apps: [defineApp({ name: 'test', use: [proxy('/up/*', { to, maxCached: '64kb' })] })],
  })
  const [url = ''] = await gateway.listen({ port: 0 })
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.pause()
  socket.write('GET /up/a HTTP/1.1\r\nhost: a\r\n\r\n')
  let before = -1
  await vi.waitFor(
    () => {
      const now = written
      const still = now === before && now > 0
      before = now
      expect(still).toBe(true)
    },
    { interval: 200, timeout: 5000 },
  )
  expect(written).toBeLessThan(total / 2)
  socket.destroy()
  await closed
  await gateway.close(0)
  await source[Symbol.asyncDispose]()
})

test('all readers get the same bytes, which are kept without the buffer that they came in', async () => {
  await using source = await origin(counting({ 'cache-control': 'max-age=60' }))
  const to = http({ name: 'source', url: source.url, pastUsage: 'none' })
  const gateway = createGateway({ apps: [defineApp({ name: 'test', use: [proxy('/up/*', { to })] })] })
  const read = async () => {
    const answer = await gateway.sites[0]?.handle(call('/up/a'))
    if (answer?.kind !== 'whole' || !(answer.body instanceof Uint8Array)) throw new Error('expected bytes')
    return answer.body
  }
  const first = await read()
  expect(await read()).toBe(first)
  expect(first.buffer.byteLength).toBe(first.byteLength)
  await gateway.close(0)
})

test('what it keeps counts in the memory of the site', async () => {
  const [node] = RUNTIMES
  const source = await origin((_, response) =>
    response.writeHead(200, { 'cache-control': 'max-age=60' }).end(Buffer.alloc(400_000)),
  )
  const to = http({ name: 'source', url: source.url, pastUsage: 'none' })
  const app = defineApp({ name: 'test', use: [proxy('/up/*', { to })] })
  const site = await node?.serve({ apps: [app], memory: '1mb' })
  for (const path of ['a', 'b', 'c', 'a']) await (await site?.fetch(`/up/${path}`))?.arrayBuffer()
  expect(source.asked.map(({ url }) => url)).toEqual(['/a', '/b', '/c', '/a'])
  await (await site?.fetch('/up/c'))?.arrayBuffer()
  expect(source.asked).toHaveLength(4)
  await site?.[Symbol.asyncDispose]()
  await source[Symbol.asyncDispose]()
})

test.each([{}, { 'cache-control': 'max-age=60' }, { 'cache-control': 'public, max-age=60', vary: 'accept' }])(
  'what a forwarded header decides is for requests alike: %j',
  async (headers) => {
    const [runtime] = RUNTIMES
    if (runtime === undefined) throw new Error('expected a runtime')
    const echo: Respond = (request, response) => {
      response.writeHead(200, headers).end(JSON.stringify(request.headers['x-api-key'] ?? 'nobody'))
    }
    await using site = await open(runtime, echo, { forward: ['x-api-key'], fresh: '1m' })
    const read = async (key?: string) => {
      const answer = await site.fetch('/up/a', key === undefined ? {} : { headers: { 'x-api-key': key } })
      expect(answer.headers.get('vary')).toContain('x-api-key')
      return answer.json()
    }
    for (let round = 0; round < 2; round++)
      expect([await read('alice'), await read('bob'), await read()]).toEqual(['alice', 'bob', 'nobody'])
    expect(site.origin.asked).toHaveLength(3)
  },
)

test('a proxy that drops cookies forwards none: its answers are kept for all', () => {
  const to = http({ name: 'source', url: 'http://127.0.0.1:1' })
  expect(() => proxy('/up/*', { to, dropCookies: true, forward: ['Cookie'] })).toThrow(/forward: expected no cookie/)
})
