import type { ServerResponse } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { EventStream } from '../../../scripts/event-stream.ts'
import { type Clock, systemClock } from '../src/clock.ts'
import type { WeirEvent } from '../src/events.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { RUNTIMES, testApp } from './served.ts'

const SSE = { headers: { accept: 'text/event-stream' } }

describe.each(RUNTIMES)('on runtime $name', ({ serve }) => {
  describe('a snapshot', () => {
    test('is the value as JSON, with its version, tag and freshness', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream, { fresh: '5000ms' })] })
      const answer = await site.fetch('/items/a')
      expect(answer.status).toBe(200)
      expect(await answer.json()).toEqual({ path: '/items/a' })
      expect(answer.headers.get('content-type')).toBe('application/json')
      expect(answer.headers.get('weir-version')).toMatch(/^\d+:1$/)
      expect(answer.headers.get('etag')).toMatch(/^"[\w-]{27}"$/)
      expect(answer.headers.get('cache-control')).toBe(
        'public, max-age=5, stale-while-revalidate=10, stale-if-error=10',
      )
      expect(answer.headers.get('cache-status')).toBe('weir; fwd=miss; stored')
      expect(answer.headers.get('age')).toBe('0')
    })

    test('is answered from memory while it is fresh: many ask, the upstream once', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream, { fresh: '5000ms' })] })
      const first = await Promise.all(Array.from({ length: 50 }, () => site.fetch('/items/a')))
      expect(first.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200))
      const again = await site.fetch('/items/a')
      expect(again.headers.get('cache-status')).toMatch(/^weir; hit; ttl=[0-4]$/)
      expect(upstream.calls).toBe(1)
    })

    test('that the first gives up is there for the others, and when all do the upstream is hung up on', async () => {
      await using upstream = await countingUpstream()
      const waiting: ServerResponse[] = []
      let came = Promise.withResolvers<void>()
      upstream.answer = (_path, response) => {
        waiting.push(response)
        came.resolve()
      }
      let joined = Promise.withResolvers<void>()
      const told: WeirEvent['type'][] = []
      const observe = ({ type }: WeirEvent) => {
        told.push(type)
        if (type === 'flight.joined') joined.resolve()
      }
      await using site = await serve({ apps: [testApp(upstream)], observe })
      const ask = async (path: string) => {
        came = Promise.withResolvers()
        joined = Promise.withResolvers()
        const controllers = [new AbortController(), new AbortController()] as const
        const [first, second] = controllers.map(({ signal }) => site.fetch(path, { signal }))
        second?.catch(() => {})
        await Promise.all([came.promise, joined.promise])
        controllers[0].abort()
        // A client of the web runtime has no connection that ends: it is answered all the same.
        await first?.catch(() => {})
        return { second, leave: () => controllers[1].abort() }
      }
      const shared = await ask('/items/a')
      const [response] = waiting
      if (response === undefined) throw new Error('expected the upstream to be asked')
      json(response, 'there')
      expect(await (await shared.second)?.json()).toBe('there')

      const { leave } = await ask('/items/b')
      const hungUp = new Promise((resolve) => waiting[1]?.once('close', resolve))
      leave()
      await hungUp
      expect(waiting[1]?.writableFinished).toBe(false)
      expect(upstream.calls).toBe(2)
      // It was given up, and did not run out of time.
      expect(told).not.toContain('pool.failed')
    })

    test('is 304 when the client has it, in any compression', async () => {
      await using upstream = await countingUpstream()
      upstream.answer = (_path, response) => json(response, { long: 'x'.repeat(3000) })
      await using site = await serve({ apps: [testApp(upstream, { fresh: '5000ms' })] })
      const plain = await site.fetch('/items/a', { headers: { 'accept-encoding': 'identity' } })
      const etag = plain.headers.get('etag') ?? ''
      for (const [given, accepted] of [
        [etag, 'identity'],
        [`W/${etag}`, 'identity'],
        [`"other", ${etag.replace(/"$/, '-br"')}`, 'br'],
        [etag, 'gzip'],
      ] as const) {
        const headers = { 'if-none-match': given, 'accept-encoding': accepted }
        const answer = await site.fetch('/items/a', { headers })
        expect([given, answer.status, await answer.text()]).toEqual([given, 304, ''])
      }
      expect((await site.fetch('/items/a', { headers: { 'if-none-match': '*' } })).status).toBe(304)
      expect((await site.fetch('/items/a', { headers: { 'if-none-match': '"other"' } })).status).toBe(200)
    })

    test.each([
      ['br', brotliDecompressSync],
      ['gzip', gunzipSync],
    ])('comes as %s to those who take it, once it is large enough', async (name, decompress) => {
      await using upstream = await countingUpstream()
      upstream.answer = (path, response) =>
        json(response, path.endsWith('large') ? { long: 'x'.repeat(3000) } : { short: true })
      await using site = await serve({ apps: [testApp(upstream, { fresh: '5000ms' })] })
      const raw = { headers: { 'accept-encoding': name } }
      const call = {
        method: 'GET',
        url: '/items/large',
        path: '/items/large',
        query: '',
        remote: '',
        identity: undefined,
        headers: () => [],
        header: (header: string) => (header === 'accept-encoding' ? name : undefined),
        body: async () => new Uint8Array(),
        signal: new AbortController().signal,
      }
      const answer = await site.gateway.sites[0]?.handle(call)
      if (answer?.kind !== 'whole' || !(answer.body instanceof Uint8Array)) throw new Error('expected bytes')
      expect(answer.headers['content-encoding']).toBe(name)
      expect(JSON.parse(decompress(answer.body).toString())).toEqual({ long: 'x'.repeat(3000) })
      const again = await site.gateway.sites[0]?.handle(call)
      expect(again?.kind === 'whole' && again.body).toBe(answer.body)
      expect((await site.fetch('/items/small', raw)).headers.get('content-encoding')).toBeNull()
      expect(
        (await site.fetch('/items/large', { headers: { 'accept-encoding': `${name};q=0, identity` } })).headers.get(
          'content-encoding',
        ),
      ).toBeNull()
    })

    test('of HEAD has the headers and no body', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const answer = await site.fetch('/items/a', { method: 'HEAD' })
      expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
        200,
        'application/json',
        '',
      ])
    })

    test('has one topic for all ways to write its address', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream, { fresh: '5000ms' })] })
      await site.fetch('/items/%C3%A9')
      await site.fetch(`/items/${encodeURIComponent('e\u0301')}`)
      await site.fetch('/items/%c3%a9?as=json')
      expect(upstream.calls).toBe(1)
    })

    test('keeps its version while the value is the same, and counts up when it changes', async () => {
      await using upstream = await countingUpstream()
      let value = 1
      upstream.answer = (_path, response) => json(response, { value })
      await using site = await serve({ apps: [testApp(upstream, { fresh: '0ms' })] })
      const versions: string[] = []
      for (const next of [1, 1, 2, 2, 3]) {
        value = next
        const asked = upstream.calls
        // A stale value is answered at once and fetched behind the answer: ask until the new one is there.
        await expect
          .poll(async () => ((await (await site.fetch('/items/a')).json()) as { value: number }).value)
          .toBe(next)
        await expect.poll(() => upstream.calls).toBeGreaterThan(asked)
        versions.push((await site.fetch('/items/a')).headers.get('weir-version')?.split(':')[1] ?? '')
      }
      expect(versions).toEqual(['1', '1', '2', '2', '3'])
    })
  })

  describe('a live stream', () => {
    test('begins with hello and the value, then has every change, and versions only rise', async () => {
      await using upstream = await countingUpstream()
      let value = 0
      upstream.answer = (_path, response) => json(response, { value: value++ })
      await using site = await serve({ apps: [testApp(upstream)] })
      const response = await site.fetch('/items/a', SSE)
      await using events = new EventStream(response)
      expect(response.headers.get('content-type')).toBe('text/event-stream')
      expect(response.headers.get('cache-control')).toBe('no-store, no-transform')
      expect(await events.next()).toMatchObject({ event: 'hello', data: { heartbeat: 10_000, level: 'normal' } })
      expect(events.retry).toBeGreaterThanOrEqual(1000)
      const sequences: number[] = []
      const values: unknown[] = []
      while (sequences.length < 5) {
        const { id, data } = await events.until('snapshot')
        expect(data).toMatchObject({ topic: '/items/a', version: id })
        sequences.push(Number(id?.split(':')[1]))
        values.push((data.value as { value: number }).value)
      }
      expect(sequences).toEqual([1, 2, 3, 4, 5])
      expect(values).toEqual([0, 1, 2, 3, 4])
    })

    test('is the same by ?as=sse', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      await using events = new EventStream(await site.fetch('/items/a?as=sse'))
      expect(await events.until('snapshot')).toMatchObject({ data: { topic: '/items/a' } })
    })

    test('costs the upstream the same for one client as for fifty', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const streams = await Promise.all(
        Array.from({ length: 50 }, async () => new EventStream(await site.fetch('/items/a', SSE))),
      )
      const first = await Promise.all(streams.map((events) => events.until('snapshot')))
      expect(new Set(first.map(({ id }) => id)).size).toBe(1)
      const rounds = site.gateway.metrics.summary.upstreamCalls
      expect(upstream.calls).toBeLessThanOrEqual(rounds + 1)
      expect(upstream.asked.size).toBe(1)
      await Promise.all(streams.map((events) => events[Symbol.asyncDispose]()))
      await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
    })

    test('asks the upstream no more once nobody listens and the linger is over', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      {
        await using events = new EventStream(await site.fetch('/items/a', SSE))
        await events.until('snapshot')
      }
      await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
      // Quiet for far longer than an interval: then it has stopped.
      const seen: number[] = []
      await expect
        .poll(() => seen.push(upstream.calls) > 1 && seen.at(-1) === seen.at(-2), { interval: 150 })
        .toBe(true)
    })

    test('resumes with a heartbeat in place of what the client already has', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      await using first = new EventStream(await site.fetch('/items/a', SSE))
      const { id = '' } = await first.until('snapshot')
      await using again = new EventStream(
        await site.fetch('/items/a', { headers: { ...SSE.headers, 'last-event-id': id } }),
      )
      await again.until('hello')
      expect(await again.next()).toMatchObject({
        event: 'heartbeat',
        data: { topic: '/items/a', version: id, stale: false },
      })
      await using other = new EventStream(
        await site.fetch('/items/a', { headers: { ...SSE.headers, 'last-event-id': '1:1' } }),
      )
      expect(await other.until('snapshot')).toMatchObject({ id })
    })

    test('says that there is no value, and gives it at once when there is', async () => {
      await using upstream = await countingUpstream()
      upstream.answer = (_path, response) => json(response, null)
      await using site = await serve({ apps: [testApp(upstream)] })
      await using events = new EventStream(await site.fetch('/items/a', SSE))
      expect(await events.until('absent')).toMatchObject({ data: { topic: '/items/a', reason: 'no such item' } })
      upstream.answer = (_path, response) => json(response, { now: true })
      expect(await events.until('snapshot')).toMatchObject({ data: { value: { now: true } } })
    })

    test('says why while there is no value yet, and goes on by itself', async () => {
      await using upstream = await countingUpstream()
      upstream.answer = (_path, response) => json(response, { error: 'down' }, 500)
      await using site = await serve({ apps: [testApp(upstream)] })
      await using events = new EventStream(await site.fetch('/items/a', SSE))
      expect(await events.until('error')).toMatchObject({
        data: { topic: '/items/a', problem: { code: 'upstream_failed', status: 502, retry: true } },
      })
      upstream.answer = (_path, response) => json(response, { up: true })
      expect(await events.until('snapshot')).toMatchObject({ data: { value: { up: true } } })
    })

    test('says when the value grows stale and when it is confirmed again, at the same version', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      await using events = new EventStream(await site.fetch('/items/a', SSE))
      const { id } = await events.until('snapshot')
      const answer = upstream.answer
      upstream.answer = (_path, response) => response.destroy()
      expect(await events.until('heartbeat', ({ data }) => data.stale === true)).toMatchObject({
        data: { version: id },
      })
      upstream.answer = answer
      expect(await events.until('heartbeat', ({ data }) => data.stale === false)).toMatchObject({
        data: { version: id },
      })
    })

    test('is never silent for longer than the heartbeat, though nothing changes', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)], heartbeat: '100ms' })
      await using events = new EventStream(await site.fetch('/items/a', SSE))
      await events.until('snapshot')
      let last = performance.now()
      for (let beats = 0; beats < 5; beats++) {
        expect(await events.until('heartbeat')).toMatchObject({ data: { topic: '/items/a' } })
        // Far beyond the promise, since the machine that runs the test may stall.
        expect(performance.now() - last).toBeLessThan(1000)
        last = performance.now()
      }
    })

    test('of many keys has each, and refuses more than it may have', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      await using events = new EventStream(await site.fetch('/stream?ids=a,b,c'))
      const topics = new Set<unknown>()
      while (topics.size < 3) topics.add((await events.until('snapshot')).data.topic)
      expect([...topics].sort()).toEqual(['/items/a', '/items/b', '/items/c'])
      const refused = await site.fetch('/stream?ids=a,b,c,d,e,f')
      expect([refused.status, await refused.json()]).toEqual([
        400,
        expect.objectContaining({ code: 'bad_key', detail: 'ids: expected at most 5 keys, got 6' }),
      ])
    })

    test('of everything has what others watch, and what it always keeps', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      await using one = new EventStream(await site.fetch('/items/a', SSE))
      await one.until('snapshot')
      await using all = new EventStream(await site.fetch('/stream'))
      const topics = new Set<unknown>()
      while (topics.size < 2) topics.add((await all.until('snapshot')).data.topic)
      await using late = new EventStream(await site.fetch('/items/late', SSE))
      await late.until('snapshot')
      while (topics.size < 3) topics.add((await all.until('snapshot')).data.topic)
      expect([...topics].sort()).toEqual(['/items/a', '/items/always', '/items/late'])
    })

    test('ends with a goodbye when the server goes', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      await using events = new EventStream(await site.fetch('/items/a', SSE))
      await events.until('snapshot')
      const closed = site.gateway.close(1000)
      expect(await events.until('goodbye')).toMatchObject({ data: { retry: expect.any(Number) } })
      expect(await events.next()).toBeUndefined()
      await closed
    })
  })

  describe('bad input', () => {
    test.each([
      ['a key that its schema refuses', '/items/UPPER', {}, 400, 'bad_key'],
      ['a broken percent-encoding', '/items/%E0%A4%A', {}, 400, 'bad_key'],
      ['a query parameter that nobody knows', '/items/a?depth=3', {}, 400, 'bad_key'],
      ['a query parameter out of range', '/books/x?depth=1000', {}, 400, 'bad_key'],
      ['an unknown form', '/items/a?as=carrier-pigeon', {}, 400, 'bad_request'],
      [
        'a last-event-id that is no version',
        '/items/a',
        { headers: { ...SSE.headers, 'last-event-id': 'banana' } },
        400,
        'bad_version',
      ],
      [
        'a last-event-id beyond what numbers hold',
        '/items/a',
        { headers: { ...SSE.headers, 'last-event-id': '9999999999999999:1' } },
        400,
        'bad_version',
      ],
      ['an unknown address', '/nothing', {}, 404, 'not_found'],
      ["an address of the gateway's that is not there", '/weir/nothing', {}, 404, 'not_found'],
      ['a value that is not there', '/items/gone', {}, 404, 'absent'],
      ['a wrong method', '/items/a', { method: 'POST', body: 'x' }, 405, 'method_not_allowed'],
      ['an address of 100 KB', `/items/${'a'.repeat(100_000)}`, {}, 414, 'uri_too_long'],
      ['an address of 40 KB', `/items/${'a'.repeat(40_000)}`, {}, 414, 'uri_too_long'],
    ])('%s is a problem with a code, and the process goes on', async (_what, path, init, status, code) => {
      await using upstream = await countingUpstream()
      upstream.answer = (path, response) => json(response, path.includes('gone') ? null : { path })
      await using site = await serve({ apps: [testApp(upstream)] })
      const answer = await site.fetch(path, init)
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      const problem = await answer.json()
      expect([answer.status, problem]).toEqual([
        status,
        {
          type: `https://weir.dev/errors#${code}`,
          title: expect.any(String),
          status,
          code,
          detail: expect.any(String),
          retry: expect.any(Boolean),
          ...(code === 'absent' ? { retryAfter: 1 } : {}),
        },
      ])
      if (status === 405) expect(answer.headers.get('allow')).toBe('GET, HEAD')
      expect((await site.fetch('/items/fine')).status).toBe(200)
    })

    test.each([
      ['is down', 502, 'upstream_failed', (response: import('node:http').ServerResponse) => response.destroy()],
      ['fails', 502, 'upstream_failed', (response: import('node:http').ServerResponse) => json(response, {}, 500)],
      [
        'refuses our key',
        502,
        'upstream_refused',
        (response: import('node:http').ServerResponse) => json(response, {}, 401),
      ],
      [
        'answers no JSON',
        502,
        'upstream_invalid',
        (response: import('node:http').ServerResponse) => response.end('<html>'),
      ],
      [
        'says to wait',
        503,
        'upstream_limited',
        (response: import('node:http').ServerResponse) => json(response, {}, 429),
      ],
    ])('an upstream that %s is told as such', async (_what, status, code, answer) => {
      await using upstream = await countingUpstream()
      upstream.answer = (_path, response) => answer(response)
      await using site = await serve({ apps: [testApp(upstream)] })
      const failed = await site.fetch('/items/a')
      expect([failed.status, await failed.json()]).toEqual([status, expect.objectContaining({ code })])
    })

    test('an upstream that says for how long to wait is passed on', async () => {
      await using upstream = await countingUpstream()
      upstream.answer = (_path, response) => response.writeHead(429, { 'retry-after': '7' }).end()
      await using site = await serve({ apps: [testApp(upstream)] })
      const limited = await site.fetch('/items/a')
      expect([limited.status, limited.headers.get('retry-after')]).toEqual([503, '7'])
    })
  })

  describe('what the gateway owns', () => {
    test('health has what load balancers and operators ask for', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      expect(await (await site.fetch('/health')).json()).toEqual({ status: 'healthy' })
      expect(await (await site.fetch('/api/health')).json()).toMatchObject({
        status: 'healthy',
        connections: 0,
        queue: 0,
        cacheSize: 0,
        timestamp: expect.any(Number),
        level: 'normal',
        upstreams: [{ name: 'source', queued: 0, running: 0 }],
      })
      expect(await (await site.fetch('/api/db/health')).json()).toMatchObject({ status: 'healthy', database: 'none' })
    })

    test('health names an upstream that fails, says degraded for as long, and nothing of where it is', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      const health = async () => {
        const answer = await site.fetch('/api/health')
        return { code: answer.status, text: await answer.text() }
      }
      const status = async () => JSON.parse((await health()).text).status
      upstream.answer = (_path, response) => json(response, { key: 'hidden' }, 503)
      for (const name of ['a', 'b', 'c']) await site.fetch(`/items/${name}`)
      const { code, text } = await health()
      expect(code).toBe(200)
      expect(JSON.parse(text)).toMatchObject({
        status: 'degraded',
        troubles: [{ of: 'upstream', name: 'source', state: 'failing', seconds: expect.any(Number) }],
      })
      expect(text).not.toMatch(/127\.0\.0\.1|http:|hidden/)
      // It takes clients all the same.
      expect(await (await site.fetch('/health')).json()).toEqual({ status: 'healthy' })
      upstream.answer = (path, response) => json(response, { path })
      let asked = 0
      await expect
        .poll(
          async () => {
            await site.fetch(`/items/good${asked++}`)
            return status()
          },
          { timeout: 20_000 },
        )
        .toBe('healthy')
    }, 30_000)

    test('health says unwell while nothing reaches those who listen, however well the process runs', async () => {
      await using upstream = await countingUpstream()
      let stuck = false
      const lost: (() => void)[] = []
      const clock: Clock = {
        ...systemClock,
        soon: (task) => void (stuck ? lost.push(task) : systemClock.soon(task)),
      }
      await using site = await serve({ apps: [testApp(upstream)], clock, heartbeat: '40ms' })
      const health = async () => {
        const answer = await site.fetch('/health')
        return [answer.status, (await answer.json()).status, (await site.fetch('/api/health')).status]
      }
      await using stream = new EventStream(await site.fetch('/items/a?as=sse'))
      await stream.until('snapshot')
      for (let beats = 0; beats < 5; beats++) await stream.until('heartbeat')
      expect(await health()).toEqual([200, 'healthy', 200])
      stuck = true
      await expect.poll(health).toEqual([503, 'unwell', 503])
      stuck = false
      for (const task of lost) task()
      await expect.poll(health).toEqual([200, 'healthy', 200])
      await stream[Symbol.asyncDispose]()
      // Nobody listens: there is nothing to deliver.
      await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
      stuck = true
      expect(await health()).toEqual([200, 'healthy', 200])
    })

    test('metrics are in Prometheus text format and count what happened', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream, { fresh: '60000ms' })] })
      for (let reads = 0; reads < 3; reads++) await site.fetch('/items/a')
      const answer = await site.fetch('/metrics')
      const text = await answer.text()
      expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
      expect(text).toContain('weir_requests_total{app="test",route="/items/:id",status="200"} 3')
      expect(text).toContain('weir_upstream_calls_total{upstream="source",status="200"} 1')
      expect(text).toContain('weir_cache_reads_total{feed="item",outcome="miss"} 1')
      expect(text).toContain('weir_cache_reads_total{feed="item",outcome="hit"} 2')
    })

    test('maintenance closes the site to clients and not to operators', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)] })
      site.gateway.level.set('maintenance', 'by hand')
      const closed = await site.fetch('/items/a')
      expect([closed.status, closed.headers.get('retry-after'), await closed.json()]).toEqual([
        503,
        '30',
        expect.objectContaining({ code: 'maintenance' }),
      ])
      expect((await site.fetch('/api/health')).status).toBe(200)
      site.gateway.level.set('normal', 'by hand')
      expect((await site.fetch('/items/a')).status).toBe(200)
    })

    test('live connections beyond the bound are refused, and snapshots are not', async () => {
      await using upstream = await countingUpstream()
      await using site = await serve({ apps: [testApp(upstream)], connections: 1 })
      await using one = new EventStream(await site.fetch('/items/a', SSE))
      await one.until('snapshot')
      const refused = await site.fetch('/items/a', SSE)
      expect([refused.status, await refused.json()]).toEqual([
        503,
        expect.objectContaining({ code: 'too_many_connections' }),
      ])
      expect((await site.fetch('/items/a')).status).toBe(200)
    })
  })

  describe("an app's own routes", () => {
    test('are served behind the feeds, with bodies, cookies and errors of their own', async () => {
      await using upstream = await countingUpstream()
      const routes = new Hono()
        .post('/echo', async (context) =>
          context.json({ got: await context.req.text(), host: context.req.header('x-mine') ?? null }, 201),
        )
        .get('/cookies', (context) => {
          context.header('set-cookie', 'a=1', { append: true })
          context.header('set-cookie', 'b=2', { append: true })
          return context.text('ok')
        })
      await using site = await serve({ apps: [testApp(upstream, { routes })] })
      const echoed = await site.fetch('/echo', { method: 'POST', body: 'words', headers: { 'x-mine': 'yes' } })
      expect([echoed.status, await echoed.json()]).toEqual([201, { got: 'words', host: 'yes' }])
      expect((await site.fetch('/cookies')).headers.getSetCookie()).toEqual(['a=1', 'b=2'])
      expect((await site.fetch('/items/a')).status).toBe(200)
    })

    test.each([
      ['/items/:other', 'feed "item" has /items/:id'],
      ['/health', 'the gateway has /health'],
      ['/weir/mine', 'outside /weir'],
    ])('may not take %s', async (path, words) => {
      await using upstream = await countingUpstream()
      const routes = new Hono().get(path, (context) => context.text('mine'))
      await expect(serve({ apps: [testApp(upstream, { routes })] })).rejects.toThrow(words)
    })
  })
})
