import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http, proxy } from '../src/index.ts'

interface Odd {
  readonly status?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
}

/** An upstream that writes bytes of its own, and a gateway before it. */
async function open(answer: { odd: Odd }) {
  const asked: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      asked.push(bytes.toString())
      const { status = '200 OK', headers = {}, body = '' } = answer.odd
      const length = Buffer.byteLength(body)
      const fields = Object.entries({ 'content-length': String(length), ...headers })
      socket.write(`HTTP/1.1 ${status}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
      socket.write(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const from = http({ name: 'up', url, pastUsage: 'none', retries: 0, timeout: '2s' })
  const value = feed('/values/:id', {
    ...{ name: 'value', key: { id: z.string() }, value: z.unknown(), from },
    load: { one: ({ id }, call) => call.get(`/${id}`) },
    fresh: '0ms',
    staleIfError: '0ms',
  })
  const app = defineApp({ name: 'app', use: [value, proxy('/up/*', { name: 'proxy', to: from })] })
  const gateway = createGateway({ apps: [app] })
  const site = gateway.sites[0]
  let keys = 0
  return {
    asked,
    async get(path = '/values/') {
      keys += 1
      const answered = await site?.fetch(new Request(`http://localhost${path}${keys}`))
      return { status: answered?.status, text: await answered?.text() }
    },
    async [Symbol.asyncDispose]() {
      await gateway.close()
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const JSON_TYPE = { 'content-type': 'application/json' }
const BODY = '{"price":12345678901234567890}'

describe('an answer that is well, if odd', () => {
  test.each([
    ['in gzip', { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: gzipSync(BODY) }],
    ['in x-gzip', { headers: { ...JSON_TYPE, 'content-encoding': 'X-GZIP' }, body: gzipSync(BODY) }],
    ['in Brotli', { headers: { ...JSON_TYPE, 'content-encoding': 'br' }, body: brotliCompressSync(BODY) }],
    ['in zstd', { headers: { ...JSON_TYPE, 'content-encoding': 'zstd' }, body: zstdCompressSync(BODY) }],
    ['deflated', { headers: { ...JSON_TYPE, 'content-encoding': 'deflate' }, body: deflateSync(BODY) }],
    [
      'deflated without a head',
      { headers: { ...JSON_TYPE, 'content-encoding': 'deflate' }, body: deflateRawSync(BODY) },
    ],
    ['in two', { headers: { ...JSON_TYPE, 'content-encoding': 'br, gzip' }, body: gzipSync(brotliCompressSync(BODY)) }],
    ['with a byte order mark', { headers: JSON_TYPE, body: `\ufeff${BODY}` }],
    ['as plain text', { headers: { 'content-type': 'text/plain; charset=utf-8' }, body: BODY }],
    ['without a type', { body: BODY }],
    ['as bytes', { headers: { 'content-type': 'application/octet-stream' }, body: BODY }],
  ])('%s is read', async (_, odd) => {
    await using opened = await open({ odd })
    expect(await opened.get()).toEqual({ status: 200, text: BODY })
    expect(opened.asked[0]).toMatch(/accept-encoding: gzip, deflate, br, zstd/i)
  })
})

describe('an answer that is refused by name', () => {
  test.each([
    ['other bytes than UTF-8', { headers: JSON_TYPE, body: Buffer.from([34, 0xc3, 0x28, 34]) }, /in UTF-8/],
    ['an unknown encoding', { headers: { ...JSON_TYPE, 'content-encoding': 'compress' }, body: 'x' }, /"compress"/],
    [
      'a cut encoding',
      { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: gzipSync(BODY).subarray(0, 20) },
      /gzip/,
    ],
    [
      'a bomb',
      { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: gzipSync(Buffer.alloc(20_000_000)) },
      /at most/,
    ],
    ['a page', { headers: { 'content-type': 'text/html' }, body: BODY }, /text\/html/],
    ['a number that none can hold', { headers: JSON_TYPE, body: '{"a":[1e400]}' }, /1e400/],
    ['the same, below zero', { headers: JSON_TYPE, body: '{"a":-1E+999}' }, /-1E\+999/],
    ['status 600', { status: '600 Odd', body: '{}' }, /got 600/],
    ['status 999', { status: '999 Odd', body: '{}' }, /got 999/],
    ['205 with content', { status: '205 Reset', headers: JSON_TYPE, body: '{}' }, /205/],
  ])('%s', async (_, odd, expected) => {
    await using opened = await open({ odd })
    const { status, text } = await opened.get()
    expect([status, JSON.parse(text ?? '').code]).toEqual([502, 'upstream_invalid'])
    expect(JSON.parse(text ?? '').detail).toMatch(expected)
  })

  test.each([
    ['600 Odd', {}],
    ['999 Odd', {}],
    ['205 Reset', {}],
    ['205 Reset', { 'content-length': undefined, 'transfer-encoding': 'chunked' }],
  ])('%s is not passed on by a proxy, with %j', async (status, more) => {
    const chunked = 'transfer-encoding' in more
    const headers = Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined)) as Record<
      string,
      string
    >
    await using opened = await open({ odd: { status, headers, body: chunked ? '2\r\nhi\r\n0\r\n\r\n' : 'hi' } })
    expect((await opened.get('/up/')).status).toBe(502)
  })

  test.each(['100 Continue', '102 Processing', '199 Odd'])(
    '%s is no answer, and never one of success',
    async (status) => {
      await using opened = await open({ odd: { status, headers: { 'content-length': '0' } } })
      expect((await opened.get('/up/')).status).toBeGreaterThanOrEqual(502)
    },
  )
})

test('no number that is read is ever written as null', async () => {
  const answer = { odd: {} as Odd }
  await using opened = await open(answer)
  const numbers = fc.tuple(fc.constantFrom('', '-'), fc.nat(), fc.integer({ min: -400, max: 400 }))
  await fc.assert(
    fc.asyncProperty(numbers, async ([sign, digits, exponent]) => {
      answer.odd = { headers: JSON_TYPE, body: `{"n":${sign}${digits}e${exponent}}` }
      const { status, text } = await opened.get()
      if (status === 200) expect(JSON.parse(text ?? '').n).not.toBeNull()
      else expect(text).toContain('upstream_invalid')
    }),
    { numRuns: 100 },
  )
})

test.each(['206 Partial Content', '300 Multiple Choices', '301 Moved Permanently', '307 Temporary Redirect'])(
  'an answer of %s carries no value of a feed',
  async (status) => {
    await using site = await open({ odd: { status, headers: { ...JSON_TYPE, location: '/other' }, body: '1' } })
    const { status: answered, text } = await site.get()
    expect([answered, text]).toEqual([502, expect.stringContaining(`got ${status.slice(0, 3)}`)])
  },
)
