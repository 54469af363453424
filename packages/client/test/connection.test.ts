import { CLOSE_CODES } from '@weir/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backoff } from '../src/connection.ts'
import { createClient, type Entry } from '../src/index.ts'
import { splitTopics, topicQuery } from '../src/link.ts'
import { RECONNECT_AFTER } from '../src/socket.ts'
import { type Asked, HELLO, snapshot, world } from './manual-world.ts'
import { listen } from './world.ts'

describe('the connection', () => {
  test('opens nothing before the first subscription, and closes after the last', async () => {
    const { time, asked, weir } = world()
    await time.advance(1000)
    expect(asked).toEqual([])
    expect(weir.status()).toEqual({ state: 'idle', stale: 0 })
    const { stop } = listen(weir, '/a')
    await time.advance(0)
    expect(asked.map(({ address }) => address)).toEqual(['http://weir.test/weir/stream?topic=%2Fa&since='])
    stop()
    await time.advance(5100)
    expect(weir.status().state).toBe('idle')
  })

  test.each([
    undefined,
    class {
      constructor() {
        throw new Error('forbidden by policy')
      }
    } as unknown as typeof WebSocket,
  ])('a WebSocket that there is none of, or that may not be, is a blocked one', async (WebSocket) => {
    const { time, asked, weir } = world(['ws', 'poll'], 0.5, WebSocket)
    listen(weir, '/a')
    await time.advance(0)
    await time.advance(0)
    expect(asked.map(({ address }) => address)).toEqual(['http://weir.test/weir/values?topic=%2Fa'])
  })

  test('pauses after failures are random below a limit that doubles up to fifteen seconds', async () => {
    expect([0, 1, 2, 3, 4, 50].map((failures) => backoff(failures, 1))).toEqual([1000, 2000, 4000, 8000, 15000, 15000])
    expect(backoff(9, 0)).toBe(0)
    const away = world()
    listen(away.weir, '/a')
    for (let tries = 0; tries < 6; tries += 1) {
      await away.time.settle()
      await away.time.advance(0)
      away.last.break()
      await away.time.settle()
      await away.time.advance((away.weir.status().retryAt ?? 0) - away.time.now())
    }
    expect(away.pauses()).toEqual([500, 1000, 2000, 4000, 7500, 7500])
  })

  test('a wait that the server asks for is added', async () => {
    const { time, weir, asked } = world()
    listen(weir, '/a')
    await time.advance(0)
    asked.at(-1)?.refuse(503, { 'retry-after': '7' })
    await time.advance(7499)
    expect(asked).toHaveLength(1)
    await time.advance(1)
    expect(asked).toHaveLength(2)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', HELLO)
    stream?.say('goodbye', { retry: 3000 })
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'offline', retryAt: time.now() + 3500 })
  })

  test('is lost after two heartbeats of silence, and any message counts', async () => {
    const { time, weir, asked } = world()
    listen(weir, '/a')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', HELLO)
    await time.advance(1900)
    stream?.say('level', { level: 'saver', now: HELLO.now })
    await time.advance(1900)
    expect(weir.status()).toMatchObject({ state: 'live', level: 'saver', transport: 'sse', heartbeat: 1000 })
    await time.advance(100)
    expect(weir.status().state).toBe('offline')
  })

  test('a value without confirmation for three heartbeats is stale and requested again, though the connection lives', async () => {
    const { time, weir, asked } = world()
    const item = listen(weir, '/a')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', HELLO)
    stream?.say('snapshot', snapshot('5:1', 1))
    for (let beat = 0; beat < 30 && asked.length === 1; beat += 1) {
      await time.advance(500)
      // A heartbeat names a version that never arrives.
      stream?.say('heartbeat', {
        topic: '/a',
        version: '5:2',
        checkedAt: 2,
        stale: false,
        now: HELLO.now,
        level: 'normal',
      })
    }
    expect(asked).toHaveLength(2)
    expect(item.last).toMatchObject({ value: 1, stale: true })
    expect(weir.status()).toMatchObject({ state: 'stale', stale: 1 })
    const anew = asked.at(-1)?.stream()
    anew?.say('hello', HELLO)
    anew?.say('snapshot', snapshot('5:2', 2))
    await time.settle()
    expect(item.last).toMatchObject({ value: 2, stale: false })
    expect(weir.status().state).toBe('live')
  })

  test('a topic that fails and never had a value counts as stale, and the status has the reason', async () => {
    const { time, weir, asked } = world()
    listen(weir, '/a')
    weir.subscribe('/log', () => {}, { since: '1:1' })
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', HELLO)
    const problem = { type: '', title: 'Down', status: 502, code: 'upstream_failed', detail: 'HTTP 500', retry: true }
    for (const topic of ['/a', '/log']) stream?.say('error', { topic, problem })
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'stale', stale: 2, problem: { code: 'upstream_failed' } })
    stream?.say('snapshot', snapshot('5:1', 1))
    stream?.say('event', { topic: '/log', position: '1:2', at: 1, event: 1 })
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'live', stale: 0 })
    expect(weir.status().problem).toBeUndefined()
    // A topic with a value that is not reported as stale stays live.
    stream?.say('error', { topic: '/a', problem })
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'live', stale: 0, problem: { code: 'upstream_failed' } })
  })

  test('a stream is replaced by one with other topics only once that delivers', async () => {
    const { time, weir, asked } = world()
    const a = listen(weir, '/a')
    await time.advance(0)
    const first = asked.at(-1)?.stream()
    first?.say('hello', HELLO)
    await time.settle()
    const b = listen(weir, '/b')
    await time.advance(50)
    expect(asked.at(-1)?.address).toContain('topic=%2Fa&since=&topic=%2Fb&since=')
    first?.say('snapshot', snapshot('1:1', 'still heard'))
    await time.settle()
    expect(a.last?.value).toBe('still heard')
    const second = asked.at(-1)?.stream()
    second?.say('hello', HELLO)
    second?.say('snapshot', snapshot('1:2', 'new', '/b'))
    await time.settle()
    first?.say('snapshot', snapshot('1:3', 'too late'))
    await time.settle()
    expect([a.last?.value, b.last?.value]).toEqual(['still heard', 'new'])
    expect(weir.status().state).toBe('live')
    listen(weir, '/c')
    await time.advance(50)
    // Known events are not requested again; otherwise the log would start over.
    expect(asked.at(-1)?.address).toContain('topic=%2Fa&since=1:1&topic=%2Fb&since=1:2&topic=%2Fc&since=')
  })

  test('a better transport takes over once it delivers, not after its hello', async () => {
    const { time, weir, asked } = world(['sse', 'poll'])
    const item = listen(weir, '/a')
    await time.advance(0)
    asked.at(-1)?.break()
    await time.settle()
    await time.advance(0)
    const { now, level } = HELLO
    asked.at(-1)?.answer({ now, level, values: [{ ...snapshot('1:1', 'polled'), stale: false }] })
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'live', transport: 'poll' })
    // Half of the pause is fixed, and half of the other half is the random part here: 7.5 s.
    await time.advance(7500)
    expect(asked.at(-1)?.address).toContain('/weir/stream')
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', HELLO)
    await time.settle()
    expect(weir.status().transport).toBe('poll')
    stream?.say('snapshot', snapshot('1:2', 'streamed'))
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'live', transport: 'sse' })
    expect(item.heard.map(({ value }) => value)).toEqual(['polled', 'streamed'])
  })

  test('a listener that returns within five seconds has the value at once', async () => {
    const { time, weir, asked } = world()
    const first = listen(weir, '/a')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', HELLO)
    stream?.say('snapshot', snapshot('1:1', 'kept'))
    await time.settle()
    first.stop()
    for (let waited = 0; waited < 4500; waited += 500) {
      await time.advance(500)
      stream?.say('heartbeat', {
        topic: '/a',
        version: '1:1',
        checkedAt: 9,
        stale: false,
        now: HELLO.now,
        level: 'normal',
      })
    }
    await time.settle()
    const second = listen(weir, '/a')
    expect(second.heard).toMatchObject([{ value: 'kept', stale: false }])
    expect(asked).toHaveLength(1)
    second.stop()
    await time.advance(5000)
    expect(listen(weir, '/a').heard).toEqual([])
  })

  test('a listener that throws does not end the connection', async () => {
    const { time, weir, asked } = world()
    weir.subscribe('/a', () => {
      throw new Error('the listener’s own')
    })
    const other = listen(weir, '/a')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', HELLO)
    stream?.say('snapshot', snapshot('1:1', 1))
    await time.settle().catch(() => {})
    expect(other.heard).toHaveLength(1)
    await expect(time.advance(0)).rejects.toThrow('the listener’s own')
    expect(weir.status().state).toBe('live')
  })

  test('ages are measured by the server’s clock, whatever this machine’s clock shows', async () => {
    const { time, weir, asked } = world()
    listen(weir, '/a')
    await time.advance(0)
    const now = time.now() + 3_600_000
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, now })
    await time.settle()
    expect(weir.now()).toBe(now)
    // A message with a long delay changes nothing, a clock that was set does.
    stream?.say('level', { level: 'normal', now: now - 400 })
    await time.settle()
    expect(weir.now()).toBe(now)
    time.jump(7_200_000)
    stream?.say('level', { level: 'normal', now: now + 100 })
    await time.settle()
    expect(weir.now()).toBe(now + 100)
  })
})

test('topics are split by the limits of an address and a connection, in order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string({ minLength: 1, maxLength: 60 }), { maxLength: 700 }), (names) => {
      const topics = names.map((name) => `/${name.toWellFormed()}`)
      const parts = splitTopics(topics)
      expect(parts.flat()).toEqual(topics)
      for (const part of parts) {
        expect(part.length).toBeLessThanOrEqual(500)
        expect(topicQuery(part, () => '1795292850938:999999999999').length).toBeLessThanOrEqual(7000)
      }
    }),
  )
})

test('reconnect delays after a close equal the protocol’s table', () => {
  for (const { code, retry, after } of Object.values(CLOSE_CODES))
    expect(RECONNECT_AFTER[code] ?? 0).toBe(retry ? after : 0)
})

test('whatever the order of messages: versions only rise, and end at the newest', async () => {
  const version = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 6 })).map((pair) => pair.join(':'))
  const said = fc.record({
    type: fc.constantFrom('snapshot', 'absent', 'heartbeat', 'again'),
    version,
    checkedAt: fc.integer({ min: 0, max: 9 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(said, { maxLength: 30 }), async (messages) => {
      const { time, weir, asked } = world()
      const item = listen(weir, '/a')
      await time.advance(0)
      let stream = asked.at(-1)?.stream()
      stream?.say('hello', HELLO)
      const shown: string[] = []
      for (const { type, version, checkedAt } of messages) {
        if (type === 'again') {
          // Another connection begins with its own values.
          stream?.say('goodbye', { retry: 1 })
          await time.settle()
          await time.advance(600)
          stream = asked.at(-1)?.stream()
          stream?.say('hello', HELLO)
        } else if (type === 'heartbeat') {
          stream?.say(type, { topic: '/a', version, checkedAt, stale: false, now: HELLO.now, level: 'normal' })
        } else {
          shown.push(version)
          stream?.say(type, { ...snapshot(version, version), checkedAt, reason: 'none' })
        }
        await time.settle()
      }
      const order = (text = '0:0') => text.split(':').reduce((sum, part) => sum * 1000 + Number(part), 0)
      const heard = item.heard.map(({ version }: Entry) => order(version))
      expect(heard).toEqual(heard.toSorted((a, b) => a - b))
      expect(order(item.last?.version)).toBe(Math.max(0, ...shown.map(order)))
      weir.close()
    }),
    { numRuns: 60 },
  )
})

describe('polling backs off after refusals', () => {
  const problem = { type: '', title: 'No', status: 401, code: 'unauthenticated', detail: 'no caller', retry: false }
  const head = { now: HELLO.now, level: 'normal' }

  test('does not repeat requests with an expired credential, and the status has the reason', async () => {
    const { time, weir, asked } = world(['poll'])
    listen(weir, '/a')
    await time.advance(0)
    asked.at(-1)?.answer({ ...head, values: [{ ...snapshot('1:1', 1), stale: false }] })
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'live' })
    // From now on each held request is refused, and each round has the reason.
    for (let passed = 0; passed < 60_000; passed += 100) {
      const { address } = asked.at(-1) as Asked
      if (address.includes('as=poll')) asked.at(-1)?.refuse(401)
      else asked.at(-1)?.answer({ ...head, values: [{ topic: '/a', problem }] })
      await time.advance(100)
    }
    expect(asked.length).toBeLessThan(10)
    expect(weir.status()).toMatchObject({ state: 'stale', stale: 1, problem: { code: 'unauthenticated' } })
  })

  test('also of held requests, while values are served', async () => {
    const { time, weir, asked } = world(['poll'])
    listen(weir, '/a')
    for (let passed = 0; passed < 60_000; passed += 100) {
      await time.advance(100)
      const { address } = asked.at(-1) as Asked
      if (address.includes('as=poll')) asked.at(-1)?.refuse(403)
      else asked.at(-1)?.answer({ ...head, values: [{ ...snapshot('1:1', 1), stale: false }] })
    }
    expect(asked.length).toBeLessThan(16)
  })

  test.each([
    ['304', (request: Asked) => request.refuse(304)],
    ['a page to sign in', (request: Asked) => request.page()],
    ['the same value', (request: Asked) => request.answer({}, { 'weir-version': '1:1' })],
  ])(
    'held requests that end at once without news count as refused, and the status has the reason: %s',
    async (_, end) => {
      const { time, weir, asked } = world(['poll'])
      const item = listen(weir, '/a')
      let version = '1:1'
      let answered = 0
      const problems = new Set()
      async function pass(milliseconds: number) {
        for (let passed = 0; passed < milliseconds; passed += 100) {
          await time.advance(100)
          for (const request of asked.slice(answered)) {
            if (request.address.includes('as=poll')) end(request)
            else request.answer({ ...head, values: [{ ...snapshot(version, version), stale: false }] })
          }
          answered = asked.length
          problems.add(weir.status().problem?.code)
        }
      }
      await pass(60_000)
      expect(asked.length).toBeLessThan(20)
      expect(problems).toContain('unexpected_answer')
      // Changes are still shown.
      version = '1:2'
      await pass(31_000)
      expect(item.last?.value).toBe('1:2')
    },
  )

  test('continues at once after a held request that ended because its value changed', async () => {
    const { time, weir, asked } = world(['poll'])
    listen(weir, '/a')
    let answered = 0
    for (let turn = 0; turn < 100; turn += 1) {
      await time.advance(100)
      const request = asked[answered]
      if (request === undefined) continue
      answered += 1
      if (request.address.includes('as=poll')) request.answer({}, { 'weir-version': `1:${turn}` })
      else request.answer({ ...head, values: [{ ...snapshot(`1:${turn}`, turn), stale: false }] })
    }
    expect(asked.length).toBeGreaterThan(45)
    expect(weir.status().problem).toBeUndefined()
  })

  test.each([
    ['poll', (request: Asked) => request.page()],
    ['poll', (request: Asked) => request.answer({ ok: true })],
    ['sse', (request: Asked) => request.page()],
    ['sse', (request: Asked) => request.answer({ ok: true })],
  ] as const)('an answer that is not of Weir is reported in the status: %s', async (transport, end) => {
    const { time, weir, asked } = world([transport])
    listen(weir, '/a')
    await time.advance(0)
    end(asked.at(-1) as Asked)
    await time.settle()
    expect(weir.status()).toMatchObject({ state: 'offline', problem: { code: 'unexpected_answer', status: 200 } })
    const got = weir.get('/b')
    asked.at(-1)?.page()
    await expect(got).rejects.toMatchObject({ problem: { code: 'unexpected_answer' } })
  })

  test.each([
    ['a round', { 'retry-after': '40' }, '/weir/values'],
    ['a held request', { 'retry-after': '40' }, 'as=poll'],
    [
      'a date',
      { 'retry-after': 'Thu, 01 Jan 2026 00:00:40 GMT', date: 'Thu, 01 Jan 2026 00:00:00 GMT' },
      '/weir/values',
    ],
  ])('Retry-After is obeyed: %s', async (_, headers, where) => {
    const { time, weir, asked } = world(['poll'])
    listen(weir, '/a')
    await time.advance(0)
    if (where === 'as=poll') {
      asked.at(-1)?.answer({ ...head, values: [{ ...snapshot('1:1', 1), stale: false }] })
      await time.settle()
    }
    expect(asked.at(-1)?.address).toContain(where)
    const { length } = asked
    asked.at(-1)?.refuse(429, headers)
    await time.settle()
    await time.advance(39_000)
    expect(asked).toHaveLength(length)
    await time.advance(3000)
    expect(asked).toHaveLength(length + 1)
  })
})

test('a client without an address reports that, and a closed one too', async () => {
  const nowhere = createClient({})
  await expect(nowhere.get('/a')).rejects.toThrow('url: expected the address of the server')
  await expect(nowhere.publish('/a', 1)).rejects.toThrow('url: expected the address of the server')
  expect(() => nowhere.subscribe('/a', () => {})).toThrow('url: expected the address of the server')
  const { weir } = world()
  weir.close()
  expect(weir.status().state).toBe('closed')
  await expect(weir.get('/a')).rejects.toThrow('The client is closed')
})

describe('ages', () => {
  test('of an answer from a cache count from its own Age and Date, and never come from the browser’s cache', async () => {
    const { time, weir, asked } = world()
    listen(weir, '/other')
    await time.advance(0)
    asked
      .at(-1)
      ?.stream()
      .say('hello', { ...HELLO, now: time.now() })
    await time.settle()
    const age = async (headers: Record<string, string>) => {
      const got = weir.get('/a')
      await time.settle()
      expect(asked.at(-1)?.cache).toBe('no-store')
      asked.at(-1)?.answer({}, { 'weir-version': '1:1', ...headers })
      return weir.now() - (await got).checkedAt
    }
    const date = (before: number) => ({ date: new Date(time.now() - before).toUTCString() })
    expect(await age({ age: '7' })).toBe(7000)
    expect(await age({ age: '1', ...date(20_000) })).toBeGreaterThanOrEqual(19_000)
    expect(await age({ age: '30', ...date(20_000) })).toBe(30_000)
    // A server whose clock is ahead, and one with an invalid header.
    expect(await age({ age: '-5', ...date(-20_000) })).toBe(0)
    expect(await age({ age: 'old', date: 'yesterday' })).toBe(0)
  })

  test('are never negative, even if the server’s clock was an hour ahead for a moment', async () => {
    const { time, weir, asked } = world()
    const item = listen(weir, '/a')
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    const start = time.now()
    const hour = 3_600_000
    const ages: number[] = []
    const say = async (type: string, fields: object) => {
      stream?.say(type, fields)
      await time.settle()
      if (item.last) ages.push(weir.now() - (weir.entry('/a')?.checkedAt ?? 0))
      await time.advance(500)
    }
    const beat = (now: number, checkedAt: number) => {
      return say('heartbeat', { topic: '/a', version: '1:1', checkedAt, stale: false, now, level: 'normal' })
    }
    await say('hello', { ...HELLO, now: start })
    await say('snapshot', { ...snapshot('1:1', 1), changedAt: start, checkedAt: start })
    await beat(time.now() + hour, time.now() + hour)
    await say('level', { level: 'normal', now: time.now() })
    await beat(time.now(), start + hour)
    await beat(time.now(), time.now())
    expect(ages.every((age) => age >= 0)).toBe(true)
    expect(ages.at(-1)).toBeLessThan(1000)
    // Values that state a future time.
    await say('snapshot', { ...snapshot('1:2', 2), changedAt: start + hour, checkedAt: start + hour })
    expect(ages.at(-1)).toBeGreaterThanOrEqual(0)
  })
})
