import type { Values } from '@weir/protocol'
import { describe, expect, test } from 'vitest'
import { EventStream } from '../../../scripts/event-stream.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'
import { RUNTIMES, type Served, testApp } from './served.ts'

const SSE = { headers: { accept: 'text/event-stream' } }

/** An upstream whose value is what a test says. */
function saying(upstream: CountingUpstream): { value: unknown } {
  const now: { value: unknown } = { value: 1 }
  upstream.answer = (_path, response) => json(response, now.value)
  return now
}

function versionOf({ headers }: Response): string {
  return headers.get('weir-version') ?? ''
}

const waitingFor = (site: Served, connections: number) =>
  expect.poll(() => site.gateway.metrics.summary.connections).toBe(connections)

describe.each(RUNTIMES)('on runtime $name', ({ serve }) => {
  describe('a long poll', () => {
    test('without a version is the snapshot, which no cache keeps', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream, { fresh: '60000ms' })] })
      const answer = await site.fetch('/items/a?as=poll')
      expect([answer.status, await answer.json()]).toEqual([200, { path: '/items/a' }])
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': 'application/json',
        'cache-control': 'no-store',
        etag: expect.stringMatching(/^"[\w-]{27}"$/),
        'weir-version': expect.stringMatching(/^\d+:1$/),
        'weir-stale': '?0',
        'weir-level': 'normal',
        age: expect.stringMatching(/^\d+$/),
      })
    })

    test('answers when the value moves beyond what the client has, again and again', async () => {
      await using upstream = await countingUpstream()
      let value = 0
      upstream.answer = (_path, response) => json(response, { value: value++ })
      await using site = await serve({ apps: [testApp(upstream)] })
      let after = versionOf(await site.fetch('/items/a?as=poll'))
      const sequences: number[] = []
      while (sequences.length < 5) {
        const answer = await site.fetch(`/items/a?as=poll&after=${after}`)
        expect(answer.status).toBe(200)
        after = versionOf(answer)
        sequences.push(Number(after.split(':')[1]))
      }
      expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b))
      expect(sequences[0]).toBeGreaterThan(1)
      await waitingFor(site, 0)
    })

    test('answers at once when the value is newer already', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      const version = versionOf(await site.fetch('/items/a'))
      const answer = await site.fetch('/items/a?as=poll&after=1:1&wait=60s')
      expect([answer.status, versionOf(answer), await answer.json()]).toEqual([200, version, 1])
    })

    test('is 204 when the wait is over, with the version that still holds', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream, { fresh: '60000ms' })] })
      const version = versionOf(await site.fetch('/items/a'))
      for (const wait of ['0s', '100ms']) {
        const answer = await site.fetch(`/items/a?as=poll&after=${version}&wait=${wait}`)
        expect([answer.status, await answer.text()]).toEqual([204, ''])
        expect(Object.fromEntries(answer.headers)).toMatchObject({
          'cache-control': 'no-store',
          'weir-version': version,
          'weir-stale': '?0',
          'weir-level': 'normal',
          age: expect.stringMatching(/^\d+$/),
        })
        expect(answer.headers.get('content-length')).toBeNull()
      }
      expect((await site.fetch('/items/a')).status).toBe(200)
    })

    test('keeps its topic moving as a stream does: many who wait cost the upstream what one does', async () => {
      await using upstream = await countingUpstream()
      const now = saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      const version = versionOf(await site.fetch('/items/a'))
      const polls = Array.from({ length: 50 }, () => site.fetch(`/items/a?as=poll&after=${version}&wait=60s`))
      await waitingFor(site, 50)
      now.value = 2
      const answers = await Promise.all(polls)
      expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual(Array.from({ length: 50 }, () => 2))
      expect(new Set(answers.map(versionOf)).size).toBe(1)
      expect(upstream.asked.size).toBe(1)
      await waitingFor(site, 0)
    })

    test('of an absent value is the 404 of the snapshot, with a version to go on from', async () => {
      await using upstream = await countingUpstream()
      const now = saying(upstream)
      now.value = null
      await using site = await serve({ apps: [testApp(upstream)] })
      const absent = await site.fetch('/items/a?as=poll')
      expect([absent.status, await absent.json()]).toEqual([404, expect.objectContaining({ code: 'absent' })])
      expect(absent.headers.get('cache-control')).toBe('no-store')
      const next = site.fetch(`/items/a?as=poll&after=${versionOf(absent)}`)
      await waitingFor(site, 1)
      now.value = 'here'
      expect(await (await next).json()).toBe('here')
    })

    test('of a client that leaves is gone at once', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      const version = versionOf(await site.fetch('/items/a'))
      const leave = new AbortController()
      const gone = site.fetch(`/items/a?as=poll&after=${version}&wait=60s`, { signal: leave.signal }).catch(() => {})
      await waitingFor(site, 1)
      leave.abort()
      await gone
      await waitingFor(site, 0)
    })

    test('counts as a live connection, and is refused beyond the bound', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)], connections: 1 })
      const version = versionOf(await site.fetch('/items/a'))
      const held = site.fetch(`/items/a?as=poll&after=${version}&wait=60s`).catch(() => {})
      await waitingFor(site, 1)
      const refused = await site.fetch(`/items/a?as=poll&after=${version}`)
      expect([refused.status, await refused.json()]).toEqual([
        503,
        expect.objectContaining({ code: 'too_many_connections' }),
      ])
      await site.gateway.close(1000)
      await held
    })

    test('is told to come back when the server goes, so that nothing hangs', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      const version = versionOf(await site.fetch('/items/a'))
      const polls = Array.from({ length: 20 }, () => site.fetch(`/items/a?as=poll&after=${version}&wait=60s`))
      await waitingFor(site, 20)
      const closed = site.gateway.close(60_000)
      const answers = await Promise.all(polls)
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
      const after = answers.map(({ headers }) => Number(headers.get('retry-after')))
      expect(after.every((seconds) => seconds >= 1 && seconds <= 3)).toBe(true)
      expect(await answers[0]?.json()).toMatchObject({ code: 'draining', retry: true })
      const { headers } = answers[0] ?? new Response()
      // The next call of this connection would come too late, and a problem has no age.
      expect(['connection', 'age', 'weir-version'].map((name) => headers.get(name))).toEqual(['close', null, null])
      await closed
    })

    test('by HEAD is the head of the snapshot', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      const version = versionOf(await site.fetch('/items/a'))
      const answer = await site.fetch(`/items/a?as=poll&after=${version}&wait=60s`, { method: 'HEAD' })
      expect([answer.status, versionOf(answer), await answer.text()]).toEqual([200, version, ''])
    })

    test.each([
      ['&after=banana', 'bad_version', 'after: expected epoch:sequence, got "banana"'],
      ['&after=1:1&wait=61s', 'bad_request', 'wait: expected a duration from 0s to 60s, such as 25s, got "61s"'],
      ['&wait=long', 'bad_request', 'wait: expected a duration from 0s to 60s, such as 25s, got "long"'],
      ['&after=1:1&wait=-1s', 'bad_request', 'wait: expected a duration from 0s to 60s, such as 25s, got "-1s"'],
      ['&before=1:1', 'bad_key', 'before: /items/:id takes no query parameters'],
    ])('with %s is refused', async (query, code, detail) => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const refused = await site.fetch(`/items/a?as=poll${query}`)
      expect([refused.status, await refused.json()]).toEqual([400, expect.objectContaining({ code, detail })])
      expect(upstream.calls).toBe(0)
    })

    test('must be asked for: a snapshot knows no version to wait for', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const refused = await site.fetch('/items/a?after=1:1')
      expect([refused.status, await refused.json()]).toEqual([400, expect.objectContaining({ code: 'bad_key' })])
    })
  })

  describe('a client that changes form', () => {
    test('never sees an older version', async () => {
      await using upstream = await countingUpstream()
      let value = 0
      upstream.answer = (_path, response) => json(response, value++)
      await using site = await serve({ apps: [testApp(upstream)] })
      const forms = [
        async () => versionOf(await site.fetch('/items/a')),
        async (last: string) => versionOf(await site.fetch(`/items/a?as=poll&after=${last}`)),
        async () => {
          await using events = new EventStream(await site.fetch('/items/a', SSE))
          return (await events.until('snapshot')).id ?? ''
        },
        async () =>
          (await valuesOf(site, '/items/a')).map((value) => ('version' in value ? value.version : ''))[0] ?? '',
        async () => {
          await using events = new EventStream(await site.fetch('/weir/stream?topic=/items/a'))
          return (await events.until('snapshot')).id ?? ''
        },
      ]
      let last = '1:1'
      let told = 0
      for (let round = 0; round < 25; round++) {
        const version = (await forms[round % forms.length]?.(last)) ?? ''
        const [epoch, sequence] = version.split(':').map(Number)
        const [lastEpoch, lastSequence] = last.split(':').map(Number)
        const older =
          Number(epoch) < Number(lastEpoch) || (epoch === lastEpoch && Number(sequence) < Number(lastSequence))
        expect([version, last, older]).toEqual([version, last, false])
        if (version !== last) told += 1
        last = version
      }
      expect(told).toBeGreaterThan(4)
    })
  })

  describe('in band', () => {
    test('a snapshot says what stays true of it in a cache: that it is stale, and a level that is not normal', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const said = async () => {
        const { headers } = await site.fetch('/items/a')
        return [headers.get('weir-stale'), headers.get('weir-level')]
      }
      await expect.poll(said).toEqual([null, null])
      upstream.answer = (_path, response) => response.destroy()
      await expect.poll(said).toEqual(['?1', null])
      site.gateway.level.set('saver', 'by hand')
      expect((await said())[1]).toBe('saver')
    })

    test('every live connection is told the level at once, whatever it hears', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const paths = ['/items/a?as=sse', '/items/b?as=sse', '/books/x?as=sse', '/stream', '/weir/stream?topic=/items/c']
      const streams = await Promise.all(paths.map(async (path) => new EventStream(await site.fetch(path))))
      for (const events of streams) await events.until('snapshot')
      site.gateway.level.set('saver', 'by hand')
      for (const events of streams) {
        expect(await events.until('level')).toMatchObject({ data: { level: 'saver', now: expect.any(Number) } })
        await events[Symbol.asyncDispose]()
      }
      await using late = new EventStream(await site.fetch('/items/a', SSE))
      expect(await late.next()).toMatchObject({ event: 'hello', data: { level: 'saver' } })
    })

    test('who joins a stale topic hears so at once', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      await using first = new EventStream(await site.fetch('/items/a', SSE))
      await first.until('snapshot')
      upstream.answer = (_path, response) => response.destroy()
      await first.until('heartbeat', ({ data }) => data.stale === true)
      await using late = new EventStream(await site.fetch('/items/a', SSE))
      const { id } = await late.until('snapshot')
      expect(await late.next()).toMatchObject({ event: 'heartbeat', data: { version: id, stale: true } })
      const polled = await site.fetch(`/items/a?as=poll&after=${id}&wait=0s`)
      expect([polled.status, polled.headers.get('weir-stale')]).toEqual([204, '?1'])
    })

    test('who joins a topic that never had a value hears why at once', async () => {
      await using upstream = await countingUpstream()
      upstream.answer = (_path, response) => json(response, {}, 500)
      await using site = await serve({ apps: [testApp(upstream)] })
      await using first = new EventStream(await site.fetch('/items/a', SSE))
      await first.until('error')
      await using late = new EventStream(await site.fetch('/items/a', SSE))
      await late.until('hello')
      expect(await late.next()).toMatchObject({
        event: 'error',
        data: { topic: '/items/a', problem: { code: 'upstream_failed' } },
      })
    })
  })

  describe('many values', () => {
    test('stand in the order in which they were asked for, of any feeds, one named twice in both places', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const topics = ['/items/b', '/books/x?depth=20', '/items/a', '/books/x', '/items/b']
      const answer = await site.fetch(`/weir/values?${query(topics)}`)
      const body = (await answer.json()) as Values
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(body).toMatchObject({ now: expect.any(Number), level: 'normal' })
      expect(body.values.map(({ topic }) => topic)).toEqual(topics.with(3, '/books/x?depth=10'))
      expect(body.values[1]).toEqual({
        topic: '/books/x?depth=20',
        version: expect.stringMatching(/^\d+:1$/),
        changedAt: expect.any(Number),
        checkedAt: expect.any(Number),
        stale: false,
        value: { depth: 20 },
      })
      expect(body.values[4]).toEqual(body.values[0])
      expect(upstream.calls).toBe(2)
    })

    test('are asked for together: keys that may share a call do', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const values = await valuesOf(site, ...Array.from({ length: 20 }, (_, id) => `/quotes/${id}`))
      expect(values.map((value) => 'value' in value && (value.value as { id: string }).id)).toEqual(
        Array.from({ length: 20 }, (_, id) => String(id)),
      )
      expect(upstream.calls).toBe(1)
    })

    test('one that fails leaves the others as they are', async () => {
      await using upstream = await countingUpstream()
      upstream.answer = (path, response) => {
        if (path.endsWith('down')) json(response, {}, 500)
        else json(response, path.endsWith('gone') ? null : { path })
      }
      await using site = await serve({ apps: [testApp(upstream)] })
      const topics = ['/items/UPPER', '/items/a', '/items/gone', '/items/down', '/nowhere', '', 'items/a', '/health']
      const values = await valuesOf(site, ...topics)
      expect(values).toMatchObject([
        { topic: '/items/UPPER', problem: { status: 400, code: 'bad_key' } },
        { topic: '/items/a', value: { path: '/items/a' } },
        { topic: '/items/gone', version: expect.any(String), stale: expect.any(Boolean), reason: 'no such item' },
        { topic: '/items/down', problem: { status: 502, code: 'upstream_failed' } },
        ...topics.slice(4).map((topic) => ({ topic, problem: { status: 404, code: 'not_found' } })),
      ])
    })

    test('go in as the text they are: no digit is lost', async () => {
      await using upstream = await countingUpstream()
      upstream.answer = (_path, response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"epoch":18446744073709551615}')
      await using site = await serve({ apps: [testApp(upstream)] })
      const answer = await site.fetch('/weir/values?topic=/items/a')
      expect(await answer.text()).toContain('"value":{"epoch":18446744073709551615}}]}')
    })

    test('come compressed to those who take it', async () => {
      await using upstream = await countingUpstream()
      upstream.answer = (_path, response) => json(response, { long: 'x'.repeat(3000) })
      await using site = await serve({ apps: [testApp(upstream)] })
      const packed = await site.fetch('/weir/values?topic=/items/a', { headers: { 'accept-encoding': 'gzip' } })
      expect([packed.headers.get('content-encoding'), packed.headers.get('vary')]).toEqual(['gzip', 'accept-encoding'])
      const plain = await site.fetch('/weir/values?topic=/items/a', { headers: { 'accept-encoding': 'identity' } })
      expect(plain.headers.get('content-encoding')).toBeNull()
      expect(((await plain.json()) as Values).values).toMatchObject([{ value: { long: 'x'.repeat(3000) } }])
    })

    test('may be 500, and are stale when their feeds say so', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      expect(await valuesOf(site, ...Array.from({ length: 500 }, (_, id) => `/quotes/${id}`))).toHaveLength(500)
      await expect.poll(() => valuesOf(site, '/items/a')).toMatchObject([{ stale: false }])
      upstream.answer = (_path, response) => response.destroy()
      await expect.poll(() => valuesOf(site, '/items/a')).toMatchObject([{ stale: true, value: 1 }])
    })
  })

  describe('a stream of many topics', () => {
    test('has the topics of several feeds, each as it changes', async () => {
      await using upstream = await countingUpstream()
      const now = saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      const topics = ['/items/a', '/items/b', '/books/x?depth=20', '/items/a']
      await using events = new EventStream(await site.fetch(`/weir/stream?${query(topics)}`))
      const first = [await events.until('snapshot'), await events.until('snapshot'), await events.until('snapshot')]
      expect(first.map(({ data }) => data.topic).sort()).toEqual(['/books/x?depth=20', '/items/a', '/items/b'])
      now.value = 2
      const then = [await events.until('snapshot'), await events.until('snapshot')]
      expect(then.map(({ data }) => [data.topic, data.value]).sort()).toEqual([
        ['/items/a', 2],
        ['/items/b', 2],
      ])
    })

    test('says of a bad topic what is wrong with it, and goes on with the others', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      for (const [path, bad, code] of [
        [`/weir/stream?${query(['/items/UPPER', '/items/a'])}`, '/items/UPPER', 'bad_key'],
        [`/weir/stream?${query(['/items/a', '/nowhere'])}`, '/nowhere', 'not_found'],
        ['/stream?ids=a,UPPER', '/items/UPPER', 'bad_key'],
      ] as const) {
        await using events = new EventStream(await site.fetch(path))
        await events.until('hello')
        expect(await events.next()).toMatchObject({ event: 'error', data: { topic: bad, problem: { code } } })
        expect(await events.until('snapshot')).toMatchObject({ data: { topic: '/items/a' } })
      }
    })

    test('of bad topics alone is not silent: it would count as lost', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)], heartbeat: '50ms' })
      await using events = new EventStream(await site.fetch('/weir/stream?topic=/nowhere'))
      expect(await events.until('error')).toMatchObject({ data: { topic: '/nowhere' } })
      for (let beats = 0; beats < 3; beats++) {
        expect(await events.next()).toMatchObject({ event: 'heartbeat', data: { topic: '/weir/stream' } })
      }
    })

    test('of one topic resumes with the version that the client has', async () => {
      await using upstream = await countingUpstream()
      saying(upstream)
      await using site = await serve({ apps: [testApp(upstream)] })
      const id = versionOf(await site.fetch('/items/a'))
      await using events = new EventStream(
        await site.fetch('/weir/stream?topic=/items/a', { headers: { 'last-event-id': id } }),
      )
      await events.until('hello')
      expect(await events.next()).toMatchObject({ event: 'heartbeat', data: { topic: '/items/a', version: id } })
    })
  })

  test.each(['/weir/values', '/weir/stream'])('%s refuses what names no topics, or too many', async (path) => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    for (const [given, detail] of [
      ['', 'topic: expected 1 to 500 of them, got 0'],
      ['?as=carrier-pigeon', /^as: expected (json|sse), got "carrier-pigeon"$/],
      [
        `?${query(Array.from({ length: 501 }, (_, id) => `/items/${id}`))}`,
        'topic: expected 1 to 500 of them, got 501',
      ],
      ['?topic=/books/x?depth=2&side=bid', 'expected only topic, each percent-encoded, got "side"'],
    ] as const) {
      const refused = await site.fetch(`${path}${given}`)
      const problem = { code: 'bad_request', detail: expect.stringMatching(detail) }
      expect([refused.status, await refused.json()]).toEqual([400, expect.objectContaining(problem)])
    }
    site.gateway.level.set('maintenance', 'by hand')
    expect((await site.fetch(`${path}?topic=/items/a`)).status).toBe(503)
  })
})

function query(topics: readonly string[]): string {
  return topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join('&')
}

async function valuesOf(site: Served, ...topics: readonly string[]): Promise<Values['values']> {
  return ((await (await site.fetch(`/weir/values?${query(topics)}`)).json()) as Values).values
}
