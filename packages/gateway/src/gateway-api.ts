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

/** The options of `createGateway()`. */
export interface GatewayOptions {
  readonly apps: readonly App[]
  /** The system clock by default. */
  readonly clock?: Clock
  /** Called with every event; it must not throw. */
  readonly observe?: Emit
  /** Maximum silence of a live connection. `'10s'` by default. */
  readonly heartbeat?: Duration
  /** Maximum memory for cached values. `'256mb'` by default. */
  readonly memory?: Bytes
  /**
   * `redis://user:password@host:port/db`, or `rediss://…` for TLS: shared by nodes. One server, or a Redis Cluster, of
   * which several servers may be listed with commas. Without it this process shares nothing.
   */
  readonly redis?: string
  /** A file with the certificates (PEM) of the authorities trusted for `rediss://…`. */
  readonly redisCa?: string
  /**
   * URLs at which another gateway serves the same apps, one per app in the same order. This gateway is then a region of
   * it: feeds and logs follow it, proxies go through it, and no other upstream is called. Private feeds and logs are
   * refused.
   */
  readonly origin?: string | readonly string[]
  /** Prefix of all keys in Redis. Nodes with the same prefix share. `'weir'` by default. */
  readonly prefix?: string
  /** Set by `weir start --workers`. */
  readonly worker?: WorkerPart
  /** Maximum live connections of this process. 100,000 by default. */
  readonly connections?: number
  /** Whether streams of large events are compressed, for clients that accept it. True by default. */
  readonly eventDeflate?: boolean
  /** Maximum topics per WebSocket. 500 by default. */
  readonly socketTopics?: number
  /** Maximum size of a client's WebSocket message. `'16kb'` by default. */
  readonly socketMessage?: Bytes
  /** Messages per second that a client may send on a WebSocket, including pings. 50 by default. */
  readonly socketRate?: number
  /** Messages that a client may send at once. 1,000 by default. */
  readonly socketBurst?: number
  /** Whether large WebSocket messages are compressed, for clients that accept it. True by default. */
  readonly socketDeflate?: boolean
}

/** A worker process: its connection to the other processes that serve the same apps. */
export interface WorkerPart {
  /** The connection to the primary, whose memory the workers share. Undefined if they share a Redis. */
  readonly carrier: IpcPort | undefined
  readonly fleet: Fleet
}

/** Running apps. */
export interface Gateway {
  readonly sites: readonly Site[]
  readonly level: LevelState
  readonly metrics: Metrics
  /** The parts that do not work now, as in `/api/health`. */
  readonly troubles: () => readonly Trouble[]
  /**
   * A feed or a log as this gateway serves it: `gateway.of(price).get({ mint })`. For programs with several gateways;
   * with one, `price.get({ mint })` is the same. If several apps of the gateway use a declaration, name the site:
   * `gateway.sites[0].of(price)`.
   */
  readonly of: Of
  /**
   * Serves every site on Node's HTTP server: the first at `port`, each next one at the following port. Port 0 gives
   * each a free port, and a list gives each its own.
   *
   * @returns the address of each site, in order
   * @throws the system's error, such as EADDRINUSE; then no site is served
   */
  listen(at: { readonly port: number | readonly number[]; readonly host?: string }): Promise<readonly string[]>
  /**
   * Stops or resumes accepting new connections. Existing ones stay. For setups in which other processes listen at the
   * same address.
   */
  accept(open: boolean): Promise<void>
  /**
   * Sends live clients a reconnect delay, closes every connection and frees all resources, within `within`
   * milliseconds.
   *
   * @param handover other processes listen at the same address, so requests on open connections are still served, not
   * refused
   */
  close(within?: number, handover?: boolean): Promise<void>
}
