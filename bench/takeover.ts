/**
 * The node that asks the upstream dies, again and again: four processes over one Redis, a strict simulator, clients of all nodes. Every
 * five seconds the node that made the last calls is killed -9, and started again a second later.
 * `node bench/takeover.ts [SECONDS] [CLIENTS]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { compareVersions, parseVersion, type Version } from '@weir/protocol'
import { EventStream } from '../scripts/event-stream.ts'
import { Crowds, Nodes, total } from './nodes.ts'
import { head, quantile, row, type Site, STREAM } from './prices.ts'
import { Reader } from './reader.ts'

const seconds = Number(process.argv[2] ?? 60)
const clients = Number(process.argv[3] ?? 2000)
const NODES = 4
const KILL_EVERY = 5000
const BACK_AFTER = 1000
/** How often values are asked for, and how long a node that asks for one keeps the others from it. Milliseconds. */
const INTERVAL = 1000
const CLAIM = 2200

/** What is confirmed less long ago than this is live, in seconds. */
const LIVE = 5

await using nodes = await Nodes.start(NODES)
await using crowds = await Crowds.join(nodes, clients)
await pause(3000)

let over = false
const watches = nodes.sites.map((_, index) => watch(index))
const reader = new Reader(nodes)
const before = await nodes.upstream.stats()
const kills = await killing()
over = true
const after = await nodes.upstream.stats()
const reads = await reader.stop()
await pause(6000)
const reports = await crowds.report()
const gaps = watches.flatMap((watch) => watch.gaps)
const answered = reads.filter(({ ok }) => ok)

head('measured', 'is')
row('seconds', seconds)
row('nodes killed', kills)
row('longest wait for news on a node that lived, s', (Math.max(...gaps) / 1000).toFixed(2))
row('at most, by the rules: two intervals and the claim, s', ((2 * INTERVAL + CLAIM) / 1000).toFixed(2))
row(
  'told an older version',
  watches.reduce(
    (sum, { backwards }) => sum + backwards,
    total(reports, (report) => report.backwards),
  ),
)
row('upstream calls a minute', (((after.asked - before.asked) * 60) / seconds).toFixed(0))
row('most in 1 s', after.mostIn1s)
row('refused', after.refused)
row(
  'clients connected at the end',
  total(reports, ({ connected }) => connected),
)
process.stdout.write('\n')
head('objective: 99.9 %', 'of', 'met', 'share')
objective('requests answered', reads.length, answered.length)
objective(
  `requests answered with what was confirmed in the last ${LIVE} s`,
  reads.length,
  answered.filter(({ age }) => age <= LIVE).length,
)
objective(
  'updates delivered to clients of nodes that lived',
  watches.reduce((sum, { due }) => sum + due, 0),
  watches.reduce((sum, { heard }) => sum + heard, 0),
)
process.stdout.write(
  `\nAnswers took ${quantile(
    answered.map(({ took }) => took).sort((a, b) => a - b),
    0.99,
  ).toFixed(1)} ms (p99).\n`,
)

function objective(what: string, of: number, met: number): void {
  row(what, of, met, `${((100 * met) / of).toFixed(3)} %`)
}

interface Watch {
  /** Milliseconds between two pieces of news, of a node that lived through both. */
  readonly gaps: number[]
  /** Changes of a value while it was connected: those that there were, and those that it was told. */
  due: number
  heard: number
  backwards: number
}

/** One client of one node, by every node's life: it begins anew with each process. */
function watch(index: number): Watch {
  const watch: Watch = { gaps: [], due: 0, heard: 0, backwards: 0 }
  void follow(index, watch)
  return watch
}

async function follow(index: number, watch: Watch): Promise<void> {
  while (!over) {
    try {
      await using stream = new EventStream(await fetch(`${nodes.sites[index]?.url}${STREAM}`))
      const versions = new Map<unknown, Version>()
      let last: number | undefined
      for (let event = await stream.next(); event !== undefined && !over; event = await stream.next()) {
        if (event.event !== 'snapshot') continue
        const version = parseVersion(String(event.data.version))
        const known = versions.get(event.data.topic)
        if (version === undefined) throw new Error(`expected a version, got ${event.data.version}`)
        if (known !== undefined && compareVersions(version, known) < 0) watch.backwards += 1
        if (known !== undefined) {
          watch.heard += 1
          // What the sequence passed over was never told; a new epoch begins at 1.
          watch.due += version.epoch === known.epoch ? version.sequence - known.sequence : version.sequence
        }
        versions.set(event.data.topic, version)
        const now = performance.now()
        if (last !== undefined) watch.gaps.push(now - last)
        last = now
      }
    } catch {
      // Its node died: what it did not hear there is the node's.
    }
    await pause(50)
  }
}

/** Kills the node that has made most calls since the last look, and says how many were killed. */
async function killing(): Promise<number> {
  const began = performance.now()
  const calls = () => Promise.all(nodes.sites.map(callsOf))
  for (let kills = 0; ; kills++) {
    const looked = await calls()
    await pause(Math.max(0, began + (kills + 1) * KILL_EVERY - performance.now()))
    if (performance.now() - began >= seconds * 1000) return kills
    const made = (await calls()).map((count, index) => count - (looked[index] ?? 0))
    await nodes.replace(made.indexOf(Math.max(...made)), BACK_AFTER)
  }
}

async function callsOf(site: Site): Promise<number> {
  return site.metric('weir_upstream_calls_total').catch(() => 0)
}
