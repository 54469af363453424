/**
 * The gateway is killed under its live clients and started again on the same port, while others ask for more prices than
 * the budget can bring: it is full before, and wanted whole after.
 * `node bench/restart.ts [CLIENTS]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Crowd, type CrowdReport } from '../packages/gateway/test/crowd.ts'
import { head, MINTS, marketOf, row, Site, STREAM, Upstream, valuesPaths } from './prices.ts'
import { Readers } from './readers.ts'

const clients = Number(process.argv[2] ?? 500)
/** How long it may take until all are back, in milliseconds. */
const PATIENCE = 60_000

/** Prices that others ask for: twice as many as the budget can renew. */
const WANTED = 5000

const market = marketOf(WANTED)
await using upstream = await Upstream.start('--tokens', market.tokens)
const first = await Site.start(upstream)
await using crowd = new Crowd()
await crowd.tell({ kind: 'join', port: first.port, path: STREAM, count: clients, returning: true })
const paths = valuesPaths(market.mints)
using others = new Readers(first.url, paths.length)
let asking = true
const load = (async () => {
  while (asking) {
    await Promise.all(paths.map((path) => others.get(path)))
    await pause(100)
  }
})()
await pause(5000)
const epoch = newestEpoch(await crowd.tell({ kind: 'report' }))
const before = await upstream.stats()

others.take()
await first.kill()
const killed = performance.now()
await using _second = await Site.start(upstream, '--port', String(first.port))
const listening = performance.now()
const allBack = await until(({ connected }) => connected === clients)
const allServed = await until((report) => newTo(report) === clients)
await pause(5000)
const report = await crowd.tell({ kind: 'report' })
const after = await upstream.stats()
asking = false
await load
const { statuses } = others.take()

head('measured', 'is')
row('clients', clients)
row('killed until it listens again, s', ((listening - killed) / 1000).toFixed(2))
row('listening until all clients are back, s', ((allBack - listening) / 1000).toFixed(2))
row('listening until all have new values of all topics, s', ((allServed - listening) / 1000).toFixed(2))
row('told an older version', report.backwards)
row('upstream calls from the kill until 5 s after', after.asked - before.asked)
row('answers to the others since the kill', JSON.stringify(statuses))
row('most in 1 s', after.mostIn1s)
row('refused', after.refused)

async function until(reached: (report: CrowdReport) => boolean): Promise<number> {
  const end = performance.now() + PATIENCE
  for (;;) {
    const report = await crowd.tell({ kind: 'report' })
    if (reached(report)) return performance.now()
    if (performance.now() > end) throw new Error(`expected all of ${clients} to be back, got ${JSON.stringify(report)}`)
    await pause(10)
  }
}

/** Of the topic that fewest have anew: how many. */
function newTo({ heard }: CrowdReport): number {
  return Math.min(
    ...MINTS.map((mint) =>
      Object.entries(heard[`/prices/${mint}`] ?? {}).reduce(
        (sum, [version, count]) => sum + (epochOf(version) > epoch ? count : 0),
        0,
      ),
    ),
  )
}

function newestEpoch({ heard }: CrowdReport): number {
  return Math.max(...Object.values(heard).flatMap((versions) => Object.keys(versions).map(epochOf)))
}

function epochOf(version: string): number {
  return Number(version.split(':')[0])
}
