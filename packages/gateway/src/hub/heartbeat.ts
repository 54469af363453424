import { formatVersion, type Heartbeat, type Level } from '@weir/protocol'
import type { Clock, Timer } from '../clock.ts'
import { addressOf, Encoded, type Entry } from '../entry.ts'
import type { Channel, ChannelHeartbeat, Listener, Message, Notice } from './channel.ts'

/** Milliseconds for which new listeners may share a heartbeat. Its `now` is off by no more. */
const SHARED_FOR = 500

/**
 * Heartbeats for which a lagging listener may take nothing. A client that vanished sends no goodbye, and the system would keep sending to
 * it for a quarter of an hour. One that only sleeps comes back with what it has.
 */
const MOST_STUCK = 10

/** A lagging listener: the bytes that wait for it, and since when that number is the same, on the monotonic clock. */
export interface Stuck {
  readonly waiting: number
  readonly since: number
}

/** The message of a channel's heartbeat. New listeners share it: a herd that returns is not a thousand encodings. */
export function heartbeatMessages(clock: Clock, level: () => Level): (heartbeat: ChannelHeartbeat) => Message {
  return (heartbeat) => {
    const now = clock.monotonic()
    if (heartbeat.made === undefined || now - heartbeat.made.at > SHARED_FOR) {
      const message = heartbeatOf(heartbeat.channel, clock.now(), level())
      heartbeat.made = { at: now, message: new Encoded<Entry | Notice>(message) }
    }
    return heartbeat.made.message
  }
}

function heartbeatOf({ topic, latest, tail, stale }: Channel, now: number, level: Level): Heartbeat {
  const known = latest === undefined ? {} : { version: formatVersion(latest.version), checkedAt: latest.checkedAt }
  const newest = tail === undefined ? {} : { version: formatVersion(tail.newest) }
  const lineage = tail === undefined ? latest?.lineage : tail.lineage
  const line = lineage === undefined ? {} : { lineage }
  return { type: 'heartbeat', topic: addressOf(topic), ...known, ...newest, ...line, stale, now, level }
}

export interface SweepParts {
  readonly clock: Clock
  /** Milliseconds. */
  readonly interval: number
  readonly channels: ReadonlyMap<string, Channel>
  readonly listeners: ReadonlySet<Listener>
  readonly stuck: Map<Listener, Stuck>
  readonly sendHeartbeat: (channel: Channel) => void
  readonly disconnect: (listener: Listener) => void
}

/** One timer for all: sends the heartbeats of quiet channels, and disconnects listeners that have taken nothing for too long. */
export class Sweep {
  readonly #parts: SweepParts
  #timer: Timer | undefined

  constructor(parts: SweepParts) {
    this.#parts = parts
  }

  /** It goes on while there are listeners. */
  start(): void {
    this.#timer ??= this.#schedule()
  }

  stop(): void {
    this.#timer?.stop()
  }

  /** Twice a heartbeat, since a channel may have been active just after the last sweep. */
  #schedule(): Timer {
    return this.#parts.clock.after(this.#parts.interval / 2, () => this.#run())
  }

  #run(): void {
    const { channels, listeners, stuck, sendHeartbeat } = this.#parts
    for (const channel of channels.values()) {
      if (!channel.activeSinceSweep && channel.listeners.size > 0) sendHeartbeat(channel)
    }
    // After the loop: a topic's heartbeat makes its parent active, which must not silence the parent in this sweep.
    for (const channel of channels.values()) channel.activeSinceSweep = false
    for (const [listener, one] of stuck) this.#check(listener, one)
    this.#timer = listeners.size === 0 ? undefined : this.#schedule()
  }

  #check(listener: Listener, { waiting, since }: Stuck): void {
    const { clock, interval, stuck, disconnect } = this.#parts
    const now = clock.monotonic()
    if (listener.connection.waiting !== waiting)
      stuck.set(listener, { waiting: listener.connection.waiting, since: now })
    else if (now - since >= MOST_STUCK * interval) disconnect(listener)
  }
}
