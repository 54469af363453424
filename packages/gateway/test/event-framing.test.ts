import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createGateway, type Gateway } from '../src/index.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'
import { testApp } from './served.ts'

let upstream: CountingUpstream
let gateway: Gateway
let url: URL

beforeAll(async () => {
  upstream = await countingUpstream()
  upstream.answer = (path, response) => json(response, { path, filler: 'x'.repeat(2000) })
  gateway = createGateway({ apps: [testApp(upstream)], heartbeat: '100ms' })
  url = new URL((await gateway.listen({ port: 0 }))[0] ?? '')
})

afterAll(async () => {
  await gateway.close(1000)
  await upstream[Symbol.asyncDispose]()
})

/** The head and the body of a stream as they are on the wire, up to a text in the body. */
async function read(version: '1.0' | '1.1', until: string, ...headers: readonly string[]) {
  return new Promise<readonly [head: string, body: string]>((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname).once('error', reject)
    let text = ''
    socket.on('data', (data) => {
      text += data.toString('latin1')
      const at = text.indexOf('\r\n\r\n')
      if (at === -1 || !text.slice(at).includes(until)) return
      socket.destroy()
      resolve([text.slice(0, at).toLowerCase(), text.slice(at + 4)])
    })
    socket.write([`GET /items/a?as=sse HTTP/${version}`, 'host: a', ...headers, '', ''].join('\r\n'))
  })
}

describe('a stream on the wire', () => {
  test('is made of chunks, each of whole events, so that every reader gets an event as it comes', async () => {
    const [head, body] = await read('1.1', 'event: heartbeat')
    expect(head).toContain('transfer-encoding: chunked')
    expect(head).not.toContain('content-length')
    let rest = body
    let chunks = 0
    while (rest.includes('\r\n')) {
      const [size = ''] = rest.split('\r\n', 1)
      const event = rest.slice(size.length + 2, size.length + 2 + Number.parseInt(size, 16))
      if (event.length < Number.parseInt(size, 16)) break
      expect(event).toMatch(/^(retry|event): .*\n\n$/s)
      rest = rest.slice(size.length + 2 + event.length + 2)
      chunks += 1
    }
    expect(chunks).toBeGreaterThanOrEqual(2)
  })

  test('has no frames for HTTP/1.0, whose bodies end with their connection', async () => {
    const [head, body] = await read('1.0', 'event: heartbeat')
    expect(head).not.toContain('transfer-encoding')
    expect(body).toMatch(/^retry: \d+\nevent: hello\ndata: .*\n\nevent: snapshot\n/)
    expect(body).not.toContain('\r')
  })

  test('is compressed inside its chunks', async () => {
    // The feed's values are known to be large by now.
    const [head, body] = await read('1.1', '\x1f\x8b', 'accept-encoding: gzip')
    expect(head).toContain('content-encoding: gzip')
    expect(head).toContain('transfer-encoding: chunked')
    expect(body.indexOf('\x1f\x8b')).toBe(body.indexOf('\r\n') + 2)
  })

  test('has no block without an event: some clients would make an empty one of it', async () => {
    const [, body] = await read('1.0', 'event: heartbeat')
    for (const block of body.split('\n\n').slice(0, -1)) expect(block).toMatch(/^data: /m)
  })
})
