import { createServer, type Server, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { freePort } from '../../../scripts/free-port.ts'
import { createGateway, defineApp, feed, http, WeirError, type WeirEvent } from '../src/index.ts'

/** Words of an app's own that no client is to read. */
const INNER = 'select * from customers at 10.1.2.3'

type Fault = () => Promise<{ readonly url: string; readonly words: RegExp } & AsyncDisposable>

async function tcp(respond: (socket: Socket) => void): Promise<{ readonly port: number } & AsyncDisposable> {
  const open = new Set<Socket>()
  const server: Server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {})
    respond(socket)
  })
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  )
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const nothing = { async [Symbol.asyncDispose]() {} }

const FAULTS: readonly (readonly [what: string, fault: Fault])[] = [
  [
    'refuses connections',
    async () => ({ url: `http://127.0.0.1:${await freePort()}`, words: /refused the connection/, ...nothing }),
  ],
  ['has no host', async () => ({ url: 'http://nobody.invalid', words: /host name/, ...nothing })],
  [
    'closes the connection',
    async () => {
      const server = await tcp((socket) => socket.once('data', () => socket.resetAndDestroy()))
      return { ...server, url: `http://127.0.0.1:${server.port}`, words: /closed the connection/ }
    },
  ],
  [
    'speaks no HTTP',
    async () => {
      const server = await tcp((socket) => socket.once('data', () => socket.end('220 mail.internal ESMTP\r\n')))
      return { ...server, url: `http://127.0.0.1:${server.port}`, words: /not HTTP/ }
    },
  ],
  [
    'speaks no TLS',
    async () => {
      const server = await tcp((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
      return { ...server, url: `https://127.0.0.1:${server.port}`, words: /TLS|closed the connection/ }
    },
  ],
]

/** What clients must never read: addresses, names of errors and libraries, advice for programmers, lines of code. */
const INTERNAL =
  /ECONN|ENOTFOUND|EPROTO|ERR_|UND_ERR|HPE_|127\.0\.0\.1|10\.1\.2\.3|invalid\b.*:80|select \*|openssl|routines|node:|\.ts:\d|mail\.internal/i

/** By then the upstream has failed so often that it is not asked. */
const BREAKER_OPEN = 'the breaker is open'

async function open(url: string, load: () => Promise<unknown>) {
  const events: WeirEvent[] = []
  const from = http({ name: 'source', url: url || 'http://127.0.0.1:9', pastUsage: 'none', retries: 0, timeout: '2s' })
  const item = feed('/items/:id', {
    name: 'item',
    key: { id: z.string() },
    value: z.unknown(),
    from,
    load: { one: (_, call) => (url === '' ? load() : call.get('/')) },
  })
  const apps = [defineApp({ name: 'test', use: [item], graphql: true })]
  const gateway = createGateway({ apps, observe: (event) => void events.push(event) })
  const [at = ''] = await gateway.listen({ port: 0 })
  return { at, events, [Symbol.asyncDispose]: () => gateway.close(0) }
}

/** What a client reads, in every form. */
async function readings(at: string): Promise<readonly string[]> {
  const texts: string[] = []
  for (const path of [
    '/items/a',
    '/items/b?as=poll',
    '/weir/values?topic=/items/c',
    '/graphql?query=%7Bitem(id:%22d%22)%7D',
  ])
    texts.push(await (await fetch(`${at}${path}`)).text())
  await using stream = new EventStream(await fetch(`${at}/items/e?as=sse`))
  texts.push(JSON.stringify((await stream.until('error')).data))
  const socket = new WebSocket(`${at.replace('http', 'ws')}/weir/ws`)
  texts.push(
    await new Promise<string>((resolve) => {
      socket.onopen = () => socket.send(JSON.stringify({ type: 'get', id: 1, topic: '/items/f' }))
      socket.onmessage = ({ data }) => String(data).includes('"error"') && resolve(String(data))
    }),
  )
  socket.close()
  return texts
}

/** Each answer names an error that the operator was told of, with its cause. */
function namedIn(events: readonly WeirEvent[], texts: readonly string[]): readonly unknown[] {
  return texts.map((text) => {
    const id = /"requestId":"([^"]+)"/.exec(text)?.[1]
    expect(id, text).toBeDefined()
    const told = events.find(
      (event) =>
        (event.type === 'attempt.failed' && event.requestId === id) ||
        (event.type === 'failed' && event.error instanceof WeirError && event.error.requestId === id),
    )
    if (told?.type === 'attempt.failed') return told.cause
    return told?.type === 'failed' && told.error instanceof WeirError ? told.error.cause : undefined
  })
}

describe('a failure in words for clients, and a cause for the operator', () => {
  test.each(FAULTS)('an upstream that %s', async (_what, fault) => {
    await using upstream = await fault()
    await using site = await open(upstream.url, async () => undefined)
    const texts = await readings(site.at)
    for (const text of texts) {
      expect(text).not.toMatch(INTERNAL)
      expect(text).toMatch(new RegExp(`${upstream.words.source}|${BREAKER_OPEN}`))
    }
    const asked = texts.filter((text) => !text.includes(BREAKER_OPEN))
    expect(asked.length).toBeGreaterThanOrEqual(4)
    for (const cause of namedIn(site.events, asked)) expect(cause).toBeInstanceOf(Error)
  })

  test.each([
    ['throws', () => Promise.reject(new TypeError(INNER))],
    ['gives an Error', async () => new Error(INNER)],
    ['throws what is no Error', () => Promise.reject(INNER)],
  ])('a loader that %s', async (_what, load) => {
    await using site = await open('', load)
    const texts = await readings(site.at)
    for (const text of texts) {
      expect(text).not.toMatch(INTERNAL)
      expect(text).toContain('its loader failed')
    }
    for (const cause of namedIn(site.events, texts)) expect(String(cause)).toContain(INNER)
  })

  test('a loader’s own WeirError is for clients', async () => {
    await using site = await open('', () => Promise.reject(new WeirError('upstream_failed', 'the exchange is closed')))
    for (const text of await readings(site.at)) expect(text).toContain('the exchange is closed')
  })
})
