import { compareVersions, parseVersion } from '@weir/protocol'
import { describe, expect, test, vi } from 'vitest'
import { EventStream } from '../../../scripts/event-stream.ts'
import { freePort } from '../../../scripts/free-port.ts'
import { redisServer } from '../../../scripts/redis-server.ts'
import { run, weir } from '../../../scripts/running.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { Crowd } from './crowd.ts'
import { mostWithin } from './slow-road.ts'
import { type WorkerHealth, Workers } from './workers.ts'

const STEPS = 'packages/gateway/test/fixtures/steps.ts'
const LEFT = 'packages/gateway/test/fixtures/left.ts'
const RIGHT = 'packages/gateway/test/fixtures/right.ts'

// Each starts several processes, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

/** What steps.ts asks for ten times a second. */
const EVERY = 100

/** A connection of its own, so that the system picks a worker for each request. */
function once(url: string, init: RequestInit = {}): Promise<Response> {
  return fetch(url, { ...init, headers: { ...init.headers, connection: 'close' } })
}

async function stream(url: string): Promise<EventStream> {
  return new EventStream(await fetch(`${url}?as=sse`))
}

/** Streams on every worker, at least one on each. */
async function onAll(site: Workers, path: string): Promise<readonly EventStream[]> {
  const streams: EventStream[] = []
  await vi.waitFor(
    async () => {
      streams.push(await stream(`${site.url}${path}`))
      expect((await site.serving()).every(({ connections }) => connections > 0)).toBe(true)
    },
    { timeout: 15_000, interval: 100 },
  )
  return streams
}

describe('what workers share', () => {
  test('a cold herd over four workers is one call, and all have the same version', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (_path, response) => void setTimeout(() => json(response, { step: 1 }), 200)
    await using site = await Workers.start(4, [STEPS], { UPSTREAM_URL: upstream.url })
    const answers = await Promise.all(Array.from({ length: 200 }, () => once(`${site.url}/items/a`)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ headers }) => headers.get('weir-version'))).size).toBe(1)
    expect(upstream.calls).toBe(1)
    const counted = async () =>
      /weir_requests_total\{app="steps",route="\/items\/:id",status="200"\} (\d+)/.exec(
        await (await once(`${site.url}/metrics`)).text(),
      )?.[1]
    await expect.poll(counted).toBe('200')
  })

  test('all tell what one publishes and ask as often as one; whoever dies, another asks in its place', async () => {
    await using upstream = await countingUpstream()
    let step = 0
    upstream.answer = (_path, response) => json(response, { step })
    await using site = await Workers.start(3, [STEPS], { UPSTREAM_URL: upstream.url })
    const streams = [...(await onAll(site, '/items/a'))]
    step = 1
    const seen = await Promise.all(
      streams.map((one) => one.until('snapshot', ({ data }) => (data.value as { step: number }).step === 1)),
    )
    expect(new Set(seen.map(({ id }) => id)).size).toBe(1)

    const { arrivals } = upstream
    await expect.poll(() => arrivals.length, { interval: 5 }).toBeGreaterThanOrEqual(20)
    // One of them asks ten times a second, a twentieth sooner or later.
    expect((arrivals[19] ?? 0) - (arrivals[0] ?? 0)).toBeGreaterThan(19 * EVERY * 0.95 - EVERY)

    const version = parseVersion(seen[0]?.id ?? '') ?? { epoch: 0, sequence: 0 }
    for (const { pid } of await site.serving()) {
      process.kill(pid, 'SIGKILL')
      await expect
        .poll(async () => (await site.serving()).filter((one) => one.pid !== pid).length, { interval: 50 })
        .toBe(3)
      // A watcher on each of those that live, the new one among them.
      streams.push(...(await onAll(site, '/items/a')))
      const before = arrivals.length
      await expect.poll(() => arrivals.length - before).toBeGreaterThan(5)
    }
    // Nobody waited for leases or claims of the dead: a call of theirs could have held those for ten seconds.
    const gaps = arrivals.slice(1).map((at, index) => at - (arrivals[index] ?? at))
    expect(Math.max(...gaps)).toBeLessThan(2000)
    const after = parseVersion(String((await once(`${site.url}/items/a`)).headers.get('weir-version')))
    expect(compareVersions(after ?? version, version)).toBeGreaterThanOrEqual(0)
    await Promise.allSettled(streams.map((one) => one[Symbol.asyncDispose]()))
  })

  test('with a Redis each is a node of its own: they share there, and with workers of other machines', async () => {
    await using redis = await redisServer()
    await using upstream = await countingUpstream()
    upstream.answer = (_path, response) => void setTimeout(() => json(response, { step: 1 }), 200)
    const environment = { UPSTREAM_URL: upstream.url, REDIS_URL: redis.url }
    await using one = await Workers.start(2, [STEPS], environment)
    await using other = await Workers.start(2, [STEPS], environment)
    const answers = await Promise.all(
      Array.from({ length: 80 }, (_, index) => once(`${index % 2 === 0 ? one.url : other.url}/items/a`)),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ headers }) => headers.get('weir-version'))).size).toBe(1)
    expect(upstream.calls).toBe(1)
    expect((await one.serving()).map(({ id }) => id)).toEqual([1, 2])
  })

  test('the budget of an upstream is not broken by three workers under load, nor when they are killed with calls under way', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (path, response) => void setTimeout(() => json(response, { path }), 50)
    const { arrivals } = upstream
    await using site = await Workers.start(3, [LEFT, RIGHT], { UPSTREAM_URL: upstream.url })
    let key = 0
    let going = true
    const clients = Array.from({ length: 24 }, async () => {
      while (going) {
        key += 1
        await once(`${site.urls[key % 2]}/values/${key}`).catch(() => {})
      }
    })
    for (const { pid } of await site.serving()) {
      const before = arrivals.length
      await expect.poll(() => arrivals.length - before).toBeGreaterThan(4)
      process.kill(pid, 'SIGKILL')
    }
    const before = arrivals.length
    await expect.poll(() => arrivals.length - before).toBeGreaterThan(9)
    going = false
    await Promise.all(clients)
    expect(mostWithin(arrivals, 1000)).toBe(5)
  })
})

describe('the supervisor', () => {
  test('prints each address once, has all workers on it, sums their metrics and counts what the dead counted', async () => {
    await using upstream = await countingUpstream()
    await using site = await Workers.start(2, [LEFT, RIGHT], { UPSTREAM_URL: upstream.url })
    expect(site.urls).toHaveLength(2)
    const all = () => site.serving()
    expect((await all()).map(({ id }) => id)).toEqual([1, 2])
    const here = new Set<number>()
    for (let i = 0; i < 40; i++) {
      expect((await once(`${site.urls[i % 2]}/health`)).status).toBe(200)
      for (const { id, here: self } of await all()) if (self) here.add(id)
    }
    expect(here).toEqual(new Set([1, 2]))
    const counted = async () => {
      const text = await (await once(`${site.url}/metrics`)).text()
      return [...text.matchAll(/^weir_requests_total\{app="\w+",route="\/health",status="200"\} (\d+)$/gm)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      )
    }
    // Each of them says so: what one counted it has told, which it does once a second.
    const said = () => Promise.all(Array.from({ length: 16 }, counted))
    await expect.poll(async () => new Set(await said())).toEqual(new Set([40]))
    process.kill((await all())[0]?.pid ?? 0, 'SIGKILL')
    await expect.poll(async () => (await all()).map(({ id }) => id)).toEqual([2, 3])
    // Who was started in its place is told within a second.
    await expect.poll(counted).toBe(40)
  })

  test('a port that is taken, or an app that is wrong, is said once, exit code 1', async () => {
    const port = await freePort()
    await using upstream = await countingUpstream()
    const taken = new URL(upstream.url).port
    await using busy = weir(['start', LEFT, '--workers', '3', '--port', taken], { UPSTREAM_URL: upstream.url })
    expect(await busy.ended).toBe(1)
    expect(busy.complained).toBe(
      `weir: port ${taken}: expected a free port, got one that another program uses; choose another with --port\n`,
    )
    await using wrong = weir(['start', LEFT, LEFT, '--workers', '3', '--port', String(port)], {
      UPSTREAM_URL: upstream.url,
    })
    expect(await wrong.ended).toBe(1)
    expect(wrong.complained.split('\n')).toHaveLength(2)
    expect(wrong.complained).toContain('expected apps with different names')
  })

  test('each of them names an upstream that fails for any of them', async () => {
    await using upstream = await countingUpstream()
    await using site = await Workers.start(2, [LEFT], { UPSTREAM_URL: upstream.url })
    upstream.answer = (_path, response) => void response.writeHead(503).end()
    await (await once(`${site.url}/values/1`)).arrayBuffer()
    const health = async () => (await once(`${site.url}/api/health`)).json()
    await expect
      .poll(
        async () => {
          const all = await Promise.all(Array.from({ length: 20 }, health))
          return new Set(all.map(({ status, troubles }) => `${status} ${troubles[0]?.name}`)).size
        },
        { timeout: 10_000 },
      )
      .toBe(1)
    expect(await health()).toMatchObject({ status: 'degraded', troubles: [{ of: 'upstream', state: 'failing' }] })
  })

  test('each of them names a feed whose watched value is stale for one of them', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (_path, response) => json(response, { step: 1 })
    await using site = await Workers.start(2, [STEPS], { UPSTREAM_URL: upstream.url })
    await using watching = await stream(`${site.url}/items/a`)
    for (let event = await watching.next(); event?.event !== 'snapshot'; ) event = await watching.next()
    upstream.answer = () => {}
    const named = async () => {
      const all = await Promise.all(
        Array.from({ length: 20 }, async () => (await once(`${site.url}/api/health`)).json()),
      )
      return all.every(({ status, troubles }) => status === 'degraded' && troubles.some(isStaleItem))
    }
    const isStaleItem = ({ of, name, state }: Record<string, unknown>) =>
      of === 'feed' && name === 'item' && state === 'stale'
    await expect.poll(named, { timeout: 20_000 }).toBe(true)
  })

  test('SIGUSR2 presses all of them, and one that is started later begins as hard pressed', async () => {
    await using upstream = await countingUpstream()
    await using site = await Workers.start(2, [LEFT], { UPSTREAM_URL: upstream.url })
    site.running.signal('SIGUSR2')
    await site.running.says(/^level saver$/m)
    process.kill((await site.serving())[0]?.pid ?? 0, 'SIGKILL')
    await expect.poll(async () => (await site.serving()).map(({ id }) => id)).toEqual([2, 3])
    const levels = await Promise.all(
      Array.from({ length: 40 }, async () => (await (await once(`${site.url}/api/health`)).json()).level),
    )
    expect(new Set(levels)).toEqual(new Set(['saver']))
  })

  test('SIGTERM drains all: live clients are told when to come back, calls under way are finished; nobody is left', async () => {
    await using upstream = await countingUpstream()
    const held = new Promise<(value: unknown) => void>((resolve) => {
      upstream.answer = (path, response) => {
        if (path.endsWith('late')) resolve((value) => json(response, value))
        else json(response, { path })
      }
    })
    await using site = await Workers.start(2, [LEFT], { UPSTREAM_URL: upstream.url })
    const streams = await onAll(site, '/values/a')
    const workers = await site.serving()
    const late = fetch(`${site.url}/values/late`)
    const answer = await held
    const began = performance.now()
    site.running.signal('SIGTERM')
    await site.running.says(/Draining/)
    for (const one of streams) {
      const { data } = await one.until('goodbye')
      expect(data.retry).toBeGreaterThanOrEqual(500)
      expect(await one.next()).toBeUndefined()
    }
    answer({ path: 'late' })
    expect(await (await late).json()).toEqual({ path: 'late' })
    expect(await site.running.ended).toBe(0)
    expect(performance.now() - began).toBeLessThan(4000)
    for (const { pid } of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })

  test('when the supervisor is killed its workers end too', async () => {
    await using upstream = await countingUpstream()
    await using site = await Workers.start(2, [LEFT], { UPSTREAM_URL: upstream.url })
    const workers = await site.serving()
    site.running.signal('SIGKILL')
    await site.running.ended
    await vi.waitFor(() => {
      for (const { pid } of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    }, 10_000)
  })

  test('a worker that needs more memory than it may is replaced', async () => {
    await using upstream = await countingUpstream()
    await using site = await Workers.start(2, [LEFT, '--worker-memory', '1mb'], { UPSTREAM_URL: upstream.url })
    await expect.poll(async () => (await site.serving()).map(({ id }) => id), { timeout: 15_000 }).toEqual([3, 4])
    expect(site.running.complained).toMatch(/^weir: worker 1 uses \d+ MB and is replaced$/m)
  })

  test('a worker that hangs is replaced', async () => {
    await using upstream = await countingUpstream()
    await using site = await Workers.start(2, [LEFT], { UPSTREAM_URL: upstream.url })
    const [first] = await site.serving()
    process.kill(first?.pid ?? 0, 'SIGSTOP')
    await expect
      .poll(async () => (await site.serving()).filter(({ pid }) => pid !== first?.pid).length, { timeout: 30_000 })
      .toBe(2)
    expect(site.running.complained).toContain('has not responded for 10 s and is killed')
  })

  test('a full worker leaves new clients to those that have room', async () => {
    await using upstream = await countingUpstream()
    await using crowd = new Crowd()
    await using site = await Workers.start(4, [LEFT, '--connections', '200'], { UPSTREAM_URL: upstream.url })
    // Nearly as many as all can have, and more than an uneven spread would let in.
    await crowd.tell({ kind: 'join', port: site.port, path: '/values/a?as=sse', count: 720, perSecond: 150 })
    const shares = async () => (await site.serving()).map(({ connections }) => connections)
    await expect.poll(async () => (await shares()).reduce((sum, share) => sum + share, 0)).toBe(720)
    await crowd.tell({ kind: 'leave' })
    await expect.poll(shares).toEqual([0, 0, 0, 0])
    await expect
      .poll(async () => new Set((await Promise.all(Array.from({ length: 40 }, () => site.serving()))).map(hereOf)).size)
      .toBe(4)
  })
})

function hereOf(workers: readonly WorkerHealth[]): number {
  return workers.find(({ here }) => here)?.id ?? 0
}

describe('under load', () => {
  test('a rolling restart drops no request, on connections that stay and on new ones, and streams are told to come back', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (_path, response) => void setTimeout(() => json(response, { step: 1 }), 20)
    await using site = await Workers.start(3, [STEPS], { UPSTREAM_URL: upstream.url })
    const before = await site.serving()
    const streams = await onAll(site, '/items/live')
    const failures: unknown[] = []
    let answered = 0
    let going = true
    const client = async (ask: (url: string) => Promise<Response>, index: number) => {
      for (let i = 0; going; i++) {
        try {
          const answer = await ask(`${site.url}/items/${(index + i) % 7}`)
          if (answer.status !== 200) failures.push(answer.status)
          await answer.arrayBuffer()
          answered += 1
        } catch (error) {
          failures.push(error)
        }
      }
    }
    const clients = Array.from({ length: 16 }, (_, index) => client(index % 2 === 0 ? fetch : once, index))
    site.running.signal('SIGHUP')
    await site.running.says(/^All workers were replaced\.$/m, 40_000)
    going = false
    await Promise.all(clients)
    expect(failures).toEqual([])
    expect(answered).toBeGreaterThan(1000)
    const after = await site.serving()
    expect(after).toHaveLength(3)
    expect(after.filter(({ pid }) => before.some((one) => one.pid === pid))).toEqual([])
    for (const one of streams) {
      expect((await one.until('goodbye')).data.retry).toBeGreaterThanOrEqual(500)
      expect(await one.next()).toBeUndefined()
    }
  })

  test('a worker killed under 2,000 subscribers is replaced, its clients come back, and the upstream is asked no more than before', async () => {
    const clients = 2000
    const mint = 'So11111111111111111111111111111111111111112'
    await using jupiter = run(['packages/simulators/src/main.ts', 'jupiter', '--strict', '--key', 'jup_test=weir'])
    const upstream = (await jupiter.says(/"url":"([^"]+)"/))[1] ?? ''
    const stats = async (): Promise<Record<string, number>> => (await fetch(`${upstream}/__stats`)).json()
    await using crowd = new Crowd()
    await using site = await Workers.start(3, ['apps/prices', '--heartbeat', '2s'], {
      JUPITER_URL: upstream,
      JUPITER_API_KEYS: 'jup_test',
    })
    const path = `/prices/${mint}?as=sse`
    await crowd.tell({ kind: 'join', port: site.port, path, count: clients, perSecond: 1000, returning: true })
    const workers = await site.serving()
    await expect
      .poll(async () => (await site.serving()).reduce((sum, { connections }) => sum + connections, 0))
      .toBe(clients)

    const before = await stats()
    const began = performance.now()
    process.kill(workers[0]?.pid ?? 0, 'SIGKILL')
    await expect.poll(async () => (await site.serving()).map(({ id }) => id), { interval: 50 }).toEqual([2, 3, 4])
    // Each waits at random up to what it was told, which is 2.5 s at most.
    await expect
      .poll(async () => (await crowd.tell({ kind: 'report' })).connected, { timeout: 10_000, interval: 100 })
      .toBe(clients)
    // All on one version, which is still moving.
    const versions = async () => (await crowd.tell({ kind: 'report' })).heard[`/prices/${mint}`] ?? {}
    const first = await vi.waitFor(async () => {
      const all = await versions()
      expect(Object.values(all)).toEqual([clients])
      return Object.keys(all)[0]
    }, 10_000)
    await vi.waitFor(async () => {
      const all = await versions()
      expect(Object.values(all)).toEqual([clients])
      expect(Object.keys(all)[0]).not.toBe(first)
    }, 10_000)
    const { backwards } = await crowd.tell({ kind: 'report' })
    expect(backwards).toBe(0)
    // Who is connected is counted once, and not again with the dead.
    const live = async () => /^weir_connections (\d+)$/m.exec(await (await once(`${site.url}/metrics`)).text())?.[1]
    await expect.poll(live).toBe(String(clients))
    const after = await stats()
    const took = performance.now() - began
    // One call a second, as for one client; one more at each end, and one that died with its worker.
    expect((after.asked ?? 0) - (before.asked ?? 0)).toBeLessThanOrEqual(Math.ceil(took / 1000) + 3)
    expect(after.refused ?? 0).toBe(0)
  })
})
