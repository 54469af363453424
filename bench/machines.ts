/**
 * The same promises on four processes that share one Redis as on one: what clients cost the upstream, what they cost Redis, and a
 * cold herd. `node bench/machines.ts [CLIENTS] [SECONDS]`
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Crowds, Nodes, total, versionsOf } from './nodes.ts'
import { head, MINTS, row } from './prices.ts'

const clients = Number(process.argv[2] ?? 4000)
const seconds = Number(process.argv[3] ?? 30)
const HERD = 10_000

head(
  'processes',
  'clients',
  'upstream calls a minute',
  'refused',
  'most in 1 s',
  'commands of Redis a second',
  'messages a second',
  'versions among clients at the end',
  'told an older one',
)
for (const [processes, count] of [
  [1, clients],
  [4, 100],
  [4, clients],
  [4, 10_000],
] as const)
  await measure(processes, count)
process.stdout.write('\n')
head('a cold herd', 'over', 'upstream calls', 'answers', 'versions', 'all answered within, s')
await herd()

async function measure(processes: number, count: number): Promise<void> {
  await using nodes = await Nodes.start(processes)
  await using crowds = await Crowds.join(nodes, count)
  await pause(3000)

  const sent = () => Promise.all(nodes.sites.map((site) => site.metric('weir_messages_total')))
  const [before, saidBefore, sentBefore] = [await nodes.upstream.stats(), await nodes.commands(), await sent()]
  await pause(seconds * 1000)
  const [after, saidAfter, sentAfter] = [await nodes.upstream.stats(), await nodes.commands(), await sent()]
  // Nothing new comes from a dead upstream: once what was on its way is there, all must have the same.
  await nodes.upstream.die()
  await pause(2000)
  const reports = await crowds.report()
  const connected = total(reports, (report) => report.connected)
  if (connected !== count) throw new Error(`expected ${count} clients, got ${connected}`)
  row(
    processes,
    count,
    (((after.asked - before.asked) * 60) / seconds).toFixed(0),
    after.refused,
    after.mostIn1s,
    ((saidAfter - saidBefore) / seconds).toFixed(0),
    Math.round((sentAfter.reduce((a, b) => a + b) - sentBefore.reduce((a, b) => a + b)) / seconds),
    versionsOf(reports),
    total(reports, ({ backwards }) => backwards),
  )
}

/** All are connected; then all want one token's data that nobody has, from any of four nodes. */
async function herd(): Promise<void> {
  await using nodes = await Nodes.start(4)
  // What they ask for at their start is not the herd's.
  await pause(3000)
  using sockets = new DisposableStack()
  const all = Array.from({ length: HERD }, (_, index) =>
    sockets.adopt(connect(nodes.ports[index % nodes.ports.length] ?? 0, '127.0.0.1'), (socket) => socket.destroy()),
  )
  await Promise.all(all.map((socket) => once(socket, 'connect')))
  const before = await nodes.upstream.stats()
  const began = performance.now()
  const answers = await Promise.all(
    all.map(async (socket) => {
      socket.write(`GET /tokens/${MINTS[1]} HTTP/1.1\r\nhost: x\r\n\r\n`)
      const [answer]: Buffer[] = await once(socket, 'data')
      return /^HTTP\/1\.1 (\d+)[\s\S]*?\r\nweir-version: (\S+)/i.exec(String(answer)) ?? []
    }),
  )
  const took = performance.now() - began
  const after = await nodes.upstream.stats()
  const different = (group: number) => [...new Set(answers.map((found) => found[group]))]
  row(
    HERD,
    nodes.sites.length,
    after.asked - before.asked,
    different(1).join(),
    different(2).length,
    (took / 1000).toFixed(2),
  )
}
