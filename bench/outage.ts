/**
 * An upstream that is away for a while, as live clients see it.
 * `node bench/outage.ts [CLIENTS] [SECONDS_AWAY]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Crowd } from '../packages/gateway/test/crowd.ts'
import { head, row, Site, STREAM, Upstream } from './prices.ts'

const [clients = 500, seconds = 20] = process.argv.slice(2).map(Number)
/** How long the upstream's return may take to show, in milliseconds. */
const PATIENCE = 60_000

await using upstream = await Upstream.start()
await using site = await Site.start(upstream)
await using crowd = new Crowd()
await crowd.tell({ kind: 'join', port: site.port, path: STREAM, count: clients })
await pause(5000)

await upstream.die()
const dead = performance.now()
const allStale = await until((stale) => stale === clients, dead + seconds * 1000)
await pause(Math.max(0, dead + seconds * 1000 - performance.now()))
const { faulted } = await upstream.stats()
const { oldest } = await crowd.tell({ kind: 'report' })

await upstream.live()
const back = performance.now()
const firstFresh = await until((stale) => stale < clients, back + PATIENCE)
const allFresh = await until((stale) => stale === 0, back + PATIENCE)
const report = await crowd.tell({ kind: 'report' })
const { refused, mostIn1s } = await upstream.stats()

head('measured', 'is')
row('clients', clients)
row('upstream away, s', seconds)
row('calls that reached it meanwhile', faulted)
row('all clients told "stale" after, s', ((allStale - dead) / 1000).toFixed(2))
row('the greatest age they were told, s', (oldest / 1000).toFixed(1))
row('back until the first client is fresh, s', ((firstFresh - back) / 1000).toFixed(2))
row('back until the last is, s', ((allFresh - back) / 1000).toFixed(2))
row('connections opened in all', report.greeted)
row('told an older version', report.backwards)
row('refused', refused)
row('most in 1 s', mostIn1s)

/** When so many clients hold something stale. */
async function until(reached: (stale: number) => boolean, end: number): Promise<number> {
  while (performance.now() < end) {
    if (reached((await crowd.tell({ kind: 'report' })).stale)) return performance.now()
    await pause(10)
  }
  throw new Error(
    `expected another number of clients that hold something stale, got ${JSON.stringify(await crowd.tell({ kind: 'report' }))}`,
  )
}
