import type { LevelState } from './admission/level.ts'
import type { App } from './app.ts'
import type { IpcPort } from './backend/cluster/ipc-port.ts'
import type { Clock } from './clock.ts'
import type { Emit } from './events.ts'
import type { Metrics } from './observe/metrics.ts'
import type { Trouble } from './observe/troubles.ts'
import type { Fleet } from './observe/workers.ts'
import type { Bytes, Duration } from './options.ts'
import type { Of } from './site/of.ts'
import type { Site } from './site/site.ts'

/** What `createGateway()` takes. */
export interface GatewayOptions {
  readonly apps: readonly App[]
  /** The system clock by default. */
  readonly clock?: Clock
  /** Called with every event; it must not throw. */
  readonly observe?: Emit
  /** A live connection is never silent for longer. `'10s'` by default. */
  readonly heartbeat?: Duration
  /** The most memory that kept values take. `'256mb'` by default. */
  readonly memory?: Bytes
  /**
   * `redis://user:password@host:port/db`, or `rediss://…` for TLS: what nodes share, one server or a Redis Cluster, of which some
   * servers may be named with commas between them. Without it this process shares with nobody.
   */
  readonly redis?: string
  /** A file with the certificates (PEM) of the authorities that the certificate of `rediss://…` may come from. */
  readonly redisCa?: string
  /**
   * Where another gateway serves the same apps, one address for each in their order. Feeds and logs follow it, proxies go through it, and no
   * other upstream is asked: this is a region of it. Feeds and logs that are not public are refused.
   */
  readonly origin?: string | readonly string[]
  /** What all keys in Redis begin with: nodes with the same share. `'weir'` by default. */
  readonly prefix?: string
  /** Set by `weir start --workers`. */
  readonly worker?: WorkerPart
  /** The most live connections of this process. 100,000 by default. */
  readonly connections?: number
  /** Whether streams of large events are compressed, for clients that can read that. They are by default. */
  readonly eventDeflate?: boolean
  /** The most topics of one WebSocket. 500 by default. */
  readonly socketTopics?: number
  /** The largest message that a client may send on a WebSocket. `'16kb'` by default. */
  readonly socketMessage?: Bytes
  /** Messages a second that a client may send on a WebSocket, pings among them. 50 by default. */
  readonly socketRate?: number
  /** Messages that it may send at once. 1,000 by default. */
  readonly socketBurst?: number
  /** Whether large messages on a WebSocket are compressed, for clients that can read that. They are by default. */
  readonly socketDeflate?: boolean
}

/** One of several processes that serve the same apps on one machine, and what it knows of the others. */
export interface WorkerPart {
  /** To the primary, whose memory the workers share. Undefined where they share a Redis. */
  readonly carrier: IpcPort | undefined
  readonly fleet: Fleet
}

/** Apps at work in this process. */
export interface Gateway {
  readonly sites: readonly Site[]
  readonly level: LevelState
  readonly metrics: Metrics
  /** What it depends on and that does not work now, as `/api/health` says it. */
  readonly troubles: () => readonly Trouble[]
  /**
   * A feed or a log as this gateway serves it: `gateway.of(price).get({ mint })`. For programs with several gateways; with one, `price.get({ mint })`
   * is the same. A declaration that several apps of the gateway use is named by its site: `gateway.sites[0].of(price)`.
   */
  readonly of: Of
  /**
   * Serves every site on Node's HTTP server: the first at `port`, the next above it; port 0 gives each a free one, and a list each its own.
   *
   * @returns the address of each site, in order
   * @throws the system's error, such as EADDRINUSE; then no site is served
   */
  listen(at: { readonly port: number | readonly number[]; readonly host?: string }): Promise<readonly string[]>
  /** Stops to take new connections, or begins again; those it has stay. For when other processes listen at the same address. */
  accept(open: boolean): Promise<void>
  /**
   * Tells live clients when to come back, ends every connection and lets go of everything. Bounded by `within` milliseconds.
   * `handover`: others listen at the same address, so that whoever still asks on an open connection is served, and not refused.
   */
  close(within?: number, handover?: boolean): Promise<void>
}
