import type { Clock } from '../clock.ts'
import { Encoded } from '../entry.ts'
import type { Emit } from '../events.ts'
import {
  type Channel,
  ChannelHeartbeat,
  type Listener,
  type Message,
  type Pending,
  Resumed,
  type Step,
  type Wire,
} from './channel.ts'
import type { Stuck } from './heartbeat.ts'

/**
 * This many listeners are looked up before the first of them is written to. The memory of each is somewhere else: a processor fetches
 * that of many at once, but behind a system call of one after the other.
 */
const AHEAD = 16

const NOTHING = Buffer.alloc(0)

export interface FlushParts {
  readonly clock: Clock
  readonly emit: Emit
  readonly heartbeatMessage: (heartbeat: ChannelHeartbeat) => Message
  readonly disconnect: (listener: Listener) => void
}

/** The hot path: what changed in a tick is written once per connection. */
export interface Flush {
  /** Adds an item for one listener to the next flush. A lagging listener keeps only which channels changed. */
  queue(listener: Listener, item: Pending): void
  /** The next flush sends what is new in a channel to all of its listeners. Without listeners too: only a flush makes it clean. */
  changed(channel: Channel): void
  /** Sends what is pending now. */
  flush(): void
  /** The listener may not have the last flushed entry of the channel: it gets a whole one next. */
  requireFull(listener: Listener, channel: Channel): void
  /** It has it again, or has left. */
  clearFull(listener: Listener, channel: Channel): void
  /** Listeners that lag. */
  readonly stuck: Map<Listener, Stuck>
  /** When anything was written last, on the monotonic clock. */
  readonly wroteAt: number
}

/**
 * There is no timer, closure or object per message and listener here, and the order in which memory is read is measured by bench/fanout.ts:
 * run it before and after a change.
 */
export function createFlush({ clock, emit, heartbeatMessage, disconnect }: FlushParts): Flush {
  const stuck = new Map<Listener, Stuck>()
  let waiting: Listener[] = []
  let dirty: Channel[] = []
  let flushing = false
  let wroteAt = 0

  function queue(listener: Listener, item: Pending): void {
    if (listener.lagging !== undefined) {
      if (item instanceof Resumed) listener.lagging.add(item.channel)
      else if (!(item instanceof Encoded || item instanceof ChannelHeartbeat)) listener.lagging.add(item)
      return
    }
    add(listener, item)
    flushSoon()
  }

  function add(listener: Listener, item: Pending): void {
    if (listener.mixed && listener.pending.includes(item)) return
    if (listener.pending.push(item) === 1) waiting.push(listener)
  }

  function flushSoon(): void {
    if (flushing) return
    flushing = true
    clock.soon(flush)
  }

  function flush(): void {
    flushing = false
    const changed = dirty
    dirty = []
    // A listener with nothing else in this tick is written to at once: nothing is kept for it, and nothing looked up.
    const alone = changed.length === 1
    const quiet = waiting.length === 0
    let messages = 0
    for (const channel of changed) {
      channel.dirty = false
      messages += spread(channel, alone, quiet)
    }
    let connections = messages
    const now = waiting
    waiting = []
    for (const listener of now) messages += write(listener)
    for (const channel of changed) {
      channel.lastFlushed = channel.latest
      channel.delta = undefined
    }
    connections += now.length
    if (messages === 0) return
    wroteAt = clock.monotonic()
    emit({ type: 'hub.written', messages, connections })
  }

  /**
   * Sends the latest entry of a channel to its listeners, and gives how many were written to. Those that may get more in this tick have
   * it added to that. `alone`: no other channel changed. `quiet`: no listener had anything pending.
   */
  function spread(channel: Channel, alone: boolean, quiet: boolean): number {
    const { latest, listeners, parent } = channel
    if (channel.tail !== undefined) {
      for (const listener of listeners) grew(listener, channel)
      return 0
    }
    if (latest === undefined) return 0
    let wire: Wire | undefined
    let bytes: Buffer = NOTHING
    let written = 0
    const ahead: Listener[] = []

    const write = (listener: Listener, bytes: Buffer) => {
      if (!listener.connection.write(bytes)) lags(listener)
    }
    const writeAll = () => {
      for (const listener of ahead) write(listener, bytes)
      ahead.length = 0
    }
    const send = (listener: Listener, only: boolean) => {
      if (listener.lagging !== undefined) {
        listener.lagging.add(channel)
        return
      }
      if (!only || !(quiet || listener.pending.length === 0)) {
        add(listener, channel)
        return
      }
      written += 1
      if (listener.needsFull !== undefined || listener.connection.flows === false) {
        write(listener, bytesOf(listener, channel))
        return
      }
      if (listener.wire !== wire) {
        writeAll()
        wire = listener.wire
        bytes = bytesOf(listener, channel)
      }
      if (ahead.push(listener) === AHEAD) writeAll()
    }

    for (const listener of listeners) send(listener, alone || !listener.several)
    if (parent !== undefined)
      for (const listener of parent.listeners) if (!listeners.has(listener)) send(listener, alone)
    writeAll()
    return written
  }

  /** The latest entry of a channel as this listener gets it. One that listens to the whole feed gets it whole. */
  function bytesOf(listener: Listener, channel: Channel): Buffer {
    const { wire, needsFull, connection } = listener
    const { steps } = wire
    const { latest } = channel
    if (latest === undefined) return NOTHING
    if (steps === undefined) return encoded(latest.encoded, wire)
    if (channel.lastFlushed !== undefined && !needsFull?.has(channel) && channel.listeners.has(listener)) {
      channel.delta ??= new Encoded<Step>({ from: channel.lastFlushed, to: latest })
      return channel.delta.as(steps)
    }
    if (steps.taken(connection, channel.topic)) clearFull(listener, channel)
    return encoded(latest.encoded, wire)
  }

  function requireFull(listener: Listener, channel: Channel): void {
    if (listener.wire.steps === undefined) return
    listener.needsFull ??= new Set()
    listener.needsFull.add(channel)
  }

  function clearFull(listener: Listener, channel: Channel): void {
    if (listener.needsFull?.delete(channel) && listener.needsFull.size === 0) listener.needsFull = undefined
  }

  /** There is more in a log. A lagging listener gets it later, as long as it is kept. */
  function grew(listener: Listener, channel: Channel): void {
    if (listener.lagging === undefined) add(listener, channel)
    else if (listener.cursors?.get(channel)?.lost) disconnect(listener)
    else listener.lagging.add(channel)
  }

  function lags(listener: Listener): void {
    if (listener.lagging !== undefined) return
    listener.lagging = new Set()
    stuck.set(listener, { waiting: listener.connection.waiting, since: clock.monotonic() })
    emit({ type: 'hub.lagging' })
  }

  function write(listener: Listener): number {
    const { connection, wire, pending, cursors } = listener
    const several = pending.length > 1 || cursors !== undefined
    if (several) connection.cork()
    let flowing = true
    let messages = 0
    let heartbeats = false
    for (const item of pending) {
      const cursor = cursors?.get(item)
      // What does not flow waits in the tail, and not here.
      for (let next = cursor?.message; next !== undefined && flowing; next = cursor?.message) {
        flowing = connection.write(encoded(next, wire))
        cursor?.pass()
        messages += 1
      }
      if (cursor !== undefined) continue
      const news = newsOf(item, pending)
      if (news === undefined) {
        heartbeats = true
        continue
      }
      flowing = connection.write(news instanceof Encoded ? encoded(news, wire) : bytesOf(listener, news))
      messages += 1
    }
    // Last, so that no heartbeat names a version that its listener has yet to get.
    if (heartbeats) {
      for (const item of pending) {
        const heartbeat = heartbeatIn(item)
        if (heartbeat === undefined || cursors?.get(heartbeat.channel)?.message !== undefined) continue
        flowing = connection.write(encoded(heartbeatMessage(heartbeat), wire))
        messages += 1
      }
    }
    if (several) connection.uncork()
    pending.length = 0
    listener.mixed = false
    if (!flowing) lags(listener)
    if (cursors === undefined) return messages
    for (const cursor of cursors.values()) {
      if (cursor.lost) disconnect(listener)
      else if (cursor.message !== undefined) listener.lagging?.add(cursor.channel)
    }
    return messages
  }

  function changed(channel: Channel): void {
    channel.heartbeat.made = undefined
    channel.activeSinceSweep = true
    if (channel.parent !== undefined) channel.parent.activeSinceSweep = true
    if (channel.dirty) return
    channel.dirty = true
    dirty.push(channel)
    flushSoon()
  }

  return {
    queue,
    changed,
    flush,
    requireFull,
    clearFull,
    stuck,
    get wroteAt() {
      return wroteAt
    },
  }
}

function encoded(message: Message, wire: Wire): Buffer {
  return wire.said?.(message) ?? message.as(wire)
}

/** What an item sends: a message, or the latest entry of a channel. Undefined if that is only a heartbeat, or nothing. */
function newsOf(item: Pending, pending: readonly Pending[]): Channel | Message | undefined {
  if (item instanceof Encoded) return item
  if (item instanceof ChannelHeartbeat) return undefined
  if (!(item instanceof Resumed)) {
    // It changed, and then a listener came that had this version already.
    const had = pending.some((other) => other instanceof Resumed && other.channel === item && other.holds)
    return had || item.latest === undefined ? undefined : item
  }
  // It changed in the tick in which the listener came: sent here, unless the flush sends it too.
  const { channel } = item
  return item.holds || channel.latest === undefined || pending.includes(channel) ? undefined : channel
}

function heartbeatIn(item: Pending): ChannelHeartbeat | undefined {
  if (item instanceof ChannelHeartbeat) return item
  return item instanceof Resumed && item.holds ? item.channel.heartbeat : undefined
}
