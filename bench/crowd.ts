/**
 * What a crowd costs the upstream: the prices app on the strict simulator, with one client, with thousands, and with
 * thousands at the levels to which an operator presses it.
 * `node bench/crowd.ts [CLIENTS] [SECONDS]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Crowd } from '../packages/gateway/test/crowd.ts'
import { head, MINTS, row, Site, STREAM, Upstream } from './prices.ts'

const clients = Number(process.argv[2] ?? 10_000)
const seconds = Number(process.argv[3] ?? 30)

/** Clients of one process: each takes an open file. */
const MOST_OF_A_CROWD = 5000

head(
  'clients',
  'level',
  'upstream calls a minute',
  'refused',
  'most in 1 s',
  'messages a second',
  'gateway CPU',
  'have the latest of all',
  'told an older one',
)
await measure(1, 'normal')
for (const level of ['normal', 'saver', 'strained']) await measure(clients, level)

async function measure(count: number, level: string): Promise<void> {
  await using upstream = await Upstream.start()
  await using site = await Site.start(upstream, '--level', level)
  await using crowds = new AsyncDisposableStack()
  const all = Array.from({ length: Math.ceil(count / MOST_OF_A_CROWD) }, () => crowds.use(new Crowd()))
  const each = { kind: 'join', port: site.port, path: STREAM, perSecond: 2000 } as const
  const joined = await Promise.all(all.map((crowd) => crowd.tell({ ...each, count: Math.ceil(count / all.length) })))
  const connected = joined.reduce((sum, report) => sum + report.connected, 0)
  if (connected < count) throw new Error(`expected ${count} clients, got ${connected}`)
  await pause(3000)

  const [before, cpuBefore, sentBefore] = [await upstream.stats(), site.cpu, await site.metric('weir_messages_total')]
  await pause(seconds * 1000)
  const [after, cpuAfter, sentAfter] = [await upstream.stats(), site.cpu, await site.metric('weir_messages_total')]

  // Nothing new comes from a dead upstream: once what was on its way is there, all must have the same.
  await upstream.die()
  await pause(2000)
  const reports = await Promise.all(all.map((crowd) => crowd.tell({ kind: 'report' })))
  const latest = await Promise.all(
    MINTS.map(async (mint) => (await fetch(`${site.url}/prices/${mint}`)).headers.get('weir-version') ?? ''),
  )
  const have = MINTS.map((mint, index) =>
    reports.reduce((sum, { heard }) => sum + (heard[`/prices/${mint}`]?.[latest[index] ?? ''] ?? 0), 0),
  )
  row(
    connected,
    level,
    (((after.asked - before.asked) * 60) / seconds).toFixed(0),
    after.refused,
    after.mostIn1s,
    Math.round((sentAfter - sentBefore) / seconds),
    `${(((cpuAfter - cpuBefore) / seconds) * 100).toFixed(1)} %`,
    Math.min(...have),
    reports.reduce((sum, { backwards }) => sum + backwards, 0),
  )
}
