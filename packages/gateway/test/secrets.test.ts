import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { z } from 'zod'
import {
  type AppOptions,
  createGateway,
  defineApp,
  feed,
  type HttpOptions,
  http,
  jsonRpc,
  proxy,
  push,
  rpc,
  type WeirEvent,
  weir,
} from '../src/index.ts'

const KEY = 'sk-live/aB3+x9=Zq7'
const USER = 'account-4711'
const PASSWORD = 'p@ss/w0rd+long'
const BASIC = Buffer.from(`${USER}:${PASSWORD}`).toString('base64')
const PATH = 'v1-0123456789abcdef-token'

/** What an upstream says that repeats what it was sent, in each place where it can. */
type Repeats = (response: ServerResponse, said: string, secret: string) => void

const body = (response: ServerResponse, said: unknown, status = 200, type = 'application/json') =>
  response.writeHead(status, { 'content-type': type }).end(typeof said === 'string' ? said : JSON.stringify(said))

const PLACES: Readonly<Record<string, Repeats>> = {
  'a value': (response, said) => body(response, { said, nested: [{ [said]: encodeURIComponent(said) }] }),
  'JSON with escapes': (response, said) => body(response, JSON.stringify({ said }).replaceAll('/', '\\/')),
  'what is no JSON': (response, said) => body(response, `<p>${said}`),
  'a content type': (response, _, secret) => body(response, '{}', 200, `text/html; key=${secret}`),
  'a refusal of the key': (response, said) => body(response, { error: `Incorrect API key provided: ${said}` }, 401),
  'a client error': (response, said) => body(response, { error: said }, 404),
  'a failure': (response, said) => body(response, { error: said }, 500),
  'a page of a failure': (response, said) => body(response, said.replaceAll('&', '&amp;'), 502, 'text/html'),
  'a status text': (response, said) => {
    response.statusMessage = said.replace(/[^ -~]/g, ' ')
    response.writeHead(503).end()
  },
  headers: (response, said, secret) => {
    const safe = said.replace(/[^ -~]/g, ' ')
    response.setHeader(
      'location',
      `http://elsewhere.example/${encodeURIComponent(said)}?key=${encodeURIComponent(secret)}`,
    )
    response.setHeader('link', `<https://a.example/?apikey=${secret}>; rel=next`)
    response.setHeader('www-authenticate', `Bearer error="${safe}"`)
    response.setHeader('set-cookie', [`last=${encodeURIComponent(said)}`, 'other=1'])
    response.setHeader('etag', `"${encodeURIComponent(said)}"`)
    response.setHeader('x-request', safe)
    body(response, {})
  },
  hints: (response, _, secret) => {
    response.writeEarlyHints({ link: `<https://a.example/?apikey=${secret}>; rel=preload` })
    body(response, {})
  },
  'a content encoding': (response, _, secret) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': `${'x'.repeat(60)}-${secret}` })
    response.end('{}')
  },
  'the name of a header': (response, _, secret) => {
    response.setHeader(`x-${encodeURIComponent(secret)}`, '1')
    body(response, {})
  },
  'compressed bytes': (response, said) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
    response.end(gzipSync(JSON.stringify({ said })))
  },
  'large compressed bytes': (response, said) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
    const noise = Array.from({ length: 5000 }, (_, index) => Math.sin(index).toString(36)).join()
    for (const byte of gzipSync(JSON.stringify({ said, noise }))) response.write(Buffer.of(byte))
    response.end()
  },
  'a large body, in pieces': (response, said) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(`{"pad":"${'x'.repeat(5000)}","said":"`)
    for (const one of JSON.stringify(said).slice(1, -1)) response.write(one)
    response.end('"}')
  },
  'a broken connection': (response) => response.destroy(),
}

async function repeating() {
  let repeats: Repeats = (response) => body(response, {})
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece) => pieces.push(piece))
    request.on('end', () => {
      const { url = '', headers } = request
      const values = Object.values(headers).flat().join(' ')
      const login = /^Basic (.*)$/.exec(headers.authorization ?? '')?.[1] ?? ''
      const said = [url, decodeURIComponent(url), values, Buffer.from(login, 'base64').toString()].join(' ')
      repeats(response, said, login === '' ? KEY : PASSWORD)
    })
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket, { url, headers }) => {
    socket.on('message', (message) => {
      socket.send(JSON.stringify({ key: 'a', value: [url, Object.values(headers).join(), String(message)] }))
      socket.close(4001, KEY)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    set repeats(place: Repeats) {
      repeats = place
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Each way in which an upstream is told who we are. */
const CREDENTIALS: Readonly<Record<string, Partial<HttpOptions>>> = {
  'a bearer key': { keys: KEY },
  'a key in a header of its own': { keys: KEY, auth: { header: 'x-api-key' } },
  'a key in the query': { keys: KEY, auth: { query: 'apikey' } },
  'a login as a key': { keys: BASIC, auth: { header: 'authorization', prefix: 'Basic ' } },
  'a login as a header': { headers: { authorization: `Basic ${BASIC}` } },
  'a header of its own': { headers: { 'x-client-token': KEY } },
  'a cookie': { headers: { cookie: `theme=dark; session=${KEY}` } },
}

/** All that can be read of secrets, in each form that comes back. */
const SECRETS = [KEY, PASSWORD, PATH].flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  encodeURIComponent(secret).toLowerCase(),
  JSON.stringify(secret).slice(1, -1).replaceAll('/', '\\/'),
  Buffer.from(secret).toString('base64').replace(/=+$/, '').slice(0, -1),
])

function expectNone(text: string): void {
  for (const secret of [...SECRETS, BASIC]) expect(text.toLowerCase()).not.toContain(secret.toLowerCase())
}

/** What comes out of a gateway: answers with their headers, events with their errors, metrics and health. */
async function outOf(use: AppOptions['use'], asks: (url: string) => readonly (Request | string)[]): Promise<string> {
  const out: string[] = []
  const observe = (event: WeirEvent) => void out.push(inspect(event, { depth: 10, maxStringLength: null }))
  const gateway = createGateway({ apps: [defineApp({ name: 'app', use, graphql: true })], observe })
  const [url = ''] = await gateway.listen({ port: 0 })
  for (const ask of [...asks(url), `${url}/metrics`, `${url}/api/health`]) {
    const answer = await fetch(ask, { redirect: 'manual' })
    out.push(JSON.stringify([...answer.headers]), answer.statusText)
    out.push(await answer.text().catch(String))
  }
  await gateway.close(100)
  return out.join('\n')
}

const value = (from: ReturnType<typeof http>) =>
  feed('/values/:id', {
    ...{ name: 'value', key: { id: z.string() }, value: z.unknown(), from, fresh: '0ms', staleIfError: '0ms' },
    load: { one: ({ id }, call) => call.get(`/values/${id}`) },
  })

const cases = Object.keys(CREDENTIALS).flatMap((how) => Object.keys(PLACES).map((place) => [how, place] as const))

test.each(cases)('%s is in nothing that comes out, when the upstream repeats it in %s', async (how, place) => {
  await using upstream = await repeating()
  upstream.repeats = PLACES[place] as Repeats
  const url = `http://127.0.0.1:${upstream.port}/${PATH}`
  const limits = [{ calls: 100, per: '1s' }] as const
  const options = { name: 'up', url, limits, pastUsage: 'none', retries: 0, ...CREDENTIALS[how] } as const
  const from = http(options)
  const use = [value(from), proxy('/up/*', { name: 'proxy', to: from, maxCached: '1kb' })]
  const query = `{ value(id: "c") { value } }`
  const text = await outOf(use, (site) => [
    `${site}/values/a`,
    `${site}/up/b`,
    new Request(`${site}/up/gzip`, { headers: { 'accept-encoding': 'gzip' } }),
    new Request(`${site}/up/part`, { headers: { range: 'bytes=20-30' } }),
    `${site}/weir/values?topic=/values/a&topic=/values/b`,
    new Request(`${site}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    }),
  ])
  expectNone(text)
  // It was repeated: what is not there was covered.
  if (place === 'a value') expect(text).toContain('*'.repeat(8))
})

test.each([
  ['a value', (said: string, id: number) => ({ jsonrpc: '2.0', id, result: said })],
  [
    'an error',
    (said: string, id: number) => ({ jsonrpc: '2.0', id, error: { code: -32000, message: said, data: said } }),
  ],
  ['a failure', (said: string, id: number) => ({ jsonrpc: '2.0', id, error: { code: -32603, message: said } })],
])('a JSON-RPC node that repeats its address in %s tells nobody', async (_, answer) => {
  await using upstream = await repeating()
  upstream.repeats = (response, said) => body(response, answer(said, 1))
  const url = `http://127.0.0.1:${upstream.port}/${PATH}?api-key=${encodeURIComponent(KEY)}`
  const to = jsonRpc({ name: 'node', url, pastUsage: 'none', retries: 0, headers: { 'x-token': PASSWORD } })
  const call = { jsonrpc: '2.0', id: 7, method: 'getSlot', params: [] }
  const text = await outOf([rpc('/rpc', { to, methods: { getSlot: {} } })], (site) => [
    new Request(`${site}/rpc`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(call),
    }),
    `${site}/rpc/getSlot?params=[]`,
  ])
  expectNone(text)
  expect(text).toContain('*'.repeat(8))
})

test('an origin that repeats our headers tells nobody', async () => {
  await using upstream = await repeating()
  upstream.repeats = (response, said) => body(response, { error: said }, 500)
  const from = weir({ url: `http://127.0.0.1:${upstream.port}`, headers: { authorization: `Bearer ${KEY}` } })
  const told = feed('/told', { name: 'told', key: {}, value: z.unknown(), from })
  expectNone(await outOf([told], (site) => [`${site}/told`]))
})

test('a socket that repeats its address, our headers or our first message tells nobody', async () => {
  await using upstream = await repeating()
  const url = `ws://127.0.0.1:${upstream.port}/${PATH}?token=${encodeURIComponent(KEY)}`
  const live = push<{ id: string }, unknown>({
    url,
    headers: { 'x-api-key': KEY },
    greet: () => [{ op: 'login', apiKey: PASSWORD }],
    subscribe: () => ({ op: 'subscribe' }),
    read: (message) => message as { key: { id: string }; value: unknown },
  })
  const pushed = feed('/pushed/:id', {
    ...{ name: 'pushed', key: { id: z.string() }, value: z.unknown(), fresh: '1s', live },
    load: { one: async () => 'asked' },
  })
  const out: string[] = []
  const lost = Promise.withResolvers<void>()
  const gateway = createGateway({
    apps: [defineApp({ name: 'app', use: [pushed] })],
    observe(event) {
      out.push(inspect(event, { depth: 10 }))
      if (event.type === 'push.lost') lost.resolve()
    },
  })
  const [site = ''] = await gateway.listen({ port: 0 })
  const leaving = new AbortController()
  const stream = await fetch(`${site}/pushed/a?as=sse`, { signal: leaving.signal })
  await lost.promise
  out.push(new TextDecoder().decode((await stream.body?.getReader().read())?.value))
  leaving.abort()
  await gateway.close(100)
  expectNone(out.join('\n'))
})

test('a socket that repeats what a subscription says of us tells nobody', async () => {
  const secret = 'sub/scr1ption+K3y=long'
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  server.on('connection', (socket) => socket.on('message', (data) => socket.send(`{"refused":${data}}`)))
  const out: string[] = []
  const told = Promise.withResolvers<void>()
  const live = push<{ id: string }, unknown>({
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    subscribe: ({ id }) => ({ op: 'subscribe', topic: id, auth: { apiKey: secret } }),
    read: (message) => {
      out.push(JSON.stringify(message))
      throw new Error(`not understood: ${JSON.stringify(message)}`)
    },
  })
  const pushed = feed('/pushed/:id', {
    ...{ name: 'pushed', key: { id: z.string() }, value: z.unknown(), fresh: '1s', live },
    load: { one: async () => 'asked' },
  })
  const gateway = createGateway({
    apps: [defineApp({ name: 'app', use: [pushed] })],
    observe(event) {
      out.push(inspect(event, { depth: 10 }))
      if (event.type === 'failed') told.resolve()
    },
  })
  const [site = ''] = await gateway.listen({ port: 0 })
  const leaving = new AbortController()
  await fetch(`${site}/pushed/topic-a?as=sse`, { signal: leaving.signal })
  await told.promise
  leaving.abort()
  await gateway.close(100)
  for (const socket of server.clients) socket.terminate()
  server.close()
  expect(out.join()).toContain('topic-a')
  expect(out.join()).not.toContain(secret)
})
