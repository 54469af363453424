/**
 * An origin and three regions 150 ms away there and back, each with its own crowd, in network namespaces; one is cut off for a while. As
 * root, with iproute2: `node bench/regions.ts [CLIENTS] [SECONDS]`, clients of each region, seconds of each part.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Crowd, type CrowdReport } from '../packages/gateway/test/crowd.ts'
import { type Running, runProgram } from '../scripts/running.ts'
import { WEIR } from '../scripts/weir.ts'
import { head, MINTS, quantile, row, Site, STREAM, type Stats, Upstream } from './prices.ts'
import {
  inside,
  lengthen,
  makeNetwork,
  ORIGIN_ADDRESS,
  ORIGIN_SPACE,
  removeNetwork,
  setLink,
  spaceOf,
} from './regions/net.ts'
import type { Second } from './regions/reader.ts'

const REGIONS = 3
/** The one that is cut off. */
const CUT = 2
/** Milliseconds of each way. */
const DELAY = 75
/** How long what is waited for may take, in milliseconds. */
const PATIENCE = 60_000
const [clients = 1000, seconds = 20] = process.argv.slice(2).map(Number)

/** A region, who reads it, and who listens to it, all in its own namespace. */
interface Region {
  readonly port: number
  readonly crowd: Crowd
  /** What its reader said of each second. */
  seconds(): readonly Second[]
}

if (process.env.WEIR_BENCH_INSIDE === undefined) await fromOutside()
else await fromInside()

/** Makes the network, and runs this in the namespace of the origin. */
async function fromOutside(): Promise<void> {
  removeNetwork(REGIONS)
  try {
    makeNetwork(REGIONS)
    const [program = '', ...args] = [...inside(ORIGIN_SPACE), process.execPath, ...process.argv.slice(1)]
    await using running = runProgram(program, args, { WEIR_BENCH_INSIDE: '1' })
    const code = await running.ended
    process.stdout.write(running.said)
    process.stderr.write(running.complained)
    process.exitCode = code === 0 ? 0 : 1
  } finally {
    removeNetwork(REGIONS)
  }
}

async function fromInside(): Promise<void> {
  // Each program that runs is ended with this one.
  process.setMaxListeners(50)
  await using stack = new AsyncDisposableStack()
  const upstream = stack.use(await Upstream.start())
  const origin = stack.use(await Site.start(upstream, '--host', '0.0.0.0'))
  const address = `http://${ORIGIN_ADDRESS}:${origin.port}`
  const netem = Array.from({ length: REGIONS }, (_, index) => lengthen(index + 1, DELAY)).every(Boolean)

  const first = await open(stack, 1, address, netem)
  await pause(10_000)
  const alone = await counted(upstream, seconds)
  const others = [await open(stack, 2, address, netem), await open(stack, 3, address, netem)]
  const regions = [first, ...others]
  await pause(10_000)
  const together = await counted(upstream, seconds)
  const calm = regions.map(({ seconds: said }) => said().slice(-seconds))

  const cut = regions[CUT - 1] as Region
  setLink(CUT, 'down')
  const cutAt = Date.now()
  const during = await counted(upstream, seconds)
  const without = cut.seconds().filter(({ at }) => at > cutAt + 1000)
  const whileCut = await cut.crowd.tell({ kind: 'report' })

  setLink(CUT, 'up')
  const backAt = performance.now()
  let report = whileCut
  while (report.stale > 0 || !same(report, await first.crowd.tell({ kind: 'report' }))) {
    if (performance.now() - backAt > PATIENCE) throw new Error('expected the region to catch up, got it stale still')
    await pause(20)
    report = await cut.crowd.tell({ kind: 'report' })
  }
  const back = performance.now() - backAt
  const after = await counted(upstream, seconds)
  const reports = await Promise.all(regions.map(({ crowd }) => crowd.tell({ kind: 'report' })))
  const { refused, mostIn1s } = await upstream.stats()
  const { connections } = (await origin.health()) as { readonly connections?: number }

  process.stdout.write(
    `The way is made ${netem ? 'by netem' : 'by a relay in each region: this kernel has no netem'}.\n\n`,
  )
  head('measured', 'is')
  row('clients of each region', clients)
  row('upstream calls a second, one region', rate(alone))
  row('upstream calls a second, three regions', rate(together))
  row('upstream calls a second, one of them cut off', rate(during))
  row('upstream calls a second, after that', rate(after))
  row('refused (429); most in any second', `${refused}; ${mostIn1s}`)
  row('live connections at the origin', String(connections))
  for (const [index, said] of calm.entries()) row(`reads of region ${index + 1}, p50 and p99, ms`, times(said))
  row('reads of the region that is cut off, p50 and p99, ms', times(without))
  row(
    'reads that failed, in all',
    regions.reduce((sum, one) => sum + one.seconds().reduce((sum, { failed }) => sum + failed, 0), 0),
  )
  row('the cut region: clients told that it is stale', whileCut.stale)
  row(
    'the cut region: first second in which reads say stale',
    `${ageOf(
      without.find(({ stale }) => stale),
      cutAt,
    )} s after the cut`,
  )
  row('the cut region: age that reads say, second by second', without.map(({ age }) => age).join(' '))
  row('the cut region: greatest age told to clients, s', (report.oldest / 1000).toFixed(1))
  row('link up until all its clients have what others have, s', (back / 1000).toFixed(1))
  row(
    'connections of clients, opened in all',
    reports.reduce((sum, { greeted }) => sum + greeted, 0),
  )
  row(
    'told an older version',
    reports.reduce((sum, { backwards }) => sum + backwards, 0),
  )
}

async function open(stack: AsyncDisposableStack, region: number, origin: string, netem: boolean): Promise<Region> {
  const space = spaceOf(region)
  const start = (args: readonly string[], environment: Readonly<Record<string, string>> = {}): Running => {
    const [program = '', ...rest] = [...inside(space), process.execPath, ...args]
    return stack.use(runProgram(program, rest, environment))
  }
  const way = netem
    ? origin
    : ((await start(['bench/regions/road.ts', origin, String(DELAY)]).says(/^road (\S+)$/m))[1] ?? '')
  // An upstream that nobody serves: a region asks its origin alone.
  const environment = { JUPITER_URL: 'http://127.0.0.1:9', JUPITER_API_KEYS: 'none', WEIR_ORIGIN: way }
  const site = start([...WEIR, 'start', 'apps/prices', '--port', '0'], environment)
  const url = (await site.says(/^prices +(\S+)$/m))[1] ?? ''
  const port = Number(new URL(url).port)
  const crowd = stack.use(new Crowd(inside(space)))
  await crowd.tell({ kind: 'join', port, path: STREAM, count: clients })
  const reader = start(['bench/regions/reader.ts', `${url}/prices/${MINTS[0]}`])
  return {
    port,
    crowd,
    seconds: () =>
      reader.said
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Second),
  }
}

/** What the upstream counted in so many seconds. */
async function counted(upstream: Upstream, seconds: number): Promise<Stats & { readonly took: number }> {
  const [before, began] = [await upstream.stats(), performance.now()]
  await pause(seconds * 1000)
  const after = await upstream.stats()
  return { ...after, asked: after.asked - before.asked, took: (performance.now() - began) / 1000 }
}

function rate({ asked, took }: Stats & { readonly took: number }): string {
  return (asked / took).toFixed(2)
}

function times(said: readonly Second[]): string {
  const sorted = said.flatMap(({ times }) => times).sort((a, b) => a - b)
  return `${quantile(sorted, 0.5).toFixed(2)} and ${quantile(sorted, 0.99).toFixed(2)}`
}

function ageOf(second: Second | undefined, since: number): string {
  return second === undefined ? 'never' : ((second.at - since) / 1000).toFixed(0)
}

/** Whether all of one crowd have the versions that all of the other have, of what both have heard of. */
function same(one: CrowdReport, other: CrowdReport): boolean {
  return MINTS.every((mint) => {
    const [here, there] = [one.heard[`/prices/${mint}`] ?? {}, other.heard[`/prices/${mint}`] ?? {}]
    const versions = Object.keys(here)
    return versions.length === 1 && versions[0] !== undefined && Object.keys(there).includes(versions[0])
  })
}
