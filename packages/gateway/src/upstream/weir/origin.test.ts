import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { systemClock } from '../../clock.ts'
import type { WeirEvent } from '../../events.ts'
import { createOrigin, type OriginNews } from './origin.ts'

const TOPIC = '/prices/SOL'
const VALUE = { topic: TOPIC, version: '5:1', changedAt: 1, checkedAt: 2, value: { a: 1, b: { c: 2 } } }

type Said = Readonly<Record<string, unknown>>

/** An origin that says what it is told to. Who subscribes is accepted, and told the same value. */
async function opened() {
  const clock = { ...systemClock, now: () => Date.now() + jumped }
  let jumped = 0
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const said: Said[] = []
  const subscribed: Said[] = []
  let peer: WebSocket | undefined
  let connections = 0
  let name = TOPIC
  const say = (message: Said) => peer?.send(JSON.stringify(message))
  server.on('connection', (socket) => {
    peer = socket
    connections += 1
    say({ type: 'hello', now: Date.now(), heartbeat: 1000, level: 'normal' })
    socket.on('message', (text) => {
      const message: Said = JSON.parse(String(text))
      said.push(message)
      if (message.type !== 'subscribe') return
      subscribed.push(message)
      say({ type: 'subscribed', id: message.id, topic: message.topic === TOPIC ? name : message.topic })
      if (message.since === undefined) say({ type: 'snapshot', ...VALUE })
    })
  })
  const news: OriginNews[] = []
  const events: WeirEvent[] = []
  const origin = createOrigin({
    name: 'origin',
    plan: {
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
      headers: {},
      silenceTimeout: 5000,
      maxTopics: 10,
    },
    clock,
    emit: (event) => void events.push(event),
    random: () => 0,
    level: () => {},
  })
  return {
    origin,
    news,
    events,
    said,
    subscribed,
    say,
    get connections() {
      return connections
    },
    follow: () => origin.follow(TOPIC, (one) => void news.push(one)),
    /** As a feed follows it. */
    feed() {
      const deaf = { began() {}, came() {}, changed() {}, confirmed() {}, failed() {}, topicOf: String }
      const source = origin.feed(deaf)
      source.follow(TOPIC, TOPIC, clock.monotonic)
      return source
    },
    jump(milliseconds: number) {
      jumped += milliseconds
    },
    callIt(other: string) {
      name = other
    },
    async [Symbol.asyncDispose]() {
      origin.stop()
      for (const client of server.clients) client.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const values = (news: readonly OriginNews[]) =>
  news.flatMap((one) => (one.type === 'told' ? [one.told.content.json?.toString()] : []))

describe('an origin that is followed', () => {
  test('is told what we have when we come back, and patches go on from there', async () => {
    await using all = await opened()
    all.follow()
    await expect.poll(() => values(all.news)).toEqual(['{"a":1,"b":{"c":2}}'])
    all.say({ type: 'goodbye', retry: 0 })
    await expect.poll(() => all.subscribed.map(({ since }) => since)).toEqual([undefined, '5:1'])
    all.say({ type: 'patch', topic: TOPIC, from: '5:1', version: '5:2', changedAt: 3, checkedAt: 3, patch: { a: 2 } })
    await expect.poll(() => values(all.news)).toEqual(['{"a":1,"b":{"c":2}}', '{"a":2,"b":{"c":2}}'])
  })

  test.each([
    ['counts messages that never came', { type: 'heartbeat', seq: 7, now: 1, level: 'normal' }, '5:1'],
    ['patches what it did not tell', { ...VALUE, type: 'patch', from: '5:9', version: '5:10', patch: {} }, undefined],
  ])('that %s is closed, and opened again', async (_, message, since) => {
    await using all = await opened()
    all.follow()
    await expect.poll(() => all.news.length).toBe(1)
    all.say(message)
    await expect.poll(() => all.connections).toBe(2)
    await expect.poll(() => all.subscribed.at(-1)?.since).toBe(since)
    expect(all.events.filter(({ type }) => type === 'push.lost')).toHaveLength(1)
  })

  test('that counts as many as came is not', async () => {
    await using all = await opened()
    all.follow()
    await expect.poll(() => all.news.length).toBe(1)
    all.say({ type: 'heartbeat', seq: 3, now: Date.now(), level: 'normal' })
    all.say({ type: 'heartbeat', topic: TOPIC, version: '5:1', checkedAt: 9, stale: false, now: 1, level: 'normal' })
    await expect.poll(() => all.news.length).toBe(2)
    expect(all.connections).toBe(1)
  })

  test('counts ages right at once when our clock is set', async () => {
    await using all = await opened()
    all.follow()
    await expect.poll(() => all.news.length).toBe(1)
    all.jump(3_600_000)
    const said = Date.now() - 5000
    all.say({ ...VALUE, type: 'snapshot', version: '5:2', changedAt: said, checkedAt: said })
    await expect.poll(() => all.news.length).toBe(2)
    const [, last] = all.news
    const checkedAt = last?.type === 'told' ? last.told.content.stamp?.checkedAt : undefined
    expect(Math.abs(Number(checkedAt) - (said + 3_600_000))).toBeLessThan(1000)
  })

  test('that goes is left alone for as long as it asked', async () => {
    await using all = await opened()
    all.follow()
    await expect.poll(() => all.news.length).toBe(1)
    const left = performance.now()
    all.say({ type: 'goodbye', retry: 300 })
    await expect.poll(() => all.connections).toBe(2)
    expect(performance.now() - left).toBeGreaterThanOrEqual(299)
  })

  test('that comes back has said nothing of a value until it says it on the new connection', async () => {
    await using all = await opened()
    const source = all.feed()
    const said = () => source.said?.(TOPIC, '5:1')
    const beat = (stale: boolean) =>
      all.say({ type: 'heartbeat', topic: TOPIC, version: '5:1', checkedAt: 9, stale, now: 1, level: 'normal' })
    /** Another connection, on which the topic is accepted, and nothing is said of it yet. */
    const comeBack = async () => {
      const { connections } = all
      all.say({ type: 'goodbye', retry: 50 })
      await expect.poll(() => all.connections).toBe(connections + 1)
      await expect.poll(() => source.hears(TOPIC)).toBe(true)
    }
    await expect.poll(said).toMatchObject({ stale: false })
    const before = performance.now()
    all.say({ type: 'goodbye', retry: 100 })
    await expect.poll(() => all.connections).toBe(2)
    await expect.poll(() => source.hears(TOPIC)).toBe(true)
    // It was not stale for as long as the connection before lasted.
    const { at = Number.POSITIVE_INFINITY } = said() ?? {}
    expect(at - before).toBeLessThan(100)
    expect(source.heardAt(TOPIC) - before).toBeGreaterThanOrEqual(100)
    beat(true)
    await expect.poll(said).toMatchObject({ stale: true })
    await comeBack()
    // Nothing says that it could be confirmed meanwhile.
    expect(said()).toBeUndefined()
    beat(false)
    await expect.poll(said).toMatchObject({ stale: false })
  })

  test('under another name for a topic is not heard of it', async () => {
    await using all = await opened()
    all.callIt('/prices/sol')
    all.follow()
    await expect.poll(() => all.events.some(({ type }) => type === 'push.refused')).toBe(true)
    expect(all.origin.hears(TOPIC)).toBe(false)
  })

  test('ends no topic that is followed again by now', async () => {
    await using all = await opened()
    all.origin.follow('/first', () => {})
    await expect.poll(() => all.origin.hears('/first')).toBe(true)
    // All before the first of them is accepted.
    all.follow()
    all.origin.leave(TOPIC)
    all.follow()
    await expect.poll(() => values(all.news)).toHaveLength(2)
    all.origin.follow('/last', () => {})
    await expect.poll(() => all.said.at(-1)?.topic).toBe('/last')
    expect(all.said.filter(({ topic }) => topic === TOPIC).map(({ type }) => type)).toEqual(['subscribe', 'subscribe'])
  })
})
