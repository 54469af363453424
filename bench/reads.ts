/**
 * Reads at random, faster than any upstream could answer them: clients with a connection each ask for one of many prices.
 * `node bench/reads.ts [CLIENTS] [MINTS] [PER_SECOND] [SECONDS]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { head, marketOf, quantile, row, Site, Upstream } from './prices.ts'
import { Readers } from './readers.ts'

const [clients = 1000, mints = 500, perSecond = 3000, seconds = 30] = process.argv.slice(2).map(Number)

const market = marketOf(mints)
await using upstream = await Upstream.start('--tokens', market.tokens)
await using site = await Site.start(upstream)
using readers = new Readers(site.url, clients)
const paths = market.mints.map((mint) => `/prices/${mint}`)

// All connect, and every price is asked for once: a gateway that has just begun waits for its budget's first window.
await Promise.all(
  Array.from({ length: Math.max(clients, mints) }, (_, index) => readers.get(paths[index % mints] ?? '')),
)
readers.take()
const [before, cpuBefore] = [await upstream.stats(), site.cpu]
const cacheBefore = { all: await site.metric('weir_cache_reads_total{feed="price"'), ...(await notHits()) }

const asked: Promise<string>[] = []
const began = performance.now()
while (asked.length < perSecond * seconds) {
  const due = Math.min(perSecond * seconds, ((performance.now() - began) / 1000) * perSecond)
  while (asked.length < due) asked.push(readers.get(paths[Math.floor(Math.random() * mints)] ?? ''))
  await pause(1)
}
await Promise.all(asked)
const took = (performance.now() - began) / 1000

const { times, statuses } = readers.take()
const [after, cpuAfter] = [await upstream.stats(), site.cpu]
const { misses, refreshes } = await notHits()
const reads =
  (await site.metric('weir_cache_reads_total{feed="price"')) - cacheBefore.all - (refreshes - cacheBefore.refreshes)
const hits = reads - (misses - cacheBefore.misses)

head('measured', 'is')
row('answers a second', Math.round(times.length / took))
row('statuses', JSON.stringify(statuses))
for (const [name, share] of [
  ['p50', 0.5],
  ['p99', 0.99],
  ['longest', 1],
] as const) {
  row(`${name}, ms`, quantile(times, share).toFixed(1))
}
row('from memory', `${((hits / reads) * 100).toFixed(2)} %`)
row('upstream calls a second', ((after.asked - before.asked) / took).toFixed(1))
row('most in 1 s', after.mostIn1s)
row('refused', after.refused)
row('gateway CPU', `${(((cpuAfter - cpuBefore) / took) * 100).toFixed(0)} %`)

async function notHits(): Promise<{ readonly misses: number; readonly refreshes: number }> {
  return {
    misses: await site.metric('weir_cache_reads_total{feed="price"', 'outcome="miss"'),
    refreshes: await site.metric('weir_cache_reads_total{feed="price"', 'outcome="refresh"'),
  }
}
