import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { clientFrame } from '../../packages/gateway/test/raw-socket.ts'
import { freePort } from '../../scripts/free-port.ts'
import { type Running, run, runProgram, weir } from '../../scripts/running.ts'
import { messageOf } from './message.ts'

/** What every contender is told to do. */
export interface Load {
  /** Of a message, envelope included where it is an event. */
  readonly bytes: number
  /** Milliseconds between two messages. */
  readonly every: number
}

/** A server that sends one message after the other to whoever subscribes. `await using` ends it. */
export interface Contender extends AsyncDisposable {
  readonly port: number
  /** What a subscriber sends first, and what follows the head of the answer, in hex. */
  readonly request: string
  readonly hello: string
  /** All processes that serve; their CPU and memory is what it costs. */
  pids(): readonly number[]
}

/** Its name, and how it is started; undefined where this machine lacks it. */
export interface Entrant {
  readonly name: string
  start(load: Load): Promise<Contender>
}

const NGINX = '/usr/sbin/nginx'
const NCHAN = '/usr/lib/nginx/modules/ngx_nchan_module.so'

/** Everybody who can run here; `floor`: the compiled C program. */
export function entrants(floor: string): readonly Entrant[] {
  const all: Entrant[] = [
    { name: 'C send()', start: ({ bytes, every }) => started(runProgram(floor, [`${bytes}`, `${every}`]), EVENTS) },
    { name: 'Weir', start: (load) => startWeir(load, EVENTS, '', AROUND_EVENT) },
    {
      name: 'Weir WebSocket',
      start: (load) => startWeir(load, requestOf('/weir/ws', ...SOCKET), SUBSCRIBE, AROUND_MESSAGE),
    },
    ...(['res.write', 'ws', 'socket.io'] as const).map((kind) => ({
      name: NAMES[kind],
      start: ({ bytes, every }: Load) =>
        started(run(['bench/fanout/serve.ts', kind, `${bytes}`, `${every}`]), REQUESTS[kind], HELLOS[kind]),
    })),
  ]
  if (existsSync(NGINX) && existsSync(NCHAN)) all.push({ name: 'nchan', start: startNchan })
  else process.stdout.write(`Without nchan: ${NGINX} or ${NCHAN} is not there.\n`)
  return all
}

const EVENTS = requestOf('/updates/a', 'accept: text/event-stream')
const SOCKET = [
  'connection: upgrade',
  'upgrade: websocket',
  'sec-websocket-version: 13',
  `sec-websocket-key: ${'A'.repeat(22)}==`,
]
const NAMES = { 'res.write': 'Node, res.write', ws: 'ws', 'socket.io': 'Socket.IO' }
const REQUESTS = {
  'res.write': EVENTS,
  ws: requestOf('/', ...SOCKET),
  'socket.io': requestOf('/socket.io/?EIO=4&transport=websocket', ...SOCKET),
}
/** Socket.IO's "40" joins the main namespace: a masked text frame, its mask all zeros. */
const HELLOS = { 'res.write': '', ws: '', 'socket.io': '8182000000003430' }

function requestOf(path: string, ...headers: readonly string[]): string {
  return `GET ${path} HTTP/1.1\r\nhost: bench\r\n${headers.join('\r\n')}\r\n\r\n`
}

async function started(program: Running, request: string, hello = '', pattern = /^port (\d+)$/m): Promise<Contender> {
  const port = Number((await program.says(pattern))[1])
  return {
    port,
    request,
    hello,
    pids: () => [program.pid],
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

/** What Weir itself says around a value, in bytes: in an event, and in a message on a WebSocket with its frame. */
const AROUND_EVENT = 163
const AROUND_MESSAGE = 135
const SUBSCRIBE = clientFrame('{"type":"subscribe","topic":"/updates/a"}').toString('hex')

/** The command as users run it, its flags included. Its clients answer no pings, as those of Socket.IO, so there are none. */
function startWeir({ bytes, every }: Load, request: string, hello: string, around: number): Promise<Contender> {
  const program = weir(['start', 'bench/fanout/app.ts', '--port', '0', '--heartbeat', '1h'], {
    BYTES: `${bytes - around}`,
    EVERY: `${every}`,
  })
  return started(program, request, hello, /^updates +\S+:(\d+)$/m)
}

/** One worker of nginx with nchan; this process publishes, as a backend would. */
async function startNchan({ bytes, every }: Load): Promise<Contender> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-nchan-'))
  const port = await freePort()
  const config = join(folder, 'nginx.conf')
  writeFileSync(
    config,
    `load_module ${NCHAN};
user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/pid;
error_log ${folder}/error.log crit;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path ${folder};
  nchan_shared_memory_size 128M;
  nchan_message_buffer_length 1;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /updates/a { nchan_subscriber eventsource; nchan_channel_id a; }
    location = /publish { nchan_publisher; nchan_channel_id a; }
  }
}
`,
  )
  const program = runProgram(NGINX, ['-p', folder, '-c', config])
  await listening(port)
  const publish = () =>
    // What eventsource puts around it: "id: SECONDS:0\ndata: " and two line breaks.
    void fetch(`http://127.0.0.1:${port}/publish`, { method: 'POST', body: messageOf(bytes - 25) }).catch(() => {})
  const timer = setInterval(publish, every)
  return {
    port,
    request: EVENTS,
    hello: '',
    pids: () => [program.pid, ...childrenOf(program.pid)],
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      // Quickly, workers too: killing the master alone would leave them.
      program.signal('SIGTERM')
      await program.ended
    },
  }
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => readStat(other)?.parent === pid)
}

/** A process as Linux counts it: its parent, and the seconds of CPU that all of its threads have used, the kernel for it too. */
export function readStat(
  pid: number,
): { readonly parent: number; readonly user: number; readonly cpu: number } | undefined {
  try {
    // After the name, which may hold anything: state, parent, …; the 12th and 13th are user and system time.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    const [user, system] = [Number(fields[11]) / TICKS, Number(fields[12]) / TICKS]
    return { parent: Number(fields[1]), user, cpu: user + system }
  } catch {
    // It has ended meanwhile.
    return undefined
  }
}

/** Of the clock that /proc counts in; 100 on every Linux that Node runs on. */
const TICKS = 100

async function listening(port: number): Promise<void> {
  for (;;) {
    const answered = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)
    if (answered !== undefined) return
    await pause(20)
  }
}
