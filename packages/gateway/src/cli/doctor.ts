import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { totalmem } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { App } from '../app.ts'
import { redisEntry } from '../backend/redis/entry.ts'
import { redisFindings } from './doctor-redis.ts'
import { loadApps } from './load-app.ts'
import type { CommandLine } from './usage.ts'

type Verdict = 'good' | 'warn' | 'bad'

interface Finding {
  readonly verdict: Verdict
  readonly subject: string
  /** The finding, with the remedy unless it is good. */
  readonly found: string
}

/** Memory of an idle process and of each live client, in bytes, with room for slow clients. */
const BASE = 200 * 1024 ** 2
const PER_CLIENT = 16 * 1024

/** Time limit for an upstream to accept a connection, in milliseconds. */
const CONNECT_TIMEOUT = 3000

/** Reports the capacity of this machine and the health of its dependencies. A bad finding makes the exit code 1. */
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
    ...(await Promise.all(upstreamUrls(apps).map(([name, url]) => reachable(name, url)))),
  ]
  for (const { verdict, subject, found } of findings) {
    process.stdout.write(`${MARKS[verdict]} ${subject.padEnd(18)} ${found}\n`)
  }
  return findings.some(({ verdict }) => verdict === 'bad') ? 1 : 0
}

const MARKS: Readonly<Record<Verdict, string>> = { good: 'good', warn: 'warn', bad: 'BAD ' }

function fileLimit(): Finding {
  const subject = 'open files'
  const limit = Number(/^Max open files\s+(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1])
  if (Number.isNaN(limit)) return { verdict: 'warn', subject, found: 'unknown; each live client needs one' }
  const clients = Math.max(0, limit - 200).toLocaleString('en')
  if (limit >= 10_000)
    return {
      verdict: 'good',
      subject,
      found: `${limit.toLocaleString('en')}: about ${clients} live clients per process`,
    }
  return {
    verdict: 'warn',
    subject,
    found: `${limit.toLocaleString('en')}: only about ${clients} live clients per process; raise it with "ulimit -n"`,
  }
}

function memory(): Finding {
  const subject = 'memory'
  // A container may have less memory than the machine. Without a limit, Node reports 0 or more than the machine has.
  const bound = process.constrainedMemory()
  const bytes = bound > 0 ? Math.min(bound, totalmem()) : totalmem()
  const gb = `${(bytes / 1024 ** 3).toFixed(1)} GB`
  const clients = Math.max(0, Math.floor((bytes * 0.8 - BASE) / PER_CLIENT))
  if (clients >= 10_000)
    return { verdict: 'good', subject, found: `${gb}: room for about ${clients.toLocaleString('en')} live clients` }
  return {
    verdict: clients > 0 ? 'warn' : 'bad',
    subject,
    found: `${gb}: room for about ${clients.toLocaleString('en')} live clients`,
  }
}

async function clock(): Promise<Finding> {
  const subject = 'clock'
  const wall = Date.now()
  const steady = performance.now()
  await pause(250)
  const drift = Math.abs(Date.now() - wall - (performance.now() - steady))
  if (wall < Date.UTC(2026, 0))
    return {
      verdict: 'bad',
      subject,
      found: `${new Date(wall).toISOString()} is in the past, so versions and ages would be wrong; set the clock`,
    }
  if (drift > 20)
    return {
      verdict: 'warn',
      subject,
      found: `it jumped by ${drift.toFixed(0)} ms within 250 ms; let the time service adjust it gradually`,
    }
  return { verdict: 'good', subject, found: `${new Date(wall).toISOString()}, steady` }
}

function migration(): Finding {
  const subject = 'tcp_migrate_req'
  const value = read('/proc/sys/net/ipv4/tcp_migrate_req')?.trim()
  if (value === '1') return { verdict: 'good', subject, found: '1: a restart loses no connections' }
  return {
    verdict: 'good',
    subject,
    found: `${value ?? 'unknown'}: workers share one socket, so a restart loses no connections`,
  }
}

function freePort(port: number, host: string): Promise<Finding> {
  const subject = `port ${port}`
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ verdict: 'bad', subject, found: `${error.code}: choose another port with --port` }),
    )
    server.listen(port, host, () => server.close(() => resolve({ verdict: 'good', subject, found: `free on ${host}` })))
  })
}

/** Checks Redis, if one is configured. @throws ConfigError when its URL or its certificates can't be read */
async function redis({ redis, redisCa, prefix = 'weir' }: CommandLine['options']): Promise<readonly Finding[]> {
  if (redis === undefined) return []
  const findings = await redisFindings({ ...redisEntry(redis, redisCa), prefix })
  return findings.map(({ ok, found }) => ({ verdict: ok ? 'good' : 'bad', subject: 'Redis', found }))
}

function upstreamUrls(apps: readonly App[]): readonly (readonly [name: string, url: string])[] {
  const upstreams = apps.flatMap(({ use }) =>
    use.flatMap((part) => (part.kind === 'feed' ? (part.plan.upstream ?? []) : [])),
  )
  return [...new Map(upstreams.map(({ name, settings }) => [name, settings.url]))]
}

function reachable(name: string, url: string): Promise<Finding> {
  const { hostname, port, protocol, host } = new URL(url)
  const subject = `upstream ${name}`
  return new Promise((resolve) => {
    const started = performance.now()
    const socket = connect({
      host: hostname,
      port: Number(port) || (protocol === 'https:' ? 443 : 80),
      timeout: CONNECT_TIMEOUT,
    })
    const finish = (finding: Finding) => {
      socket.destroy()
      resolve(finding)
    }
    socket.once('connect', () =>
      finish({
        verdict: 'good',
        subject,
        found: `${host} accepts connections (${(performance.now() - started).toFixed(0)} ms)`,
      }),
    )
    socket.once('timeout', () =>
      finish({ verdict: 'bad', subject, found: `${host} accepted no connection within ${CONNECT_TIMEOUT} ms` }),
    )
    socket.once('error', (error: NodeJS.ErrnoException) =>
      finish({ verdict: 'bad', subject, found: `${host}: ${error.code ?? error.message}` }),
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
