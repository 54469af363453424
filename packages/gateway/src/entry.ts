import { hash } from 'node:crypto'
import { compareVersions, formatVersion, type Version } from '@weir/protocol'
import { parseJson } from './json.ts'

/** An upstream's answer for a key: a value as JSON, or the reason for its absence. */
export interface Content {
  /** JSON text of the value; undefined if the value is absent. */
  readonly json: Buffer | undefined
  /** Why the value is absent. */
  readonly reason: string | undefined
  /** Milliseconds until an absent value is fetched again; `Infinity` if no value will ever exist. */
  readonly absentFor: number | undefined
  /** Set if the value brings its own version, as from another gateway. It then gets no new one here. */
  readonly stamp?: Stamp
  /** The moment of the value on this process's monotonic clock; by default that of its publication. */
  readonly since?: number
  /** When it becomes stale, on the same clock: for a derived value, when a part of it does. */
  readonly staleFrom?: number
}

/** The version and the times of a content. */
export type Stamp = Pick<Stored, 'version' | 'lineage' | 'over' | 'changedAt' | 'checkedAt'>

/** The record of a topic in the shared tier. */
export interface Stored extends Omit<Content, 'stamp' | 'since' | 'staleFrom'> {
  readonly version: Version
  /** The line of epochs, if the version is an origin's. Versions assigned here belong to the backend's lineage. */
  readonly lineage?: string | undefined
  /** The lineage that this one replaced, although its versions are larger. */
  readonly over?: string | undefined
  /** A hash of the content. Equal content has an equal hash on every node. */
  readonly hash: string
  /** When the value changed to this content, in milliseconds since 1970. */
  readonly changedAt: number
  /** When the upstream last confirmed the value. */
  readonly checkedAt: number
  /** When it becomes stale regardless of its feed's freshness: when one of its parts does. */
  readonly staleAt?: number
}

/** A version and its line of epochs. */
export type Placed = Pick<Stored, 'version' | 'lineage' | 'over'>

/**
 * Positive if `next` is newer than `had`, zero if both are the same. Compares versions, except across a lineage that
 * was left.
 */
export function compareNews(next: Placed, had: Placed): number {
  if (next.over !== undefined && next.over === had.lineage) return 1
  if (next.lineage !== undefined && next.lineage === had.over) return -1
  return compareVersions(next.version, had.version)
}

/** The lineage that was left, carried over as long as its replacement continues. */
export function keptOver(next: Placed, had: Placed | undefined): string | undefined {
  return had !== undefined && had.lineage === next.lineage ? had.over : undefined
}

/** How long the values of a feed may be served. Times in milliseconds. */
export interface Freshness {
  /** While this fresh, a value is served without a call. */
  readonly fresh: number
  /** Beyond `fresh`, a value may be served while it is refetched. */
  readonly stale: number
  /** Beyond `fresh`, a value may be served while the upstream fails. */
  readonly staleIfError: number
  /** The share of `fresh`, from 0 to 1, by which it is randomly shortened. */
  readonly spread: number
  /** The time that a value states about itself, in milliseconds since 1970. */
  readonly asOf: ((value: unknown) => number | undefined) | undefined
  /** Names for dropping values together. */
  readonly tags: ((value: unknown, key: unknown) => readonly string[]) | undefined
}

/** A wire format of an entry: `json`, `br`, `sse`, … */
export interface Encoding<Subject> {
  readonly name: string
  encode(subject: Subject): Buffer
}

/** A subject that is encoded at most once per encoding, however many receivers it has. */
export class Encoded<Subject> {
  readonly #subject: Subject
  // Nearly every subject has one or two encodings, for which an array is smaller and faster than a Map.
  readonly #made: { encoding: Encoding<Subject>; bytes: Buffer }[] = []

  constructor(subject: Subject) {
    this.#subject = subject
  }

  get subject(): Subject {
    return this.#subject
  }

  /** The bytes in this encoding. Every call returns the same Buffer, which must not be modified. */
  as(encoding: Encoding<Subject>): Buffer {
    for (const pair of this.#made) if (pair.encoding === encoding) return pair.bytes
    const bytes = encoding.encode(this.#subject)
    this.#made.push({ encoding, bytes })
    return bytes
  }
}

/** Separates address and identity in a private topic: a line break, which no request target can contain. */
const OWNED_BY = '\n'

/** The topic of a private value: its address and the identity of its owner. */
export function privateTopic(address: string, owner: string): string {
  return address + OWNED_BY + owner
}

/** The address of a topic, without the identity in a private topic. */
export function addressOf(topic: string): string {
  const end = topic.indexOf(OWNED_BY)
  return end === -1 ? topic : topic.slice(0, end)
}

/** The identity in a private topic; empty for a public one. */
export function ownerOf(topic: string): string {
  return topic.slice(addressOf(topic).length + OWNED_BY.length)
}

/** The fields of a message that name a topic and mark it as private. */
export function named(topic: string): { readonly topic: string; readonly private?: true } {
  const address = addressOf(topic)
  return address === topic ? { topic } : { topic: address, private: true }
}

/** One version of a topic on this node. Immutable except for the times that `confirm` moves. */
export class Entry {
  readonly topic: string
  readonly key: unknown
  content: Content
  readonly version: Version
  readonly lineage: string | undefined
  readonly over: string | undefined
  readonly hash: string
  readonly changedAt: number
  /** When the upstream last confirmed it, in wall time. */
  checkedAt: number
  /** The same moment on the monotonic clock. Freshness is measured from it. */
  confirmedAt: number
  /** When it becomes stale regardless of its feed's freshness, on the monotonic clock: when one of its parts does. */
  staleFrom: number
  /**
   * When an answer brought it to this node, on the monotonic clock. Reading an older entry from the shared tier does
   * not set it.
   */
  cameAt = Number.NEGATIVE_INFINITY
  /** When that answer was requested. */
  askedAt = Number.NEGATIVE_INFINITY
  /** The time that the value states about itself, on the monotonic clock. Set by the cache, like `spread`. */
  asOf: number | undefined
  /** The share by which its freshness is shortened, so that keys that arrive together do not expire together. */
  spread = 0
  readonly encoded: Encoded<Entry>
  /** The feed that cached it. Feeds must never read each other's entries, even for equal topics. */
  readonly feed: string
  /** Whether it was already stale when it was first published. Every message that carries it says so. */
  stale = false
  /** Whether it belongs to one tenant or user, so that look-ups by address must not find it. */
  readonly private: boolean
  #value: unknown
  #versionText: string | undefined
  #parsed = false

  constructor(
    topic: string,
    key: unknown,
    stored: Stored,
    confirmedAt: number,
    staleFrom = Number.POSITIVE_INFINITY,
    feed = '',
  ) {
    this.topic = topic
    this.feed = feed
    this.private = addressOf(topic) !== topic
    this.key = key
    this.content = { json: stored.json, reason: stored.reason, absentFor: stored.absentFor }
    this.version = stored.version
    this.lineage = stored.lineage
    this.over = stored.over
    this.hash = stored.hash
    this.changedAt = stored.changedAt
    this.checkedAt = stored.checkedAt
    this.confirmedAt = confirmedAt
    this.staleFrom = staleFrom
    this.encoded = new Encoded<Entry>(this)
  }

  /** Records that the upstream confirmed the value. A changed lifetime of absence applies from now on. */
  confirm(
    { checkedAt, absentFor }: Pick<Stored, 'checkedAt' | 'absentFor'>,
    confirmedAt: number,
    staleFrom = Number.POSITIVE_INFINITY,
  ): void {
    if (absentFor !== this.content.absentFor && confirmedAt >= this.confirmedAt) {
      this.content = { ...this.content, absentFor }
    }
    if (confirmedAt >= this.confirmedAt) this.staleFrom = staleFrom
    this.checkedAt = Math.max(this.checkedAt, checkedAt)
    this.confirmedAt = Math.max(this.confirmedAt, confirmedAt)
  }

  /** Expires the entry until the upstream confirms it again. */
  expire(): void {
    this.confirmedAt = Number.NEGATIVE_INFINITY
    this.cameAt = Number.NEGATIVE_INFINITY
  }

  /** The moment from which its age counts, on the monotonic clock. */
  get since(): number {
    return Math.min(this.confirmedAt, this.asOf ?? this.confirmedAt)
  }

  /** The topic as clients see it. */
  get address(): string {
    return addressOf(this.topic)
  }

  /** `epoch:sequence`, formatted once. */
  get versionText(): string {
    this.#versionText ??= formatVersion(this.version)
    return this.#versionText
  }

  get absent(): boolean {
    return this.content.json === undefined
  }

  /** Whether no value will ever exist. */
  get never(): boolean {
    return this.content.absentFor === Number.POSITIVE_INFINITY
  }

  /** The value, parsed once and deeply frozen, so that no caller can change it for others. */
  get value(): unknown {
    if (!this.#parsed) {
      this.#value = this.content.json === undefined ? undefined : deepFreeze(parseJson(this.content.json.toString()))
      this.#parsed = true
    }
    return this.#value
  }

  /** Approximate memory in bytes, to bound the cache. */
  get size(): number {
    return 400 + this.topic.length * 2 + (this.content.json?.byteLength ?? 0) * 3
  }
}

/**
 * The hash of a content, for its version and ETag: 27 characters of base64url. SHA-1 serves identity here, not secrecy.
 */
export function hashOf(content: Content): string {
  return hash(
    'sha1',
    content.json ?? `${content.absentFor === Number.POSITIVE_INFINITY ? 'never' : 'absent'}:${content.reason}`,
    'base64url',
  )
}

function deepFreeze(value: unknown): unknown {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) deepFreeze(part)
  }
  return value
}
