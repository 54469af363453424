import type { Level, ServerMessage } from '@weir/protocol'
import { FeedConnection, type FeedPorts } from './feed-connection.ts'
import { assignStreams } from './stream-assignment.ts'

/** The connection as one thing, however many streams it takes. Times are by the ports' clock. */
export interface FeedStatus {
  readonly phase: 'idle' | 'connecting' | 'live' | 'lost'
  readonly lostAt: number | undefined
  /** When the next try is due; undefined while one is under way. */
  readonly retryAt: number | undefined
  readonly heartbeat: number | undefined
  readonly level: Level | undefined
}

// Adding five tokens in a row should open one new stream, not five.
const SETTLE = 250
const IDLE: FeedStatus = {
  phase: 'idle',
  lostAt: undefined,
  retryAt: undefined,
  heartbeat: undefined,
  level: undefined,
}

/**
 * Keeps live whatever is watched. A changed watchlist gets a new stream before the old one is let go, so that nothing
 * on the page blinks; streams whose tokens did not change are left alone.
 */
export class PriceFeed {
  readonly #ports: FeedPorts
  readonly #message: (message: ServerMessage) => void
  readonly #listeners = new Set<() => void>()
  #slots: StreamSlot[] = []
  #status = IDLE
  #wanted: readonly string[] = []
  #cancelSettling: (() => void) | undefined

  constructor(ports: FeedPorts, message: (message: ServerMessage) => void) {
    this.#ports = ports
    this.#message = message
  }

  status = (): FeedStatus => this.#status

  subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  /** Milliseconds by the clock of the status. */
  now = (): number => this.#ports.now()

  /** From now on these tokens, and no others. */
  watch(mints: readonly string[]): void {
    this.#wanted = mints
    if (this.#slots.length === 0) this.#assign()
    else this.#cancelSettling ??= this.#ports.after(SETTLE, () => this.#assign())
  }

  /** Tries again at once where a connection is waiting to. */
  retryNow(): void {
    for (const slot of this.#slots) slot.retryNow()
  }

  #assign(): void {
    this.#cancelSettling = undefined
    const streams = assignStreams(
      this.#slots.map((slot) => slot.mints),
      this.#wanted,
    )
    const changed = () => this.#update()
    this.#slots = streams.flatMap((mints, index) => {
      const slot = this.#slots[index] ?? new StreamSlot(this.#ports, this.#message, changed)
      slot.show(mints)
      return mints.length === 0 ? [] : [slot]
    })
    this.#update()
  }

  #update(): void {
    this.#status = combine(this.#slots)
    for (const changed of this.#listeners) changed()
  }
}

/** One stream's place: its connection, and while the tokens change, the one that will take over. */
class StreamSlot {
  mints: readonly string[] = []
  connection: FeedConnection | undefined
  #successor: FeedConnection | undefined
  readonly #ports: FeedPorts
  readonly #message: (message: ServerMessage) => void
  readonly #changed: () => void

  constructor(ports: FeedPorts, message: (message: ServerMessage) => void, changed: () => void) {
    this.#ports = ports
    this.#message = message
    this.#changed = changed
  }

  show(mints: readonly string[]): void {
    if (mints === this.mints) return
    this.mints = mints
    this.#successor?.close()
    this.#successor = undefined
    if (mints.length === 0) {
      this.connection?.close()
      return
    }
    const next: FeedConnection = new FeedConnection(`/api/stream?mints=${mints.join(',')}`, this.#ports, {
      message: this.#message,
      state: (state) => this.#turn(next, state.phase),
    })
    if (this.connection?.state.phase === 'open') {
      this.#successor = next
    } else {
      this.connection?.close()
      this.connection = next
    }
    next.start()
  }

  retryNow(): void {
    this.connection?.retryNow()
    this.#successor?.retryNow()
  }

  #turn(which: FeedConnection, phase: string): void {
    const next = this.#successor
    // The new one is ready, or the old one is of no more use.
    if (next !== undefined && (which === next ? phase === 'open' : phase !== 'open')) {
      this.connection?.close()
      this.connection = next
      this.#successor = undefined
    }
    this.#changed()
  }
}

/** Live only when every stream is; otherwise the one that has been away longest speaks for all. */
function combine(slots: readonly StreamSlot[]): FeedStatus {
  let status = slots.length === 0 ? IDLE : { ...IDLE, phase: 'live' as FeedStatus['phase'] }
  for (const { connection } of slots) {
    const state = connection?.state
    if (state === undefined) continue
    if (state.phase === 'open') {
      status = { ...status, heartbeat: state.heartbeat, level: state.level }
    } else if (state.lostAt === undefined) {
      if (status.phase === 'live') status = { ...status, phase: 'connecting' }
    } else if (status.lostAt === undefined || state.lostAt < status.lostAt) {
      const retryAt = state.phase === 'waiting' ? state.retryAt : undefined
      status = { ...status, phase: 'lost', lostAt: state.lostAt, retryAt }
    }
  }
  return status
}
