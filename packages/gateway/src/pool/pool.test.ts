import { once } from 'node:events'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { request } from '../../test/request.ts'
import type { UpstreamRequest } from '../call.ts'
import { systemClock } from '../clock.ts'
import type { WeirEvent } from '../events.ts'
import { createPool, type PoolParts } from './pool.ts'

/** A pool to a real server with this handler. */
async function open(answer: RequestListener, given: Partial<PoolParts> = {}) {
  const server: Server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const events: WeirEvent[] = []
  const emit = (event: WeirEvent) => void events.push(event)
  const parts = {
    upstream: 'jupiter',
    url: origin,
    connections: 2,
    timeout: 5000,
    maxResponse: 1000,
    clock: systemClock,
  }
  const pool = createPool({ ...parts, emit, ...given, ...(given.url === undefined ? {} : { url: origin + given.url }) })
  const send = (given: Partial<UpstreamRequest> = {}) => pool.send(request(given))
  const failure = (given: Partial<UpstreamRequest> = {}) =>
    send(given).then(
      () => undefined,
      (error: unknown) => error,
    )
  return {
    server,
    events,
    send,
    failure,
    async [Symbol.asyncDispose]() {
      await pool.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('the timeouts of a pool', () => {
  test('missing headers end the call before its whole time is over', async () => {
    await using opened = await open(() => {}, { headersTimeout: 50, timeout: 60_000 })
    expect(await opened.failure()).toMatchObject({ code: 'upstream_timeout' })
  })

  test('silence inside an answer ends the call before its whole time is over', async () => {
    const stutter: RequestListener = (_, response) => response.writeHead(200).write('begun')
    await using opened = await open(stutter, { bodyTimeout: 50, timeout: 60_000 })
    expect(await opened.failure()).toMatchObject({ code: 'upstream_timeout' })
  })
})

describe('a pool with a limit for buffered answers', () => {
  test('streams a larger answer, even beyond the maximum size of a buffered one', async () => {
    await using opened = await open((_, response) => response.end(Buffer.alloc(5000, 'x')), { maxResponse: 3000 })
    const { body, stream } = await opened.send({ kept: 2000 })
    expect(body).toHaveLength(0)
    expect(await new Response(stream?.body).text()).toBe('x'.repeat(5000))
    await stream?.over
    expect(opened.events).toMatchObject([{ type: 'pool.answered', bytes: 5000 }])
    expect((await opened.failure({})) as object).toMatchObject({ code: 'upstream_invalid' })
  })

  test('returns a smaller one whole', async () => {
    await using opened = await open((_, response) => response.end(Buffer.alloc(1000, 'x')))
    const { body, stream } = await opened.send({ kept: 1000 })
    expect([body.length, stream]).toEqual([1000, undefined])
  })

  test('returns one without a body, whatever length it states', async () => {
    await using opened = await open((_, response) => response.writeHead(304, { 'content-length': 9000 }).end())
    expect((await opened.send({ kept: 1000 })).stream).toBeUndefined()
    await using head = await open((_, response) => response.writeHead(200, { 'content-length': 9000 }).end())
    expect((await head.send({ method: 'HEAD', kept: 1000 })).stream).toBeUndefined()
  })

  test('ends the call when its reader leaves', async () => {
    await using opened = await open((_, response) => void response.write(Buffer.alloc(5000)))
    const closed = once(opened.server, 'connection').then(([socket]) => once(socket, 'close'))
    const { stream } = await opened.send({ kept: 2000 })
    await stream?.body.cancel()
    await closed
    await stream?.over
    expect(opened.events).toMatchObject([{ type: 'pool.answered' }])
  })

  test.each([
    ['the whole time is over', { timeout: 100 }, () => {}, 'upstream_timeout'],
    [
      'the upstream closes the connection',
      {},
      (response: ServerResponse) => setImmediate(() => response.destroy()),
      'upstream_failed',
    ],
  ] as const)('fails its reader when %s, even one that does not read', async (_, given, then, code) => {
    await using opened = await open((_, response) => {
      response.write(Buffer.alloc(5000))
      then(response)
    }, given)
    const { stream } = await opened.send({ kept: 2000 })
    await stream?.over
    expect(opened.events).toMatchObject([{ type: 'pool.failed', code }])
    await expect(new Response(stream?.body).bytes()).rejects.toThrow()
  })

  test('passes on informational responses', async () => {
    await using opened = await open((_, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => response.end())
    })
    const heard: unknown[] = []
    await opened.send({ inform: (status, headers) => heard.push([status, headers.link]) })
    expect(heard).toEqual([[103, '</a.css>; rel=preload']])
  })
})

describe('a pool', () => {
  test('sends method, path, headers and body, and returns status, headers and body', async () => {
    await using opened = await open(async (incoming, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk)
      const said = [incoming.method, incoming.url, incoming.headers['x-a'], Buffer.concat(chunks).toString()]
      response.writeHead(201, { 'x-b': 'c', 'set-cookie': ['d=1', 'e=2'] }).end(said.join(' '))
    })
    const answer = await opened.send({ method: 'POST', path: '/p?q=1', headers: { 'x-a': 'b' }, body: 'whole' })
    expect(answer).toMatchObject({ status: 201, headers: { 'x-b': 'c', 'set-cookie': 'd=1, e=2' } })
    expect(answer.body.toString()).toBe('POST /p?q=1 b whole')
    expect(opened.events).toMatchObject([{ type: 'pool.answered', upstream: 'jupiter', status: 201, bytes: 19 }])
  })

  test.each(['/v1', '/v1/'])("prepends the path of the upstream's URL, %s, to that of the call", async (url) => {
    await using opened = await open((incoming, response) => response.end(incoming.url), { url })
    expect((await opened.send({ path: '/price' })).body.toString()).toBe('/v1/price')
  })

  test('returns an error status as an answer', async () => {
    await using opened = await open((_, response) => response.writeHead(503).end('away'))
    expect((await opened.send()).status).toBe(503)
  })

  test('aborts a call that exceeds its time: missing headers', async () => {
    await using opened = await open(() => {}, { timeout: 60 })
    expect(await opened.failure()).toMatchObject({
      code: 'upstream_timeout',
      message: 'jupiter: no whole answer in 60 ms',
    })
    expect(opened.events).toMatchObject([{ type: 'pool.failed', code: 'upstream_timeout' }])
  })

  test('aborts a call that exceeds its time: a body that trickles', async () => {
    await using opened = await open(
      (_, response) => {
        const trickle = setInterval(() => response.write('x'), 10)
        response.on('close', () => clearInterval(trickle))
      },
      { timeout: 80 },
    )
    expect(await opened.failure()).toMatchObject({ code: 'upstream_timeout' })
  })

  test("aborts at the caller's deadline if that is earlier", async () => {
    await using opened = await open(() => {})
    expect(await opened.failure({ deadline: systemClock.monotonic() + 50 })).toMatchObject({ code: 'upstream_timeout' })
  })

  test('refuses an answer beyond the maximum size, and stops reading', async () => {
    await using opened = await open((_, response) => {
      // An endless answer: only closing the connection stops it.
      const more = () => {
        if (!response.destroyed && response.write(Buffer.alloc(600))) setImmediate(more)
      }
      response.on('drain', more)
      more()
    })
    const closed = once(opened.server, 'connection').then(([socket]) => once(socket, 'close'))
    expect(await opened.failure()).toMatchObject({
      code: 'upstream_invalid',
      message: 'jupiter: expected an answer of at most 1000 bytes, got more',
    })
    await closed
  })

  test('accepts an answer of exactly the maximum size', async () => {
    await using opened = await open((_, response) => response.end(Buffer.alloc(1000)))
    expect((await opened.send()).body).toHaveLength(1000)
  })

  test('closes the connection when the caller aborts', async () => {
    const { promise: arrived, resolve } = Promise.withResolvers<void>()
    await using opened = await open(() => resolve())
    const closed = once(opened.server, 'connection').then(([socket]) => once(socket, 'close'))
    const controller = new AbortController()
    const failure = opened.failure({ signal: controller.signal })
    await arrived
    controller.abort(new Error('left'))
    expect(await failure).toMatchObject({ message: 'left' })
    await closed
    expect(opened.events).toEqual([])
  })

  test('does not send a call that is already aborted', async () => {
    let calls = 0
    await using opened = await open((_, response) => {
      calls += 1
      response.end()
    })
    expect(await opened.failure({ signal: AbortSignal.abort(new Error('left')) })).toMatchObject({ message: 'left' })
    await opened.send()
    expect(calls).toBe(1)
  })

  test('reports a failed connection', async () => {
    const opened = await open(() => {})
    await using _ = opened
    await new Promise((resolve) => opened.server.close(resolve))
    expect(await opened.failure()).toMatchObject({
      code: 'upstream_failed',
      message: 'jupiter: refused the connection',
    })
    expect(opened.events).toMatchObject([{ type: 'pool.failed', code: 'upstream_failed' }])
  })

  test('reports that the upstream closed the connection', async () => {
    await using opened = await open((incoming) => incoming.socket.destroy())
    expect(await opened.failure()).toMatchObject({ code: 'upstream_failed' })
  })

  test('does not leave a call hanging when it is closed', async () => {
    const { promise: arrived, resolve } = Promise.withResolvers<void>()
    const opened = await open(() => resolve())
    const failure = opened.failure()
    await arrived
    await opened[Symbol.asyncDispose]()
    expect(await failure).toMatchObject({ code: 'upstream_failed' })
  })
})
