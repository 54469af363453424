import { expect, test, vi } from 'vitest'
import { EventStream } from '../../../scripts/event-stream.ts'
import { type Running, weir } from '../../../scripts/running.ts'
import { type Jupiter, startJupiter } from '../../simulators/src/index.ts'
import { Crowd, type CrowdReport } from './crowd.ts'

/** What the benches of the same names measure (bench/outage.ts, expiry.ts, restart.ts), small, and without the clock. */

const MINTS = ['So11111111111111111111111111111111111111112', 'JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN']
const STREAM = `/api/stream?mints=${MINTS.join()}`
const KEY = 'jup_test'
const LIMIT = 50
/** Tokens that take more calls than the limit has. */
const MANY = 3000
const PATIENT = { timeout: 15_000, interval: 20 }

interface Served extends Running {
  readonly url: string
}

interface Values {
  readonly values: readonly { readonly checkedAt?: number; readonly problem?: unknown }[]
}

async function serve(upstream: string, port = '0'): Promise<Served> {
  const running = weir(['start', 'apps/prices', '--port', port], { JUPITER_URL: upstream, JUPITER_API_KEYS: KEY })
  const [, url = ''] = await running.says(/^prices +(http:\S+)$/m)
  return Object.assign(running, { url })
}

/** The addresses that together ask for all prices. */
function pathsOf({ market }: Jupiter): readonly string[] {
  const topics = market.tokens.map(({ mint }) => `topic=/prices/${mint}`)
  return Array.from(
    { length: MANY / 250 },
    (_, index) => `/weir/values?${topics.slice(index * 250, (index + 1) * 250).join('&')}`,
  )
}

test('an upstream that dies and comes back: on one connection values grow old, are called stale, and are fresh again', async () => {
  await using jupiter = await startJupiter({ strict: true, keys: { [KEY]: 'weir' } })
  await using gateway = await serve(jupiter.url)
  await using events = new EventStream(await fetch(`${gateway.url}${STREAM}`))
  await events.until('snapshot')
  jupiter.fault({ kind: 'dead' })
  const { data: stale } = await events.until('heartbeat', ({ data }) => data.stale === true)
  expect(Number(stale.now)).toBeGreaterThan(Number(stale.checkedAt))
  // The breaker lets five calls fail, and a tenth of the traffic may be retried; then one probe at a time passes. The first batch that
  // fails is split once; after that its keys are known to fail alone.
  expect(jupiter.stats().faulted).toBeLessThanOrEqual(10)
  jupiter.clearFaults()
  const { data: fresh } = await events.until(
    'heartbeat',
    ({ data }) => data.topic === stale.topic && data.stale === false,
  )
  expect(Number(fresh.checkedAt)).toBeGreaterThan(Number(stale.checkedAt))
  expect(jupiter.stats().refused).toBe(0)
})

test('thousands of values that expired together are served at once and fetched anew inside the budget', async () => {
  await using jupiter = await startJupiter({ strict: true, keys: { [KEY]: 'weir' }, tokens: MANY })
  await using gateway = await serve(jupiter.url)
  const paths = pathsOf(jupiter)
  const askForAll = async () => {
    const answers = await Promise.all(
      paths.map(async (path) => (await (await fetch(`${gateway.url}${path}`)).json()) as Values),
    )
    return answers.flatMap(({ values }) => values)
  }

  const first = await askForAll()
  expect(first).toHaveLength(MANY)
  expect(first.filter(({ problem }) => problem !== undefined)).toEqual([])
  const priced = jupiter.market.tokens.flatMap(({ price }, index) => (price === undefined ? [] : [index]))
  const checkedAt = (values: Values['values']) => priced.map((index) => values[index]?.checkedAt ?? 0)
  // Fresh is a second: older by two, all have expired.
  const expired = Math.max(...checkedAt(first)) + 2000
  await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(expired), PATIENT)

  await vi.waitFor(async () => {
    const again = await askForAll()
    expect(again.filter(({ problem }) => problem !== undefined)).toEqual([])
    expect(checkedAt(again).filter((at) => at < expired)).toEqual([])
  }, PATIENT)
  const { refused, mostIn1s } = jupiter.stats()
  expect(refused).toBe(0)
  expect(mostIn1s).toBeLessThanOrEqual(LIMIT)
})

test('a gateway that is killed and started again: all come back by themselves, versions only rise, the budget holds', async () => {
  const clients = 50
  await using jupiter = await startJupiter({ strict: true, keys: { [KEY]: 'weir' }, tokens: MANY })
  const first = await serve(jupiter.url)
  await using crowd = new Crowd()
  const port = new URL(first.url).port
  await crowd.tell({ kind: 'join', port: Number(port), path: STREAM, count: clients, returning: true })
  const before = await vi.waitFor(async () => {
    const epochs = epochsOf(await crowd.tell({ kind: 'report' }))
    expect(epochs.counts).toEqual(MINTS.map(() => clients))
    return epochs
  }, PATIENT)

  // Killed with its window full: what it spent counts for the next one, which is asked for as much at once.
  const { served } = jupiter.stats()
  const askForAll = (url: string) => pathsOf(jupiter).map((path) => fetch(`${url}${path}`).then(({ status }) => status))
  const lost = Promise.allSettled(askForAll(first.url))
  await vi.waitFor(() => expect(jupiter.stats().served - served).toBeGreaterThan(40), { timeout: 15_000, interval: 1 })
  await first[Symbol.asyncDispose]()
  await lost
  await using second = await serve(jupiter.url, port)
  expect(new Set(await Promise.all(askForAll(second.url)))).toEqual(new Set([200]))
  await vi.waitFor(async () => {
    const report = await crowd.tell({ kind: 'report' })
    expect(report.connected).toBe(clients)
    expect(epochsOf(report).oldest).toBeGreaterThan(before.newest)
    expect(report.backwards).toBe(0)
  }, PATIENT)
  const { refused, mostIn1s } = jupiter.stats()
  expect(refused).toBe(0)
  expect(mostIn1s).toBeLessThanOrEqual(LIMIT)
})

/** How many clients have a version of each topic, and of which epochs. */
function epochsOf({ heard }: CrowdReport) {
  const topics = Object.values(heard)
  const epochs = topics.flatMap((versions) => Object.keys(versions).map((version) => Number(version.split(':')[0])))
  const counts = topics.map((versions) => Object.values(versions).reduce((sum, count) => sum + count, 0))
  return { counts, oldest: Math.min(...epochs), newest: Math.max(...epochs) }
}
