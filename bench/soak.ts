/**
 * Whether the gateway's memory grows over hours, and whose it is. `node bench/soak.ts [MINUTES] [EVERY_MINUTES]`
 *
 * Clients come, watch, read, publish and leave for the whole time; at the end all have left. Each row is taken after garbage collection:
 * what V8 uses and holds, what Node holds outside of V8, and how much of the resident memory is in glibc's heap (`[heap]` and its arenas)
 * and in V8's pages, by `/proc/self/smaps`. Linux only.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { createGateway, defineApp, feed, log } from '@weir/gateway'
import { z } from 'zod'

const [minutes = 60, every = 5] = process.argv.slice(2).map(Number)
const KEYS = 5000
const SUBSCRIBERS = 300
const READS_A_SECOND = 40
const EVENTS_A_SECOND = 5
const MINUTE = 60_000

const agent = new Agent({ keepAlive: true, maxSockets: 20 })

interface Memory {
  readonly rss: number
  readonly heapUsed: number
  readonly heapTotal: number
  readonly external: number
  readonly sockets: number
  /** Resident bytes that glibc's allocator holds. */
  readonly glibc: number
}

if (process.argv[2] === 'serve') await serve()
else await soak()

async function soak(): Promise<void> {
  const server = fork(import.meta.filename, ['serve'], { execArgv: ['--expose-gc', '--max-semi-space-size=4'] })
  try {
    const [port]: number[] = await once(server, 'message')
    process.stdout.write(`Node ${process.versions.node}, ${process.platform} ${process.arch}; ${minutes} minutes\n\n`)
    process.stdout.write(
      '| minute | resident, MB | V8 uses, MB | V8 holds, MB | outside V8, MB | glibc holds, MB | sockets |\n',
    )
    process.stdout.write(
      '| -----: | -----------: | ----------: | -----------: | -------------: | --------------: | ------: |\n',
    )
    const started = Date.now()
    const over = started + minutes * MINUTE
    const row = async () => {
      server.send('measure')
      const [memory]: Memory[] = await once(server, 'message')
      if (memory === undefined) throw new Error('expected the memory of the gateway')
      const { rss, heapUsed, heapTotal, external, glibc, sockets } = memory
      const cells = [rss, heapUsed, heapTotal, external, glibc].map((bytes) => (bytes / 1024 ** 2).toFixed(1))
      const minute = Math.round((Date.now() - started) / MINUTE)
      process.stdout.write(`| ${[minute, ...cells, sockets].join(' | ')} |\n`)
    }
    await row()
    const load = Promise.all([readAll(port ?? 0, over), publishAll(port ?? 0, over), watchAll(port ?? 0, over)])
    while (Date.now() < over - 1000) {
      await pause(Math.min(every * MINUTE, over - Date.now()))
      await row()
    }
    await load
    // Watched values linger for half a minute.
    await pause(MINUTE)
    await row()
  } finally {
    await end(server)
  }
}

async function end(server: ChildProcess): Promise<void> {
  server.kill()
  await once(server, 'exit')
}

/** One request; its answer is read to its end. */
function ask(port: number, path: string, body?: string): Promise<void> {
  return new Promise((resolve) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const asked = request(
      { port, path, agent, method: body === undefined ? 'GET' : 'POST', headers, timeout: 10_000 },
      (answer) => answer.resume().once('close', resolve),
    )
    asked.once('error', () => resolve()).once('timeout', () => asked.destroy())
    asked.end(body)
  })
}

async function readAll(port: number, over: number): Promise<void> {
  while (Date.now() < over) {
    void ask(port, `/values/${Math.floor(Math.random() * KEYS)}`)
    await pause(1000 / READS_A_SECOND)
  }
}

async function publishAll(port: number, over: number): Promise<void> {
  for (let count = 0; Date.now() < over; count++) {
    void ask(port, `/rooms/${count % 50}`, JSON.stringify({ text: 'x'.repeat(1 + Math.floor(Math.random() * 400)) }))
    await pause(1000 / EVENTS_A_SECOND)
  }
}

/** Subscribers who stay for a while, leave, and are followed by others. */
async function watchAll(port: number, over: number): Promise<void> {
  const one = async () => {
    while (Date.now() < over) {
      const path = `/weir/stream?topic=/values/${Math.floor(Math.random() * 200)}&topic=/rooms/${Math.floor(Math.random() * 50)}`
      const asked = request({ port, path }, (answer) => answer.resume().on('error', () => {}))
      asked.on('error', () => {}).end()
      await pause(Math.min(Math.max(0, over - Date.now()), MINUTE * (0.5 + Math.random() * 2)))
      asked.destroy()
    }
  }
  await Promise.all(Array.from({ length: SUBSCRIBERS }, one))
}

async function serve(): Promise<void> {
  const values = feed('/values/:id', {
    name: 'values',
    key: { id: z.string() },
    value: z.object({ id: z.string(), text: z.string() }),
    fresh: '1s',
    live: { every: '2s' },
    load: { one: async ({ id }) => ({ id, text: `${Math.random()}`.repeat(1 + Math.floor(Math.random() * 40)) }) },
  })
  const rooms = log('/rooms/:id', {
    name: 'rooms',
    key: { id: z.string() },
    event: z.object({ text: z.string() }),
    history: { events: 200, age: '10m' },
    mayPublish: true,
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'soak', use: [values, rooms] })], memory: '8mb' })
  const [url] = await gateway.listen({ port: 0 })
  process.on('message', async () => {
    for (let times = 0; times < 5; times++) {
      await pause(100)
      globalThis.gc?.()
    }
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage()
    const sockets = process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
    process.send?.({ rss, heapUsed, heapTotal, external, sockets, glibc: heldByGlibc() } satisfies Memory)
  })
  process.once('disconnect', () => process.exit())
  process.send?.(Number(new URL(url ?? '').port))
}

/** Resident bytes of `[heap]` and of the arenas of glibc: anonymous mappings that begin at a multiple of 64 MB. */
function heldByGlibc(): number {
  const ARENA = 64n * 1024n ** 2n
  let bytes = 0
  let counts = false
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    const mapping = /^([0-9a-f]+)-[0-9a-f]+ (\S+) \S+ \S+ (\d+)\s*(.*)$/.exec(line)
    if (mapping !== null) {
      const [, start = '0', rights, inode, name] = mapping
      const isArena = rights === 'rw-p' && inode === '0' && name === '' && BigInt(`0x${start}`) % ARENA === 0n
      counts = name === '[heap]' || isArena
    } else if (counts && line.startsWith('Rss:')) bytes += Number(/\d+/.exec(line)?.[0] ?? 0) * 1024
  }
  return bytes
}
