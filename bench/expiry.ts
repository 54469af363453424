/**
 * Thousands of kept values that have expired together and are asked for together.
 * `node bench/expiry.ts [KEYS]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { head, marketOf, quantile, row, Site, Upstream, valuesPaths } from './prices.ts'
import { Readers } from './readers.ts'

const keys = Number(process.argv[2] ?? 10_000)
/** Beyond this every value has expired, in milliseconds: fresh is 1 s. */
const EXPIRED = 2000

interface Value {
  readonly checkedAt?: number
  readonly stale?: boolean
  readonly problem?: { readonly code: string }
}

const { tokens, mints } = marketOf(keys)
const paths = valuesPaths(mints)
await using upstream = await Upstream.start('--tokens', tokens)
await using site = await Site.start(upstream)
using readers = new Readers(site.url, paths.length)

head('measured', 'when nothing is kept', 'when all has expired')
const cold = await askForAll()
await pause(EXPIRED)
const expired = await askForAll()
const columns = [cold, expired]
row('keys', ...columns.map(({ values }) => values))
row('statuses', ...columns.map(({ statuses }) => JSON.stringify(statuses)))
row('values that failed', ...columns.map(({ failed }) => failed))
row('longest answer, s', ...columns.map(({ longest }) => longest))
row('until all are fresh, s', ...columns.map(({ until }) => until))
row('upstream calls', ...columns.map(({ calls }) => calls))
const { mostIn1s, refused } = await upstream.stats()
row('most in 1 s', mostIn1s, mostIn1s)
row('refused', refused, refused)

/** Asks for every key at once, and then again and again until each was confirmed after the first question. */
async function askForAll() {
  const before = await upstream.stats()
  const [began, asked] = [performance.now(), Date.now()]
  const first = await askOnce()
  const { times, statuses } = readers.take()
  let all = first
  while (all.some(({ checkedAt = 0 }) => checkedAt < asked)) {
    await pause(100)
    all = await askOnce()
    const problem = all.find((value) => value.problem !== undefined)?.problem
    if (problem !== undefined) throw new Error(`expected a value, got ${problem.code}`)
  }
  readers.take()
  return {
    values: first.length,
    statuses,
    failed: first.filter(({ problem }) => problem !== undefined).length,
    longest: (quantile(times, 1) / 1000).toFixed(2),
    until: ((performance.now() - began) / 1000).toFixed(1),
    calls: (await upstream.stats()).asked - before.asked,
  }
}

async function askOnce(): Promise<readonly Value[]> {
  const texts = await Promise.all(paths.map((path) => readers.get(path)))
  return texts.flatMap((text) => (JSON.parse(text) as { readonly values: readonly Value[] }).values)
}
