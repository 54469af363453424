import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSseParser } from '../src/sse-parser.ts'
import { client, listen } from './world.ts'

/** The events that a parser reads from these pieces. */
function parse(pieces: readonly Uint8Array[]): unknown[] {
  const heard: unknown[] = []
  const parser = createSseParser({ event: (type, data) => heard.push([type, data]), retry: (ms) => heard.push(ms) })
  const decoder = new TextDecoder()
  for (const piece of pieces) parser.read(decoder.decode(piece, { stream: true }))
  return heard
}

const bytes = (text: string) => new TextEncoder().encode(text)

test('only CR, LF and CRLF end a line: other line separators belong to the value', () => {
  const odd = 'a\u2028b\u2029c\u0085d\u000be\u000cf'
  expect(parse([bytes(`event: x${odd}\ndata: ${odd}\n\n`)])).toEqual([[`x${odd}`, odd]])
  for (const end of ['\n', '\r', '\r\n'])
    expect(parse([bytes(['event: a', 'data: 1', 'data: 2', '', 'data:3', '', ''].join(end))])).toEqual([
      ['a', '1\n2'],
      ['message', '3'],
    ])
})

test.each([
  ['a byte order mark at the beginning', '\uFEFFdata: 1\n\n', [['message', '1']]],
  ['comments and unknown fields', ': hi\n:\nfoo: bar\nid: 7\ndata: 1\n\n', [['message', '1']]],
  [
    'no space, and more than one',
    'data:1\n\ndata:  2\n\n',
    [
      ['message', '1'],
      ['message', ' 2'],
    ],
  ],
  ['a field without a colon', 'data\ndata\n\n', [['message', '\n']]],
  ['a type without data, which is no event', 'event: a\n\ndata: 1\n\n', [['message', '1']]],
  ['a retry of digits alone', 'retry: 20\nretry: 1.5\nretry: x\nretry:\n', [20]],
  ['an event that is not finished', 'data: 1\n\ndata: 2\n', [['message', '1']]],
])('reads %s', (_, text, expected) => {
  expect(parse([bytes(text)])).toEqual(expected)
})

test('any split into pieces gives the same events', () => {
  const part = fc.constantFrom(
    '\n',
    '\r',
    '\r\n',
    'data: ',
    'data',
    ':',
    'event: x',
    'retry: 5',
    '\u2028',
    'é€😀',
    ' ',
    'z',
    '\uFEFF',
  )
  const stream = fc.array(part, { maxLength: 40 }).map((parts) => parts.join(''))
  fc.assert(
    fc.property(stream, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (text, sizes) => {
      const whole = bytes(text)
      const pieces: Uint8Array[] = []
      for (let at = 0, turn = 0; at < whole.length; turn += 1) {
        const size = sizes[turn % sizes.length] as number
        pieces.push(whole.slice(at, at + size))
        at += size
      }
      expect(parse(pieces)).toEqual(parse([whole]))
    }),
  )
})

test('the time for an event is proportional to its size, however small its pieces are', () => {
  let looked = 0
  const parser = createSseParser({ event: (_, data) => (looked += data.length), retry() {} })
  const piece = 'x'.repeat(1024)
  const started = performance.now()
  parser.read('data: ')
  for (let count = 0; count < 16 * 1024; count += 1) parser.read(piece)
  parser.read('\n\n')
  expect(looked).toBe(16 * 1024 * 1024)
  // A quadratic parser would take minutes: 16,384 pieces of 8 MB on average.
  expect(performance.now() - started).toBeLessThan(5000)
})

test('a value with U+2028 reaches its listener, and the stream continues', async () => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const say = (type: string, fields: object) => response.write(`event: ${type}\ndata: ${JSON.stringify(fields)}\n\n`)
    say('hello', { now: Date.now(), heartbeat: 10_000, level: 'normal' })
    const moments = { changedAt: 1, checkedAt: 1 }
    say('snapshot', { topic: '/a', version: '1:1', ...moments, value: 'one\u2028two' })
    say('snapshot', { topic: '/a', version: '1:2', ...moments, value: 'next' })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  {
    using weir = client({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, transports: ['sse'] })
    const item = listen(weir, '/a')
    await expect.poll(() => item.heard.map(({ value }) => value)).toEqual(['one\u2028two', 'next'])
    expect(weir.status().state).toBe('live')
  }
  server.closeAllConnections()
  server.close()
})
