import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { freePort } from './free-port.ts'
import { leashed } from './leash.ts'

/** A redis-server for one test, without persistence. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Deletes all data. */
  flush(): Promise<void>
  /** Number of scripts run since the start. */
  scripts(): Promise<number>
  /** Suspends the process with open connections, and resumes it. */
  freeze(): void
  thaw(): void
  kill(): Promise<void>
  /** Restarts it empty on the same port. */
  start(): Promise<void>
}

/** `flags`: additional arguments of the server. */
export async function redisServer(flags: readonly string[] = []): Promise<RedisServer> {
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  const directory = await mkdtemp(join(tmpdir(), 'weir-redis-'))
  let server: ChildProcess | undefined

  async function start(): Promise<void> {
    const bound = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory]
    const child = spawn(...leashed('redis-server', [...bound, '--save', '', '--appendonly', 'no', ...flags]), {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    server = child
    let ready = () => {}
    const listens = new Promise<void>((resolve) => {
      ready = resolve
    })
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
      if (output.includes('Ready to accept connections')) ready()
    })
    const ends = Promise.race([once(child, 'exit'), once(child, 'error')])
    const failed = ends.then(() => Promise.reject(new Error(`expected redis-server to listen, got: ${output}`)))
    failed.catch(() => {})
    await Promise.race([listens, failed])
  }

  async function kill(): Promise<void> {
    const child = server
    server = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async function ask(command: string): Promise<string> {
    const client = createClient({ url })
    client.on('error', () => {})
    await client.connect()
    try {
      return String(await client.sendCommand(command.split(' ')))
    } finally {
      client.destroy()
    }
  }

  await start()
  return {
    url,
    port,
    async flush() {
      await ask('FLUSHALL')
    },
    scripts: async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await ask('INFO commandstats'))?.[1] ?? 0),
    freeze: () => void server?.kill('SIGSTOP'),
    thaw: () => void server?.kill('SIGCONT'),
    kill,
    start,
    async [Symbol.asyncDispose]() {
      await kill()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
