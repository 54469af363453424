import { createRequire } from 'node:module'
import type { Clock } from '../../clock.ts'
import { type Breaker, createBreaker } from './breaker.ts'

/** What Redis answers, with texts as bytes. */
export type Reply = Buffer | number | null | readonly Reply[]

/** What is sent to Redis, the command first. */
export type Command = readonly (string | Buffer)[]

/** How to connect to a server. */
export interface Entry {
  /** Its full address, with the password. */
  readonly url: string
  /** PEM texts of the authorities that its certificate may come from; by default those that Node knows. */
  readonly ca: string | undefined
}

/** One server of Redis, over one connection that reconnects by itself. Commands wait only for its first connection. */
export interface Server {
  /** `host:port` */
  readonly address: string
  readonly breaker: Breaker
  /** `asking`: about a key that is moving here. */
  send(command: Command, signal: AbortSignal, asking: boolean): Promise<Reply>
  /** Opens the connection again: another server may answer at its address now. False if that was done just before. */
  renew(): boolean
  close(): void
}

export interface ServerParts {
  readonly address: string
  readonly entry: Entry
  readonly clock: Clock
  readonly report: (error: unknown) => void
}

/** A connection on which nothing came for this long is given up: a black hole gives no error. Milliseconds. */
export const SILENCE = 3000

/** How many missing replies are waited for. More would be memory without a bound. */
const MOST_WAITING = 10_000

/** A connection is opened again at most this often, in milliseconds. */
const RENEWED = 1000

const require = createRequire(import.meta.url)

/** node-redis takes 27 MB and 100 ms, so only a gateway that has a Redis loads it: at the moment of the call, since callers cannot wait. */
function nodeRedis(): typeof import('@redis/client') {
  return require('@redis/client')
}

/** node-redis speaks the protocol. Deadlines, the breaker and safe retries are our own. */
export function redisClient({ url, ca }: Entry, report: (error: unknown) => void) {
  const client = nodeRedis().createClient({
    url,
    RESP: 2,
    disableOfflineQueue: true,
    commandsQueueMaxLength: MOST_WAITING,
    pingInterval: SILENCE / 3,
    // Its own timeout does not hold when the server stops (1.6 s were measured for 50 ms), so ours is used.
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: 1000,
      socketTimeout: SILENCE,
      // Full jitter, so that nodes do not all reconnect at once.
      reconnectStrategy: (retries) => Math.random() * Math.min(1000, 25 * 2 ** Math.min(retries, 10)),
      ...(url.startsWith('rediss:') ? { tls: true as const, ...(ca === undefined ? {} : { ca }) } : {}),
    },
  })
  client.on('error', (error) => {
    // In a Redis Cluster, a server that redirects is healthy. The caller follows the redirection.
    if (!/^(MOVED|ASK) /.test(error.message)) report(error)
  })
  return client
}

export function openServer({ address, entry, clock, report }: ServerParts): Server {
  const { RESP_TYPES } = nodeRedis()
  const typeMapping = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer }
  let link = connect()
  let renewedAt = clock.monotonic()

  function connect() {
    const client = redisClient(entry, report)
    const connected = new Promise<void>((resolve) => client.once('ready', resolve))
    client.connect().catch(report)
    return { client, connected }
  }

  function close(): void {
    if (link.client.isOpen) link.client.destroy()
  }

  return {
    address,
    breaker: createBreaker(clock),

    async send(command, abortSignal, asking) {
      const { client, connected } = link
      if (!client.isReady) await connected
      if (abortSignal.aborted) throw abortSignal.reason
      const options = { typeMapping, abortSignal, timeout: 0 }
      if (!asking) return client.sendCommand<Reply>([...command], options)
      // Both on one connection, in order, so that the first applies to the second.
      const [, reply] = await Promise.all([
        client.sendCommand(['ASKING'], options),
        client.sendCommand<Reply>([...command], options),
      ])
      return reply
    },

    renew() {
      if (clock.monotonic() - renewedAt < RENEWED) return false
      renewedAt = clock.monotonic()
      close()
      link = connect()
      return true
    },

    close,
  }
}
