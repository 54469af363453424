import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { freePort } from './free-port.ts'
import { leashed } from './leash.ts'

/** A real redis-server of a test's own, that keeps nothing on disk. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Forgets everything it keeps. */
  flush(): Promise<void>
  /** Scripts it has run since it was started. */
  scripts(): Promise<number>
  /** Stops it dead as it stands, connections open, and lets it go on. */
  freeze(): void
  thaw(): void
  kill(): Promise<void>
  /** Starts it again on the same port, empty. */
  start(): Promise<void>
}

/** `flags`: what the server is started with besides. */
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
    let said = ''
    child.stdout.on('data', (data) => {
      said += data
      if (said.includes('Ready to accept connections')) ready()
    })
    const ends = Promise.race([once(child, 'exit'), once(child, 'error')])
    const failed = ends.then(() => Promise.reject(new Error(`expected redis-server to listen, it said: ${said}`)))
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
