import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { totalmem } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { App } from '../app.ts'
import { redisEntry } from '../backend/redis/entry.ts'
import { redisFindings } from './doctor-redis.ts'
import { loadApps } from './load-app.ts'
import type { CommandLine } from './usage.ts'

type Verdict = 'good' | 'mind' | 'bad'

interface Finding {
  readonly verdict: Verdict
  readonly what: string
  /** What was found, and what to do about it where it is not good. */
  readonly found: string
}

/** Bytes that a process needs for itself, and for each live client, with room for slow ones. */
const BASE = 200 * 1024 ** 2
const PER_CLIENT = 16 * 1024

/** How long an upstream may take to accept a connection, in milliseconds. */
const REACHED_WITHIN = 3000

/** Says what this machine can bear. Bad findings make the exit code 1. */
export async function doctor({ apps: paths, port, host, options }: CommandLine): Promise<number> {
  const apps = paths.length === 0 ? [] : await loadApps(paths)
  const findings = [
    fileLimit(),
    memory(),
    await clock(),
    migration(),
    ...(await Promise.all(
      Array.from({ length: Math.max(1, apps.length) }, (_, index) => freePort(port + index, host)),
    )),
    ...(await redis(options)),
    ...(await Promise.all(addresses(apps).map(([name, url]) => reached(name, url)))),
  ]
  for (const { verdict, what, found } of findings) {
    process.stdout.write(`${MARKS[verdict]} ${what.padEnd(18)} ${found}\n`)
  }
  return findings.some(({ verdict }) => verdict === 'bad') ? 1 : 0
}

const MARKS: Readonly<Record<Verdict, string>> = { good: 'good', mind: 'mind', bad: 'BAD ' }

function fileLimit(): Finding {
  const what = 'open files'
  const limit = Number(/^Max open files\s+(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1])
  if (Number.isNaN(limit)) return { verdict: 'mind', what, found: 'not known here; each live client needs one' }
  const clients = Math.max(0, limit - 200).toLocaleString('en')
  if (limit >= 10_000)
    return { verdict: 'good', what, found: `${limit.toLocaleString('en')}: about ${clients} live clients a process` }
  return {
    verdict: 'mind',
    what,
    found: `${limit.toLocaleString('en')}: only about ${clients} live clients a process; raise it with "ulimit -n"`,
  }
}

function memory(): Finding {
  const what = 'memory'
  // A container may have less than the machine; where there is no bound Node answers 0 or a number beyond the machine's.
  const bound = process.constrainedMemory()
  const bytes = bound > 0 ? Math.min(bound, totalmem()) : totalmem()
  const gb = `${(bytes / 1024 ** 3).toFixed(1)} GB`
  const clients = Math.max(0, Math.floor((bytes * 0.8 - BASE) / PER_CLIENT))
  if (clients >= 10_000)
    return { verdict: 'good', what, found: `${gb}: room for about ${clients.toLocaleString('en')} live clients` }
  return {
    verdict: clients > 0 ? 'mind' : 'bad',
    what,
    found: `${gb}: room for about ${clients.toLocaleString('en')} live clients`,
  }
}

async function clock(): Promise<Finding> {
  const what = 'clock'
  const wall = Date.now()
  const steady = performance.now()
  await pause(250)
  const drift = Math.abs(Date.now() - wall - (performance.now() - steady))
  if (wall < Date.UTC(2026, 0))
    return {
      verdict: 'bad',
      what,
      found: `it says ${new Date(wall).toISOString()}: versions and ages would be wrong; set it`,
    }
  if (drift > 20)
    return {
      verdict: 'mind',
      what,
      found: `it moved by ${drift.toFixed(0)} ms in a quarter of a second: something sets it by jumps`,
    }
  return { verdict: 'good', what, found: `${new Date(wall).toISOString()}, steady` }
}

function migration(): Finding {
  const what = 'tcp_migrate_req'
  const value = read('/proc/sys/net/ipv4/tcp_migrate_req')?.trim()
  if (value === '1')
    return { verdict: 'good', what, found: '1: a restart loses no connections, however workers share a port' }
  return {
    verdict: 'good',
    what,
    found: `${value ?? 'not known'}: workers share one socket (a socket for each would lose connections in a restart)`,
  }
}

function freePort(port: number, host: string): Promise<Finding> {
  const what = `port ${port}`
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ verdict: 'bad', what, found: `${error.code}: name another with --port` }),
    )
    server.listen(port, host, () => server.close(() => resolve({ verdict: 'good', what, found: `free on ${host}` })))
  })
}

/** Nothing where no Redis is named. @throws ConfigError when its address or its certificates can't be read */
async function redis({ redis, redisCa, prefix = 'weir' }: CommandLine['options']): Promise<readonly Finding[]> {
  if (redis === undefined) return []
  const findings = await redisFindings({ ...redisEntry(redis, redisCa), prefix })
  return findings.map(({ well, found }) => ({ verdict: well ? 'good' : 'bad', what: 'Redis', found }))
}

function addresses(apps: readonly App[]): readonly (readonly [name: string, url: string])[] {
  const upstreams = apps.flatMap(({ use }) =>
    use.flatMap((part) => (part.kind === 'feed' ? (part.plan.upstream ?? []) : [])),
  )
  return [...new Map(upstreams.map(({ name, settings }) => [name, settings.url]))]
}

function reached(name: string, url: string): Promise<Finding> {
  const { hostname, port, protocol, host } = new URL(url)
  const what = `upstream ${name}`
  return new Promise((resolve) => {
    const started = performance.now()
    const socket = connect({
      host: hostname,
      port: Number(port) || (protocol === 'https:' ? 443 : 80),
      timeout: REACHED_WITHIN,
    })
    const end = (finding: Finding) => {
      socket.destroy()
      resolve(finding)
    }
    socket.once('connect', () =>
      end({
        verdict: 'good',
        what,
        found: `${host} accepts connections (${(performance.now() - started).toFixed(0)} ms)`,
      }),
    )
    socket.once('timeout', () =>
      end({ verdict: 'bad', what, found: `${host} did not accept a connection in ${REACHED_WITHIN} ms` }),
    )
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end({ verdict: 'bad', what, found: `${host}: ${error.code ?? error.message}` }),
    )
  })
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
