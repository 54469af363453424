import type { OptionTable } from '../options.ts'

/** The options of `createGateway()`. */
export const GATEWAY_OPTIONS = {
  apps: { kind: 'any', takes: 'a list of apps', help: 'The apps to serve, each on its own site.' },
  clock: { kind: 'any', takes: 'a clock', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', takes: 'a function', optional: true, help: 'Called with every event.' },
  heartbeat: {
    kind: 'duration',
    default: '10s',
    min: 10,
    help: 'Maximum silence of a live connection; a heartbeat is sent before.',
  },
  memory: {
    kind: 'bytes',
    default: '256mb',
    min: 1024,
    help: 'Maximum memory for cached values. Histories of logs may take the same amount again.',
  },
  redis: {
    kind: 'text',
    optional: true,
    help: '`redis://user:password@host:port/db`, or `rediss://…` for TLS: shared by nodes. One server, or a Redis Cluster, of which several servers may be listed with commas. Without it this process shares nothing. The command also reads `REDIS_URL`.',
  },
  redisCa: {
    kind: 'text',
    optional: true,
    help: 'File with the certificates (PEM) of the authorities trusted for `rediss://…`; by default those of Node.',
  },
  origin: {
    kind: 'texts',
    optional: true,
    help: 'Base URLs at which another gateway serves the same apps, one per app in the same order. Feeds and logs follow it, proxies go through it, and no other upstream is called. The command also reads `WEIR_ORIGIN`.',
  },
  prefix: { kind: 'text', default: 'weir', help: 'Prefix of all keys in Redis. Nodes with the same prefix share.' },
  worker: {
    kind: 'any',
    takes: 'an object',
    optional: true,
    help: 'Set by `weir start --workers`: the connection to the other processes that serve the same apps.',
  },
  connections: { kind: 'integer', default: 100_000, min: 1, help: 'Maximum live connections of this process.' },
  eventDeflate: {
    kind: 'boolean',
    default: true,
    help: 'Whether streams of large events (SSE) are compressed, for clients that accept it.',
  },
  socketTopics: { kind: 'integer', default: 500, min: 1, help: 'Maximum topics per WebSocket.' },
  socketMessage: {
    kind: 'bytes',
    default: '16kb',
    min: 128,
    max: 2 ** 30,
    help: "Maximum size of a client's WebSocket message.",
  },
  socketRate: {
    kind: 'integer',
    default: 50,
    min: 1,
    help: 'Messages per second that a client may send on a WebSocket, including pings.',
  },
  socketBurst: {
    kind: 'integer',
    default: 1000,
    min: 1,
    help: 'Messages that a client may send at once on a WebSocket.',
  },
  socketDeflate: {
    kind: 'boolean',
    default: true,
    help: 'Whether large WebSocket messages are compressed, for clients that accept it.',
  },
} as const satisfies OptionTable

/** The options of `weir start`, besides those of the gateway. */
export const START_OPTIONS = {
  workers: {
    kind: 'text',
    optional: true,
    help: 'Number of processes that serve the apps, or `max` for one per processor. They share values, limits and quotas, and one that dies is replaced. Without it, a single process serves. The command also reads `WEIR_WORKERS`.',
  },
  'worker-memory': {
    kind: 'bytes',
    optional: true,
    min: 1024,
    help: "Resident memory at which a worker is replaced; by default 80 % of the machine's memory, divided among all workers.",
  },
} as const satisfies OptionTable
