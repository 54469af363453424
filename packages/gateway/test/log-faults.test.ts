import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, type HistoryOptions, log } from '../src/index.ts'

const KEY = { id: 'a' }
const PATH = '/answers/a'

/** A gateway with one log, on a real socket. */
async function open(history: HistoryOptions = {}) {
  const answers = log('/answers/:id', { name: 'answers', key: { id: z.string() }, event: z.unknown(), history })
  const gateway = createGateway({ apps: [defineApp({ name: 'test', use: [answers] })] })
  const [url = ''] = await gateway.listen({ port: 0 })
  const readers = new Set<Reader>()
  return {
    answers,
    gateway,
    read: (since?: string) => {
      const reader = new Reader(Number(new URL(url).port), since)
      readers.add(reader)
      return reader
    },
    async [Symbol.asyncDispose]() {
      for (const { socket } of readers) socket.destroy()
      await gateway.close(1000)
    },
  }
}

/** A client on a bare socket, which can stop reading. */
class Reader {
  readonly socket: Socket
  /** Offsets of the events that it heard, and the names of all messages that were something else. */
  readonly offsets: number[] = []
  readonly others: string[] = []
  last = ''
  closed = false
  #text = ''

  constructor(port: number, since?: string) {
    this.socket = connect({ port, host: '127.0.0.1' })
    const resume = since === undefined ? '' : `last-event-id: ${since}\r\n`
    this.socket.write(`GET ${PATH}?as=sse HTTP/1.1\r\nhost: x\r\n${resume}\r\n`)
    this.socket.setEncoding('latin1').on('data', (chunk: string) => this.#hear(chunk))
    this.socket.once('close', () => {
      this.closed = true
    })
    this.socket.on('error', () => {})
  }

  #hear(chunk: string): void {
    const messages = (this.#text + chunk).split('\n\n')
    this.#text = messages.pop() ?? ''
    for (const message of messages) {
      const name = /^event: (.*)$/m.exec(message)?.[1] ?? 'none'
      const id = /^id: (.*)$/m.exec(message)?.[1]
      if (id !== undefined) this.last = id
      if (name === 'event') this.offsets.push(Number(id?.split(':')[1]))
      else this.others.push(name)
    }
  }
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

test('a thousand who join while events flow hear each event once and in order', { timeout: 60_000 }, async () => {
  await using opened = await open({ events: 50 })
  const { answers, read } = opened
  const readers: Reader[] = []
  let count = 0
  while (readers.length < 1000) {
    for (let i = 0; i < 50; i++) readers.push(read())
    // They come in among these: some hear an event live that others of their batch replay.
    const waiting = () => readers.some(({ others }) => !others.includes('hello'))
    for (let turn = 0; waiting(); turn++) {
      if (turn < 10) await answers.publish(KEY, count++)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const behind = () => readers.filter(({ offsets }) => offsets.at(-1) !== count).length
  await expect.poll(behind, { timeout: 20_000 }).toBe(0)
  expect(count).toBeGreaterThan(60)
  for (const { offsets, others } of readers) {
    expect([offsets, others]).toEqual([upTo(count).slice(-offsets.length), expect.not.arrayContaining(['gap'])])
  }
})

test('a reader that stopped is cut and resumes where it was; the others miss nothing, and memory is bounded', async () => {
  await using opened = await open({ events: 200 })
  const { answers, gateway, read } = opened
  const quick = read()
  const stopped = read()
  await answers.publish(KEY, 'first')
  await expect.poll(() => [quick.last, stopped.last].map((last) => last.split(':')[1])).toEqual(['1', '1'])
  stopped.socket.pause()

  // 100 MB: far more than the kernel takes for a reader that does not read.
  const large = 'x'.repeat(100_000)
  let count = 1
  while (count <= 1000) {
    for (let i = 0; i < 20; i++, count++) await answers.publish(KEY, large)
    await expect.poll(() => quick.offsets.at(-1)).toBe(count)
  }
  expect(quick.offsets).toEqual(upTo(count))
  await expect.poll(() => gateway.metrics.summary.connections).toBe(1)
  expect(await gateway.metrics.text([])).toMatch(/^weir_connections_cut_total 1$/m)

  stopped.socket.resume()
  await expect.poll(() => stopped.closed).toBe(true)
  // It heard the beginning whole, as much as the network held, and no more.
  expect(stopped.offsets).toEqual(upTo(stopped.offsets.length))
  expect(stopped.offsets.length).toBeLessThan(200)

  const again = read(stopped.last)
  await expect.poll(() => again.offsets.at(-1)).toBe(count)
  expect(again.others).toContain('gap')
  expect(again.offsets).toEqual(upTo(count).slice(-200))
})

test('a reader that is cut inside the history resumes without a gap', async () => {
  await using opened = await open({ events: 5000 })
  const { answers, read } = opened
  const first = read()
  for (let n = 1; n <= 50; n++) await answers.publish(KEY, n)
  await expect.poll(() => first.offsets.length).toBeGreaterThan(0)
  first.socket.destroy()
  await expect.poll(() => first.closed).toBe(true)
  for (let n = 51; n <= 100; n++) await answers.publish(KEY, n)
  const second = read(first.last)
  await expect.poll(() => second.offsets.at(-1)).toBe(100)
  expect([...first.offsets, ...second.offsets]).toEqual(upTo(100))
  expect(second.others).not.toContain('gap')
})

test('a publisher that is faster than its readers costs them nothing: each hears all of it', async () => {
  await using opened = await open({ events: 20_000 })
  const { answers, read } = opened
  const readers = [read(), read(), read()]
  await expect.poll(() => readers.every(({ others }) => others.includes('hello'))).toBe(true)
  async function* burst() {
    for (let n = 1; n <= 20_000; n++) yield { n, text: 'some words of an answer' }
  }
  await answers.publishAll(KEY, burst())
  await expect
    .poll(() => readers.map(({ offsets }) => offsets.length), { timeout: 10_000 })
    .toEqual([20_000, 20_000, 20_000])
  for (const { offsets } of readers) expect(offsets).toEqual(upTo(20_000))
})
