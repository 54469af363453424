/**
 * What workers give and cost: requests, the spread of connections, and what it takes to tell each of them an update.
 * `node bench/workers.ts [SECONDS]`
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { clusterBackend } from '../packages/gateway/src/backend/cluster/backend.ts'
import { processPort } from '../packages/gateway/src/backend/cluster/ipc-port.ts'
import { serving } from '../packages/gateway/src/backend/cluster/primary.ts'
import { Crowd } from '../packages/gateway/test/crowd.ts'
import { head, MINTS, quantile, row, Site, Upstream } from './prices.ts'

const [role = '10', ...rest] = process.argv.slice(2)

/** Connections that ask again as soon as they have their answer. */
const CONNECTIONS = 64

/** The share of the subscribers of the spread, and of what is told. */
const SUBSCRIBERS = 6000
const BYTES = 10_000
const PER_SECOND = 100

if (role === 'load') load(Number(rest[0]), rest[1] ?? '')
else if (role === 'hear') hear()
else await main(Number(role))

async function main(seconds: number): Promise<void> {
  await using upstream = await Upstream.start()
  head('serves', 'requests a second', 'CPU of the workers', 'of the primary', 'µs of CPU a request')
  for (const workers of [0, 1, 2]) await requests(upstream, workers, seconds)
  process.stdout.write('\n')
  row('workers', 'subscribers', 'fewest', 'most')
  row('--:', '--:', '--:', '--:')
  for (const workers of [2, 4, 6]) await spread(upstream, workers)
  process.stdout.write('\n')
  row('workers', 'updates a second', 'CPU of the primary', 'of each worker', 'p50, ms', 'p99, ms')
  row('--:', '--:', '--:', '--:', '--:', '--:')
  for (const workers of [1, 2, 4, 6]) await telling(workers, seconds)
}

function start(upstream: Upstream, workers: number): Promise<Site> {
  return Site.start(upstream, ...(workers === 0 ? [] : ['--workers', String(workers)]))
}

interface Worker {
  readonly pid: number
  readonly connections: number
}

async function workersOf(site: Site, count: number): Promise<readonly Worker[]> {
  for (;;) {
    const { workers } = (await site.health()) as { readonly workers?: readonly Worker[] }
    if (count === 0 || workers?.length === count) return workers ?? []
    await pause(100)
  }
}

async function requests(upstream: Upstream, count: number, seconds: number): Promise<void> {
  await using site = await start(upstream, count)
  const pids = (await workersOf(site, count)).map(({ pid }) => pid)
  const path = `/prices/${MINTS[0]}`
  for (let i = 0; i < 20; i++) await fetch(`${site.url}${path}`)
  const child = fork(import.meta.filename, ['load', String(site.port), path])
  let answered = 0
  child.on('message', (sum: number) => {
    answered = sum
  })
  await pause(2000)
  const used = () => pids.reduce((sum, pid) => sum + cpuOf(pid), 0)
  const [before, usedBefore, ownBefore, began] = [answered, used(), site.cpu, performance.now()]
  await pause(seconds * 1000)
  const took = (performance.now() - began) / 1000
  const [all, own, done] = [used() - usedBefore, site.cpu - ownBefore, answered - before]
  child.kill()
  await once(child, 'exit')
  const [workers, primary] = count === 0 ? [own, 0] : [all, own]
  row(
    count === 0 ? 'one process' : `${count} worker${count === 1 ? '' : 's'}`,
    Math.round(done / took),
    percent(workers / took),
    count === 0 ? '' : percent(primary / took),
    (((workers + primary) * 1e6) / done).toFixed(1),
  )
}

async function spread(upstream: Upstream, count: number): Promise<void> {
  await using site = await start(upstream, count)
  await workersOf(site, count)
  await using crowd = new Crowd()
  const path = `/prices/${MINTS[0]}?as=sse`
  await crowd.tell({ kind: 'join', port: site.port, path, count: SUBSCRIBERS, perSecond: 2000 })
  await pause(1500)
  const shares = (await workersOf(site, count)).map(({ connections }) => connections)
  row(
    count,
    shares.reduce((sum, share) => sum + share, 0),
    Math.min(...shares),
    Math.max(...shares),
  )
}

/** This process is the primary: it publishes, and its children hear. */
async function telling(count: number, seconds: number): Promise<void> {
  const shared = serving({ bytes: 100_000_000, report: console.error })
  const workers = Array.from({ length: count }, () =>
    fork(import.meta.filename, ['hear'], { serialization: 'advanced', execArgv: [] }),
  )
  for (const worker of workers) shared.serve(processPort(worker, 'memory'))
  // One more of them publishes, as the one that polls does.
  const publisher = fork(import.meta.filename, ['hear', 'and publish'], { serialization: 'advanced', execArgv: [] })
  shared.serve(processPort(publisher, 'memory'))
  await pause(2000)
  for (const worker of workers) worker.send('begin')
  const used = () => workers.reduce((sum, { pid = 0 }) => sum + cpuOf(pid), 0)
  const [own, theirs] = [process.cpuUsage(), used()]
  await pause(seconds * 1000)
  const { user, system } = process.cpuUsage(own)
  const each = (used() - theirs) / count
  const heard = await Promise.all(
    workers.map(async (worker) => {
      worker.send('report')
      const [times]: readonly number[][] = await once(worker, 'message', {})
      return times ?? []
    }),
  )
  for (const worker of [...workers, publisher]) worker.kill()
  const times = heard.flat().sort((a, b) => a - b)
  row(
    count,
    Math.round(times.length / count / seconds),
    percent((user + system) / 1e6 / seconds),
    percent(each / seconds),
    quantile(times, 0.5).toFixed(2),
    quantile(times, 0.99).toFixed(2),
  )
}

/** A worker that listens to one topic, and perhaps publishes it too. Times are from before the publication until it is heard. */
function hear(): void {
  const { leases, values, bus } = clusterBackend({ carrier: processPort(process, 'memory'), report: console.error })
  const now = () => performance.timeOrigin + performance.now()
  const times: number[] = []
  bus.subscribe('topic', ({ json }) => times.push(now() - Number(json?.toString('latin1', 1, 21))))
  process.on('message', (message) => {
    if (message === 'begin') times.length = 0
    if (message === 'report') process.send?.(times)
  })
  if (rest[0] === undefined) return
  const began = performance.now()
  let published = 0
  setInterval(async () => {
    if (published >= ((performance.now() - began) / 1000) * PER_SECOND) return
    published += 1
    const json = Buffer.from(`"${now().toFixed(6).padEnd(20, '0')}${'x'.repeat(BYTES)}"`)
    const lease = await leases.acquire('topic', 'publisher', 1000, 0)
    if (!lease.held) return
    const content = { json, reason: undefined, absentFor: undefined }
    await values.publish('topic', { token: lease.token, knownEpoch: 0, hash: String(published), content, keep: 60_000 })
  }, 2)
}

/** Asks over and over on raw sockets, and tells the parent how many answers came. */
function load(port: number, path: string): void {
  let answered = 0
  const request = `GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`
  for (let i = 0; i < CONNECTIONS; i++) {
    const socket = connect(port, '127.0.0.1').setEncoding('latin1')
    socket.on('connect', () => socket.write(request))
    // Head and body come in one piece.
    socket.on('data', (text: string) => {
      if (!text.startsWith('HTTP/1.1 200')) throw new Error(`expected an answer, got ${text}`)
      answered += 1
      socket.write(request)
    })
  }
  setInterval(() => process.send?.(answered), 50)
  process.once('disconnect', () => process.exit())
}

function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
