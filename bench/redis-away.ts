/**
 * Redis stopped, slowed, READONLY, emptied and started anew under four gateways that have clients and readers: what is still
 * answered, how old it says it is, what the upstream is asked meanwhile, and how long it takes until all agree again.
 * `node bench/redis-away.ts [CLIENTS]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type Relay, relay } from '../packages/gateway/test/relay.ts'
import { Crowds, Nodes, total } from './nodes.ts'
import { head, MINTS, row } from './prices.ts'
import { Reader } from './reader.ts'

const clients = Number(process.argv[2] ?? 400)
const FOR = 15_000

await using stack = new AsyncDisposableStack()
let road: Relay | undefined
await using nodes = await Nodes.start(4, async (url) => {
  road = stack.use(await relay(url))
  return road.url
})
await using crowds = await Crowds.join(nodes, clients)
await pause(3000)

/** What goes wrong, and how it is right again. */
const OUTAGES: Readonly<Record<string, readonly [break_: () => unknown, mend: () => unknown]>> = {
  'nothing, for comparison': [() => {}, () => {}],
  'stopped for 15 s': [() => nodes.redis.freeze(), () => nodes.redis.thaw()],
  'slower by 2 s for 15 s': [() => slow(2000), () => slow(0)],
  'READONLY for 15 s': [() => nodes.tell('REPLICAOF', '127.0.0.1', '1'), () => nodes.tell('REPLICAOF', 'NO', 'ONE')],
  emptied: [() => nodes.redis.flush(), () => {}],
  'dead for 15 s, started again empty': [() => nodes.redis.kill(), () => nodes.redis.start()],
}

head('Redis', 'reads', 'answered', 'oldest told, s', 'upstream calls a minute', 'all agree again after, s')
for (const [what, [breaks, mends]] of Object.entries(OUTAGES)) {
  const reader = new Reader(nodes)
  const [before, began] = [await nodes.upstream.stats(), performance.now()]
  await breaks()
  await pause(FOR)
  await mends()
  const mended = performance.now()
  await agreed()
  const took = performance.now() - mended
  const [after, reads] = [await nodes.upstream.stats(), await reader.stop()]
  const answered = reads.filter(({ ok }) => ok)
  row(
    what,
    reads.length,
    `${((100 * answered.length) / reads.length).toFixed(2)} %`,
    Math.max(...answered.map(({ age }) => age)),
    (((after.asked - before.asked) * 60_000) / (performance.now() - began)).toFixed(0),
    (took / 1000).toFixed(1),
  )
}
const reports = await crowds.report()
const { mostIn1s, refused } = await nodes.upstream.stats()
const backwards = total(reports, (report) => report.backwards)
const connected = total(reports, (report) => report.connected)
process.stdout.write(
  `\nIn all: at most ${mostIn1s} calls in any second, ${refused} refused; ${connected} of ${clients} clients connected, ${backwards} told an older version.\n`,
)

function slow(delay: number): void {
  if (road !== undefined) road.delay = delay
}

/** Waits until all nodes have the same version of a price, and then the same newer one. */
async function agreed(): Promise<void> {
  const first = await same()
  for (let next = await same(); next === first; next = await same()) await pause(100)
}

async function same(): Promise<string> {
  for (;;) {
    const versions = new Set(
      await Promise.all(
        nodes.sites.map(async ({ url }) => (await fetch(`${url}/prices/${MINTS[0]}`)).headers.get('weir-version')),
      ),
    )
    const [version] = versions
    if (versions.size === 1 && typeof version === 'string') return version
    await pause(50)
  }
}
