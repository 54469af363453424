import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { freePort } from './free-port.ts'

/** A real redis-server of a test's own, that keeps nothing on disk. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string
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

export async function redisServer(): Promise<RedisServer> {
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  const directory = await mkdtemp(join(tmpdir(), 'weir-redis-'))
  let server: ChildProcess | undefined

  async function start(): Promise<void> {
    const flags = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      directory,
    ]
    const child = spawn('redis-server', flags, { stdio: 'ignore' })
    server = child
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error))])
    for (let tries = 0; !(await answers(port)); tries++) {
      if (tries > 500) throw new Error('expected redis-server to listen within 10 s')
      await sleep(20)
    }
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

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    const end = (ok: boolean) => {
      socket.destroy()
      resolve(ok)
    }
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.once('data', (data) => end(data.toString().startsWith('+PONG')))
    socket.once('error', () => end(false))
  })
}
