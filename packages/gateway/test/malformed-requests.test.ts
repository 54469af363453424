import { connect } from 'node:net'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, type Gateway, log } from '../src/index.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'
import { testApp } from './served.ts'

let upstream: CountingUpstream
let gateway: Gateway
let url: URL

beforeAll(async () => {
  upstream = await countingUpstream()
  upstream.answer = (path, response) => json(response, { path })
  const routes = new Hono()
    .get('/whoami', (c) => c.text(new URL(c.req.url).host))
    .get('/secret', (c) => c.text('the secret route'))
  gateway = createGateway({ apps: [testApp(upstream, { routes })] })
  url = new URL((await gateway.listen({ port: 0 }))[0] ?? '')
})

afterAll(async () => {
  await gateway.close(1000)
  await upstream[Symbol.asyncDispose]()
})

/** Sends the lines of a request as they are, and reads the answer. */
async function exchange(...lines: readonly string[]): Promise<{ readonly head: string; readonly body: string }> {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname).once('error', reject)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.once('close', () => resolve(text))
    socket.write(`${[...lines, 'connection: close'].join('\r\n')}\r\n\r\n`)
  })
  const end = text.indexOf('\r\n\r\n')
  return { head: text.slice(0, end), body: text.slice(end + 4) }
}

async function send(...lines: readonly string[]): Promise<readonly [status: number, body: string]> {
  const { head, body } = await exchange(...lines)
  return [Number(head.slice(9, 12)), body]
}

describe('the Host of a request', () => {
  test.each(['a', 'example.com', 'example.com:8080', '127.0.0.1:80', '[::1]', '[::1]:80', 'a_b.test', 'example.com:'])(
    'may be %s',
    async (host) => {
      expect((await send('GET /items/a HTTP/1.1', `host: ${host}`))[0]).toBe(200)
      expect((await send('GET /whoami HTTP/1.1', `host: ${host}`))[0]).toBe(200)
    },
  )

  test.each([
    'a/secret?',
    'a/',
    'a?',
    'a#',
    'a@b',
    'a:b@c',
    'a b',
    'a\\secret',
    '[::1',
    'a:1:2',
    'a:999999',
    '<a>',
    'http://a',
  ])('that names anything else than a host changes no address: %s', async (host) => {
    for (const target of ['/whoami', '/items/a']) {
      const [status, body] = await send(`GET ${target} HTTP/1.1`, `host: ${host}`)
      expect([status, JSON.parse(body).code]).toEqual([400, 'bad_request'])
    }
  })

  test.each([
    ['example.com', 'example.com'],
    ['a', 'b'],
  ])('that stands twice is refused: %s and %s', async (one, other) => {
    for (const target of ['/whoami', '/items/a']) {
      const [status, body] = await send(`GET ${target} HTTP/1.1`, `host: ${one}`, `Host: ${other}`)
      expect([status, JSON.parse(body).code]).toEqual([400, 'bad_request'])
    }
  })

  test('is the one of the absolute form where a proxy sends that', async () => {
    expect((await send('GET http://b.test:81/whoami HTTP/1.1', 'host: a.test'))[1]).toContain('\r\nb.test:81\r\n')
    expect((await send('GET HTTP://b.test HTTP/1.1', 'host: a.test'))[0]).toBe(404)
    for (const target of ['http://a@b/whoami', 'http:///whoami', 'ftp://b/whoami', 'http://b#/whoami'])
      expect((await send(`GET ${target} HTTP/1.1`, 'host: a.test'))[0]).toBe(400)
  })
})

test.each([
  ['another version of HTTP', ['GET /items/a HTTP/2.0', 'host: a']],
  [
    'a transfer coding that is not read',
    ['GET /items/a HTTP/1.1', 'host: a', 'transfer-encoding: gzip, chunked', '', '0', ''],
  ],
] as const)('%s is refused', async (_what, lines) => {
  expect((await send(...lines))[0]).toBe(400)
})

describe('what Node would answer by itself has the form of all other errors', () => {
  test.each<[what: string, lines: readonly string[], status: number, code: string]>([
    ['no Host', ['GET /items/a HTTP/1.1'], 400, 'bad_request'],
    ['no Host beside the absolute form', ['GET http://a/items/a HTTP/1.1'], 400, 'bad_request'],
    ['an Expect that is not known', ['GET /items/a HTTP/1.1', 'host: a', 'expect: tea'], 417, 'expectation_failed'],
    ['CONNECT', ['CONNECT a:443 HTTP/1.1', 'host: a:443'], 405, 'method_not_allowed'],
    ['bytes that are no HTTP', ['hello'], 400, 'bad_request'],
  ])('%s', async (_, lines, status, code) => {
    const { head, body } = await exchange(...lines)
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(head).toMatch(/^content-type: application\/problem\+json\r?$/im)
    expect(JSON.parse(body)).toMatchObject({ status, code, type: `https://weir.dev/errors#${code}` })
  })

  test('a request of HTTP/1.0 needs no Host, and one that expects 100-continue is served', async () => {
    expect((await send('GET /items/a HTTP/1.0'))[0]).toBe(200)
    const { head } = await exchange('GET /items/a HTTP/1.1', 'host: a', 'expect: 100-continue')
    expect(head).toMatch(/^HTTP\/1.1 (100|200) /)
  })
})

test.each([70_000, 100_000, 300_000])(
  '%d bytes of headers and an address of that length are told apart',
  async (size) => {
    const refused = async (...lines: readonly string[]) => {
      const [status, body] = await send(...lines)
      return [status, JSON.parse(body).code]
    }
    expect(await refused('GET /items/a HTTP/1.1', 'host: a', `x-a: ${'a'.repeat(size)}`)).toEqual([
      431,
      'headers_too_large',
    ])
    const many = Array.from({ length: size / 100 }, (_, index) => `x-${index}: ${'a'.repeat(100)}`)
    expect(await refused('GET /items/a HTTP/1.1', 'host: a', ...many)).toEqual([431, 'headers_too_large'])
    // In the middle of a longer one there is nothing to tell them apart by.
    if (size <= 100_000)
      expect(await refused(`GET /items/${'a'.repeat(size)} HTTP/1.1`, 'host: a')).toEqual([414, 'uri_too_long'])
  },
)

describe('JSON that is nested deeply', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`

  /** A log that takes anything, and the failures that its operator was told. */
  async function open() {
    const said = log('/said/:id', { name: 'said', key: { id: z.string() }, event: z.any(), mayPublish: () => true })
    const failures: unknown[] = []
    const gateway = createGateway({
      apps: [defineApp({ name: 'deep', use: [said], graphql: true })],
      observe: (event) => void (event.type === 'failed' && failures.push(event.error)),
    })
    const site = gateway.sites[0]
    const post = async (path: string, body: string) => {
      const headers = { 'content-type': 'application/json' }
      const answer = await site?.fetch(new Request(`http://localhost${path}`, { method: 'POST', headers, body }))
      return { status: answer?.status, body: (await answer?.json()) as Record<string, unknown> }
    }
    return { post, failures, [Symbol.asyncDispose]: () => gateway.close() }
  }

  test.each([101, 2000, 30_000])('is no event, at %d levels', async (depth) => {
    await using site = await open()
    expect(await site.post('/said/a', nested(depth))).toMatchObject({ status: 400, body: { code: 'bad_event' } })
    expect(site.failures).toEqual([])
  })

  test('is an event up to 100 levels, brackets in its texts aside', async () => {
    await using site = await open()
    for (const event of [nested(100), JSON.stringify({ text: '[{"\\'.repeat(500) })])
      expect(await site.post('/said/a', event)).toMatchObject({ status: 201 })
  })

  test.each([1800, 3900, 40_000])('is no GraphQL document, at %d levels', async (depth) => {
    await using site = await open()
    const queries = [
      `{ said(id: ${nested(depth)}) { newest } }`,
      `# "\n{ said(id: ${nested(depth)}) { newest } }`,
      `query($id: ${'['.repeat(depth)}String${']'.repeat(depth)}) { said(id: $id) { newest } }`,
      `${'{ said '.repeat(depth)}${'}'.repeat(depth)}`,
    ]
    for (const query of queries) {
      const { body } = await site.post('/graphql', JSON.stringify({ query }))
      const text = JSON.stringify(body)
      expect(text).toMatch(/"code":"(bad_document|query_too_complex|body_too_large)"/)
      expect(text.length).toBeLessThan(2000)
    }
    const variables = `{"query":"query($id:String!){said(id:$id){newest}}","variables":{"id":${nested(depth)}}}`
    expect(JSON.stringify((await site.post('/graphql', variables)).body)).toMatch(/"code":"(bad_|body_too_large)/)
    expect(site.failures).toEqual([])
  })
})
