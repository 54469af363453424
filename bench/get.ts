/**
 * What a cached GET costs: CPU of the server for each request, next to bare `node:http`, Fastify and nginx with `proxy_cache`.
 * `node bench/get.ts [--requests 40000] [--rounds 3] [--only Weir,bare]`
 *
 * Each server answers the same value of 230 bytes with the same headers. In turns, 32 connections without pipelining send requests that were
 * prepared before. CPU is what Linux counts for the server's process, the kernel included.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createGateway, defineApp, feed } from '@weir/gateway'
import fastify from 'fastify'
import { z } from 'zod'
import { readStat } from './fanout/contenders.ts'

const { values: options } = parseArgs({
  options: {
    requests: { type: 'string', default: '40000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    serve: { type: 'string' },
  },
})
const REQUESTS = Number(options.requests)
const ROUNDS = Number(options.rounds)
const CONNECTIONS = 32
const NGINX = process.env.NGINX_PATH ?? '/usr/sbin/nginx'
const PATH = '/values/SOL'
const VALUE = { id: 'SOL', text: 'x'.repeat(205) }

const SERVERS = ['node:http', 'Weir', 'Fastify', 'nginx'] as const
type Name = (typeof SERVERS)[number]

if (options.serve !== undefined) process.send?.(await serve(options.serve as Name))
else await compare()

/** Starts a server in this process. @returns its port */
async function serve(name: Name): Promise<number> {
  const headers = {
    'cache-control': 'public, max-age=3600, stale-while-revalidate=30, stale-if-error=30',
    'cache-status': 'weir; hit; ttl=3599',
    age: '0',
    'weir-version': '1790000000000:1',
    'weir-lineage': 'abcdefghijkl',
    vary: 'accept, accept-encoding',
    etag: '"0123456789abcdef"',
    'content-type': 'application/json',
  }
  const body = Buffer.from(JSON.stringify(VALUE))
  if (name === 'Fastify') {
    const app = fastify()
    app.get('/values/:id', (_request, reply) => reply.headers(headers).send(body))
    return Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port)
  }
  if (name === 'Weir') {
    const values = feed('/values/:id', {
      name: 'values',
      key: { id: z.string() },
      value: z.object({ id: z.string(), text: z.string() }),
      fresh: '1h',
      load: { one: async () => VALUE },
    })
    const [url] = await createGateway({ apps: [defineApp({ name: 'bench', use: [values] })] }).listen({ port: 0 })
    return Number(new URL(url ?? '').port)
  }
  const server = createServer((_request, response) => {
    response.writeHead(200, { ...headers, 'content-length': body.length })
    response.end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

interface Running {
  readonly name: Name
  readonly port: number
  /** The process whose CPU counts. */
  readonly pid: number
  end(): Promise<void>
}

async function compare(): Promise<void> {
  const wanted = options.only?.split(',')
  const names = SERVERS.filter((name) => wanted?.includes(name) ?? true).filter(
    (name) => name !== 'nginx' || existsSync(NGINX),
  )
  const running: Running[] = []
  const rounds: Map<Name, number>[] = []
  try {
    for (const name of names) running.push(name === 'nginx' ? await startNginx() : await startNode(name))
    for (const server of running) await load(server.port, REQUESTS / 2)
    for (let round = 0; round < ROUNDS; round++) {
      const took = new Map<Name, number>()
      for (const { name, pid, port } of running) {
        const before = readStat(pid)?.cpu ?? 0
        await load(port, REQUESTS)
        took.set(name, (((readStat(pid)?.cpu ?? 0) - before) / REQUESTS) * 1e6)
      }
      rounds.push(took)
    }
  } finally {
    for (const server of running) await server.end()
  }
  process.stdout.write(
    `Node ${process.versions.node}, ${process.platform} ${process.arch}; ${REQUESTS} requests each\n\n`,
  )
  process.stdout.write(`| | of node:http, median | CPU a request, µs, by round |\n| :-- | --: | :-- |\n`)
  for (const name of names) {
    const ratios = rounds.map((round) => (round.get(name) ?? 0) / (round.get('node:http') ?? Number.NaN))
    const micros = rounds.map((round) => (round.get(name) ?? 0).toFixed(1)).join(', ')
    process.stdout.write(
      `| ${name} | ${(ratios.toSorted((a, b) => a - b)[ROUNDS >> 1] ?? 0).toFixed(2)} | ${micros} |\n`,
    )
  }
}

async function startNode(name: Name): Promise<Running> {
  const child = fork(import.meta.filename, ['--serve', name], { execArgv: ['--max-semi-space-size=4'] })
  const [port]: number[] = await once(child, 'message')
  return { name, port: port ?? 0, pid: child.pid ?? 0, end: () => end(child) }
}

/** nginx with one worker, which keeps the answer of a `node:http` server. */
async function startNginx(): Promise<Running> {
  const origin = await startNode('node:http')
  const folder = mkdtempSync(join(tmpdir(), 'weir-get-'))
  // Its worker runs as another user.
  chmodSync(folder, 0o755)
  const port = await freePort()
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
     events { worker_connections 256; }
     http {
       access_log off; keepalive_requests 1000000000; open_file_cache max=100;
       client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
       uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
       proxy_cache_path ${folder}/cache keys_zone=kept:1m;
       server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${origin.port}; proxy_cache kept; } }
     }`,
  )
  const child = spawn(NGINX, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'inherit' })
  for (let tries = 0; !(await answers(port)); tries++) {
    if (tries === 100) throw new Error('expected nginx to listen within 5 s')
    await pause(50)
  }
  const worker = workerOf(child.pid ?? 0)
  return {
    ...{ name: 'nginx', port, pid: worker },
    async end() {
      await end(child)
      await origin.end()
      rmSync(folder, { recursive: true })
    },
  }
}

function workerOf(pid: number): number {
  const worker = readdirSync('/proc').find((other) => readStat(Number(other))?.parent === pid)
  if (worker === undefined) throw new Error('expected nginx to have a worker')
  return Number(worker)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
      .once('connect', () => resolve(true))
      .once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

async function end(child: ChildProcess): Promise<void> {
  child.kill()
  await once(child, 'exit')
}

/** Sends so many requests over 32 connections, each as soon as the one before it was answered. */
async function load(port: number, requests: number): Promise<void> {
  const asked = Buffer.from(`GET ${PATH} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\naccept: */*\r\n\r\n`)
  let left = requests
  await Promise.all(Array.from({ length: CONNECTIONS }, () => drive()))

  function drive(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      let expected = 0
      let got = 0
      const next = () => {
        if (left <= 0) {
          socket.destroy()
          return resolve()
        }
        left -= 1
        got = 0
        socket.write(asked)
      }
      socket.setNoDelay(true).once('connect', next).once('error', reject)
      socket.on('data', (data) => {
        // The head of the first answer says how long each is; a header that changes its length is read again.
        if (got === 0) {
          const head = data.indexOf('\r\n\r\n')
          const length = /content-length: (\d+)/i.exec(data.toString('latin1', 0, head))?.[1]
          if (!data.toString('latin1', 9, 12).startsWith('200'))
            return reject(new Error(`expected 200, got ${data.toString('latin1', 0, 200)}`))
          expected = head + 4 + Number(length)
        }
        got += data.length
        if (got >= expected) next()
      })
    })
  }
}
