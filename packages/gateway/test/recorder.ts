import { formatVersion, type Level, type ServerMessage } from '@weir/protocol'
import type { Connection, ConnectionOwner } from '../src/call.ts'
import { Entry } from '../src/entry.ts'
import type { Step, Wire } from '../src/hub/hub.ts'

/** What the recorder understood of a message. */
export interface Heard {
  readonly type: ServerMessage['type'] | 'patch'
  readonly topic?: string
  readonly version?: string
  readonly value?: unknown
  readonly stale?: boolean
  readonly retry?: number
  readonly level?: Level
  readonly position?: string
  readonly event?: unknown
  readonly from?: string
  readonly to?: string
}

/** A wire of plain JSON that counts what it encoded. */
export function jsonWire(): Wire & { readonly encoded: number } {
  let encoded = 0
  return {
    name: 'json',
    get encoded() {
      return encoded
    },
    encode(subject) {
      encoded += 1
      return Buffer.from(JSON.stringify(subject instanceof Entry ? messageOf(subject) : subject))
    },
  }
}

/** The same, which says an entry to who has the one before it as a `patch` that names both. `taken`: who takes such. */
export function stepWire(taken: (connection: Connection, topic: string) => boolean = () => true): Wire {
  const encode = ({ from, to }: Step) =>
    Buffer.from(JSON.stringify({ ...messageOf(to), type: 'patch', from: formatVersion(from.version) }))
  return { ...jsonWire(), steps: { name: 'json-step', encode, taken } }
}

function messageOf({ topic, version, absent, value }: Entry): Heard {
  return { type: absent ? 'absent' : 'snapshot', topic, version: formatVersion(version), value }
}

/** A peer that remembers what it was told and, told to be slow, takes no more until it is told to drain. */
export class Recorder implements Connection {
  owner: ConnectionOwner | undefined
  readonly buffers: Uint8Array[] = []
  /** How often bytes left: what is written between cork and uncork leaves at once. */
  packets = 0
  closed = false
  slow = false
  /** Bytes that it says wait for it. */
  waiting = 0
  #corked = 0

  get heard(): readonly Heard[] {
    return this.buffers.map((bytes) => JSON.parse(Buffer.from(bytes).toString()))
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed) throw new Error('written to after it was closed')
    this.buffers.push(bytes)
    if (this.#corked === 0) this.packets += 1
    return !this.slow
  }

  cork(): void {
    this.#corked += 1
  }

  uncork(): void {
    this.#corked -= 1
    if (this.#corked === 0) this.packets += 1
  }

  drain(): void {
    this.slow = false
    this.owner?.drained()
  }

  /** The peer vanishes. */
  leave(): void {
    this.closed = true
    this.owner?.closed()
  }

  close(): void {
    this.leave()
  }
}
