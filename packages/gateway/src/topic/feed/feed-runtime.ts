import type { Problem, Version } from '@weir/protocol'
import type { Bus, Leases } from '../../backend/ports.ts'
import type { Identity, MaybePromise } from '../../call.ts'
import { type Clock, keepAlive, type Timer } from '../../clock.ts'
import { compareNews, type Entry, named, type Stored } from '../../entry.ts'
import { asWeirError, problemOf, WeirError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import type { Hub, Listener } from '../../hub/hub.ts'
import type { PushListener, PushSource } from '../../upstream/push/push.ts'
import type { ReadKey } from '../key.ts'
import type { ReadPath } from '../read-path.ts'
import { keyFor } from '../scope.ts'
import { Claims } from './claims.ts'
import type { Follower, Following } from './derived.ts'
import type { FeedPlan, FeedRunner, Reading } from './feed.ts'
import { type MadeOf, madeNow } from './made-of.ts'
import { createPoller, type Poller } from './poller.ts'
import { prewarmKeys } from './prewarm.ts'
import { PushIntake } from './push-intake.ts'
import { StalenessTracker } from './staleness-tracker.ts'
import { WatchList } from './watch-list.ts'
import type { Watched } from './watched.ts'

export interface FeedRuntimeParts {
  readonly plan: FeedPlan
  readonly path: ReadPath
  readonly hub: Hub
  readonly bus: Bus
  readonly leases: Pick<Leases, 'claim'>
  /** This node, as leases name it. */
  readonly node: string
  readonly clock: Clock
  readonly emit: Emit
  /** Tells all nodes what was dropped. */
  readonly dropped: (what: Dropped) => void
  /** By how much intervals are longer at the current level. */
  readonly stretch: () => number
  /** Opens the push source, where the upstream pushes. */
  readonly push?: ((listener: PushListener) => PushSource) | undefined
  /** From 0 to 1, for the jitter of the poller. */
  readonly random?: () => number
}

/** Values that are not to be served any more: of one topic, or all that have a tag. */
export type Dropped = { readonly topic: string } | { readonly tag: string }

/** On whose behalf a value is read. */
export interface Reader {
  readonly client: string
  readonly signal: AbortSignal | undefined
}

/** How long a key that is loaded at start may wait for its turn, in milliseconds. */
const PREWARM_WITHIN = 60_000

/** A feed at work: it reads for those who ask, and keeps up to date what is watched. */
export class FeedRuntime implements FeedRunner {
  readonly plan: FeedPlan
  readonly #parts: FeedRuntimeParts
  readonly #watched: WatchList
  readonly #staleness: StalenessTracker
  readonly #intake: PushIntake
  readonly #push: PushSource | undefined
  readonly #claims: Claims
  readonly #poller: Poller<Watched>
  /** The value that code waited for last. */
  #awaited: { readonly entry: Promise<Entry>; readonly reading: Promise<Reading<unknown>> } | undefined
  /** A script that waits for a value must not end before it has it. */
  readonly #keepAlive = keepAlive()
  #watchdog: Timer | undefined

  constructor(parts: FeedRuntimeParts) {
    const { plan, path, hub, bus, leases, node, clock, emit } = parts
    this.plan = plan
    this.#parts = parts
    const every = () => this.#every()
    const push = () => this.#push
    const watched = (topic: string) => this.#watched.get(topic)
    this.#watched = new WatchList({
      ...{ plan, path, hub, bus, clock },
      begun: (watched) => this.#begun(watched),
      arrived: (watched, stored) => this.#arrived(watched, stored),
      ended: (watched) => {
        this.#push?.leave(watched.readKey.topic)
        this.#staleness.end(watched)
      },
    })
    this.#staleness = new StalenessTracker({ plan, path, hub, clock, emit, every, watched, push })
    this.#intake = new PushIntake({
      ...{ plan, path, clock, emit, watched, push, staleness: this.#staleness },
      poll: (watched) => this.#poll(watched),
      failed: (watched, problem) => this.#sendFailure(watched, problem),
    })
    this.#push = parts.push?.(this.#intake)
    const pushed = this.#push !== undefined
    this.#claims = new Claims({ plan, bus, leases, node, clock, emit, every, pushed, watched: this.#watched })
    this.#poller = createPoller<Watched>({
      feed: plan.name,
      clock,
      emit,
      random: parts.random ?? Math.random,
      batch: plan.batch,
      every,
      maxInterval: () => plan.maxInterval * parts.stretch(),
      allot: (wish) => path.allot(wish),
      watched: () => this.#watched.lingering(),
      isDue: (watched) => this.#isDue(watched),
      watchers: ({ channel, followers }) => channel.listeners.size + followers.size,
      claim: (due) => this.#claims.claim(due),
      ask: (watched) => this.#refresh(watched),
    })
  }

  /** How many topics are kept up to date. */
  get watched(): number {
    return this.#watched.size
  }

  /** Whether it keeps a topic up to date. */
  watches(topic: string): boolean {
    return this.#watched.get(topic) !== undefined
  }

  /** The value that is served without a call: a fresh one, or a watched one, whose next is on its way. */
  fresh(topic: string): Entry | undefined {
    return this.#parts.path.fresh(topic) ?? this.#moving(topic)
  }

  /** The public value at an address that needs no call, counted as a hit; an address never leads to a private value. */
  hit(address: string): Entry | undefined {
    const entry = this.fresh(address)
    if (entry === undefined || entry.private) return undefined
    this.#parts.emit({ type: 'cache.read', feed: this.plan.name, outcome: 'hit' })
    return entry
  }

  /**
   * Bytes of a value, of this topic or of any, as far as is known now: the values of a feed are alike. Infinity where none is known.
   */
  usual(topic?: string): number {
    const kept = topic === undefined ? undefined : this.#parts.path.kept(topic)
    const entry = kept ?? this.#watched.values().next().value?.channel.latest
    return entry === undefined ? Number.POSITIVE_INFINITY : (entry.content.json?.byteLength ?? 0)
  }

  left(entry: Entry): number {
    return this.#parts.path.left(entry)
  }

  /** Whether its source says how stale its values are: then they may be stale while they are fresh. */
  get isTold(): boolean {
    return this.#push?.said !== undefined
  }

  /** Whether an entry is older than the feed allows. */
  stale(entry: Entry): boolean {
    return this.#staleness.isStale(entry)
  }

  /** The same of the known value of a topic; an unknown one is stale. */
  isStale(topic: string): boolean {
    const entry = this.#watched.get(topic)?.channel.latest ?? this.#parts.path.kept(topic)
    return entry === undefined || this.stale(entry)
  }

  /** From when on an entry is stale unless it is confirmed, on the monotonic clock. */
  staleFrom(entry: Entry): number {
    return this.#staleness.staleFrom(entry)
  }

  /** The key of an address, as this caller has it. @throws WeirError `bad_key`, `unauthenticated` */
  keyOf(parameters: Readonly<Record<string, string>>, query: string, identity: Identity | undefined): ReadKey {
    return keyFor(this.plan.scope, this.plan.keys.fromAddress(parameters, query), identity)
  }

  /** The same for the parts of a key. */
  keyFrom(parts: Readonly<Record<string, unknown>>, identity: Identity | undefined): ReadKey {
    return keyFor(this.plan.scope, this.plan.keys.fromParts(parts), identity)
  }

  read({ topic, key, identity }: ReadKey, { client, signal }: Reader): MaybePromise<Entry> {
    const moving = this.#moving(topic)
    if (moving !== undefined) {
      this.#parts.emit({ type: 'cache.read', feed: this.plan.name, outcome: 'hit' })
      return moving
    }
    const deadline = this.#parts.clock.monotonic() + this.plan.deadline
    return this.#parts.path.read({
      topic,
      key,
      identity,
      priority: 'interactive',
      client,
      deadline,
      signal,
      refresh: false,
    })
  }

  get(parts: Readonly<Record<string, unknown>>, identity: Identity | undefined): Promise<Reading<unknown>> {
    try {
      const readKey = this.keyFrom(parts, identity)
      const made = madeNow()
      if (made !== undefined) return this.#part(made, readKey)
      const entry = this.read(readKey, { client: 'code', signal: undefined })
      if (!(entry instanceof Promise)) return Promise.resolve(this.#reading(entry))
      // Those who wait for one call have one promise, and one reading: nothing is done for each of thousands.
      if (this.#awaited?.entry !== entry)
        this.#awaited = { entry, reading: this.#keepAlive(entry.then((entry) => this.#reading(entry))) }
      return this.#awaited.reading
    } catch (thrown) {
      return Promise.reject(thrown)
    }
  }

  /** The value for a loader that makes another of it. */
  async #part(made: MadeOf, readKey: ReadKey): Promise<Reading<unknown>> {
    const { topic } = readKey
    const watched = this.#watched.get(topic)
    if (watched?.changedAt !== undefined) await watched.settling.wait(this.#parts.clock, 2 * this.#every())
    const entry = await this.read(readKey, { client: 'code', signal: undefined })
    const moved = () =>
      (this.#parts.path.kept(topic) ?? entry) !== entry || this.#watched.get(topic)?.changedAt !== undefined
    made.count({ since: entry.since, staleFrom: this.staleFrom(entry), moved })
    return this.#reading(entry)
  }

  #reading(entry: Entry): Reading<unknown> {
    if (entry.absent) throw absence(entry)
    const age = this.#parts.clock.monotonic() - entry.since
    return Object.freeze({ value: entry.value, version: entry.versionText, age: Math.max(0, age) })
  }

  async drop(parts: Readonly<Record<string, unknown>>, identity: Identity | undefined): Promise<void> {
    const { topic } = this.keyFrom(parts, identity)
    await this.#parts.path.drop(topic)
    this.#parts.dropped({ topic })
  }

  async dropTagged(tag: string): Promise<number> {
    const { path, dropped } = this.#parts
    const topics = path.tagged(tag)
    await Promise.all(topics.map((topic) => path.drop(topic)))
    dropped({ tag })
    return topics.length
  }

  /** Drops values that this or another node dropped. Watched ones are polled at once. */
  drops(what: Dropped): void {
    const { path } = this.#parts
    for (const topic of 'topic' in what ? [what.topic] : path.tagged(what.tag)) {
      path.forget(topic)
      const watched = this.#watched.get(topic)
      if (watched !== undefined) this.#poll(watched)
    }
  }

  /**
   * Loads the keys that the feed is to have before the first client, behind all other calls.
   *
   * @throws ConfigError when the list can't be read, or has what is no key
   */
  prewarm(): void {
    const { clock, emit, path } = this.#parts
    for (const { topic, key } of prewarmKeys(this.plan)) {
      const deadline = clock.monotonic() + PREWARM_WITHIN
      const ask = { topic, key, priority: 'background', client: 'warming', deadline, signal: undefined } as const
      Promise.resolve(path.read({ ...ask, refresh: false })).catch((error) => {
        // A failure with a request id was reported where it happened.
        if (asWeirError(error).requestId === undefined || !(error instanceof WeirError))
          emit({ type: 'failed', where: `warming of ${topic}`, error })
      })
    }
  }

  /** From now on the listener hears this topic. `known`: the version that it already has. */
  watch(listener: Listener, readKey: ReadKey, known: Version | undefined): void {
    const watched = this.#watchHere(readKey)
    // Listeners that come and go between two rounds, as polls do, keep it up to date too.
    watched.seen = this.#parts.clock.monotonic()
    this.#parts.hub.join(listener, watched.channel, known)
  }

  /** From now on the listener does not hear this topic. */
  unwatch(listener: Listener, { topic }: ReadKey): void {
    const watched = this.#watched.get(topic)
    if (watched !== undefined) this.#parts.hub.leave(listener, watched.channel)
  }

  /** Keeps a topic up to date and calls the follower with its changes, until that is stopped. */
  follow(readKey: ReadKey, follower: Follower): Following {
    const watched = this.#watchHere(readKey)
    watched.followers.add(follower)
    const { channel } = watched
    follower.stalenessChanged?.(channel.stale)
    const from = () => (channel.latest === undefined ? Number.POSITIVE_INFINITY : this.staleFrom(channel.latest))
    return {
      get since() {
        return channel.latest?.since ?? Number.NEGATIVE_INFINITY
      },
      get staleFrom() {
        return from()
      },
      stop: () => void watched.followers.delete(follower),
    }
  }

  /** The listener hears every watched topic of the feed; those of `always` are watched for its sake. */
  watchAll(listener: Listener, always: readonly ReadKey[]): void {
    this.#watched.join(
      listener,
      always.map((readKey) => this.#watchHere(readKey)),
    )
  }

  /** Leaves what it polled to other nodes. */
  async stop(): Promise<void> {
    this.#poller.stop()
    this.#claims.stop()
    this.#push?.stop()
    this.#watchdog?.stop()
    await this.#claims.release(this.#watched.clear())
  }

  #every(): number {
    return this.plan.every * this.#parts.stretch()
  }

  #poll(watched: Watched): void {
    void this.#poller.ask(watched)
  }

  /** A topic that this node watches from now on, and not only for another one. */
  #watchHere(readKey: ReadKey): Watched {
    const watched = this.#watched.watch(readKey)
    if (watched.forPeer) {
      watched.forPeer = false
      if (this.#parts.path.fresh(readKey.topic) === undefined) this.#poll(watched)
    }
    return watched
  }

  #begun(watched: Watched): void {
    const { path, clock } = this.#parts
    const { topic, key } = watched.readKey
    this.#staleness.update(watched)
    this.#push?.follow(topic, key, () => this.#watched.lastSeen(watched, clock.monotonic()))
    if (this.#push?.tells(topic)) watched.asked = watched.seen
    else if (!watched.forPeer && !watched.asking && path.fresh(topic) === undefined) this.#poll(watched)
    this.#poller.wake()
    this.#watchdog ??= clock.after(this.#every(), () => this.#watch())
  }

  /** A version came over the bus: of this node or of another. */
  #arrived(watched: Watched, stored: Stored): void {
    const { readKey } = watched
    const { path, clock, emit } = this.#parts
    // Another node may have polled, and the time for which that leaves the value alone counts here too.
    const now = clock.monotonic()
    if (watched.ended !== Number.NEGATIVE_INFINITY) watched.gap = now - watched.ended
    watched.ended = now
    const entry = path.accept(readKey.topic, readKey.key, stored)
    if (this.#show(watched, entry)) emit({ type: 'topic.changed', feed: this.plan.name, topic: readKey.topic })
    this.#staleness.update(watched)
    // While it was cut off this node went on, or the others lost what it knows. Its next publication begins an epoch for all.
    if (compareNews(stored, entry) < 0) this.#intake.changed(readKey.topic)
  }

  /** Makes an entry the latest, and says whether it is news. */
  #show({ channel, followers }: Watched, entry: Entry): boolean {
    const before = channel.latest?.version
    // A new version that can't be confirmed, such as a value made of stale ones, is not sent as a live one.
    if (this.stale(entry)) entry.stale = true
    this.#parts.hub.publish(channel, entry)
    if (before === channel.latest?.version) return false
    for (const follower of followers) follower.changed()
    return true
  }

  /** Polls a watched value. The answer arrives by the bus, here as on every other node; a second time it is no news. */
  async #refresh(watched: Watched): Promise<'failed' | 'same' | 'changed'> {
    const { path, clock } = this.#parts
    const { topic, key, identity } = watched.readKey
    const before = watched.channel.latest?.version
    const asked = clock.monotonic()
    const deadline = asked + Math.max(this.plan.deadline, this.plan.every)
    const isHeard = !watched.outdated && this.#push?.hears(topic) === true
    watched.outdated = false
    // Of a value that is unknown here another node may have an answer of just now.
    const refresh = before !== undefined
    const ask = { topic, key, identity, priority: 'live', client: 'poller', deadline, signal: undefined } as const
    try {
      const entry = await path.read({ ...ask, refresh })
      watched.failure = undefined
      watched.failing = undefined
      if (watched.changedAt !== undefined && watched.changedAt <= asked && !watched.outdated)
        this.#intake.settle(watched)
      this.#show(watched, entry)
      if (watched.outdated) clock.soon(() => this.#intake.changed(topic))
      const same = before === watched.channel.latest?.version
      if (isHeard && before !== undefined && !same) this.#push?.doubt?.(topic, asked)
      return same ? 'same' : 'changed'
    } catch (thrown) {
      const error = asWeirError(thrown)
      // With a push source, a failed poll leaves the value unknown until the next answer.
      watched.outdated = this.#push !== undefined
      watched.failing = error.behind ? 'behind' : error.code
      if (watched.changedAt !== undefined) this.#staleness.update(watched)
      watched.settling.over()
      this.#sendFailure(watched, problemOf(error))
      return 'failed'
    }
  }

  /** An absent value is not polled for its own time; one that a reader has just loaded need not be. */
  #isDue(watched: Watched): boolean {
    const { latest } = watched.channel
    const { path, clock } = this.#parts
    if (path.resting() || watched.forPeer) return false
    if (watched.outdated) return true
    const isHeard = this.#push?.hears(watched.readKey.topic) === true
    if (latest === undefined) return !(isHeard && this.#push?.tells(watched.readKey.topic))
    // It is pushed; it is polled only in case something was lost.
    if (isHeard) return clock.monotonic() - watched.asked >= (this.#push?.revalidateEvery ?? 0)
    return latest.absent ? path.left(latest) <= 0 : clock.monotonic() - latest.confirmedAt >= this.#every() / 2
  }

  /** A watched value whose next is on its way, as long as it can be confirmed. */
  #moving(topic: string): Entry | undefined {
    const channel = this.#watched.get(topic)?.channel
    if (channel?.latest === undefined || channel.stale || channel.latest.absent || this.plan.mustRevalidate) return
    // Dropped: a reader wants what the upstream has now.
    return channel.latest.confirmedAt === Number.NEGATIVE_INFINITY ? undefined : channel.latest
  }

  /** On a timer of its own: a round waits for an upstream that hangs, and that is just when values become stale. */
  #watch(): void {
    for (const watched of this.#watched.values()) {
      this.#intake.confirm(watched)
      this.#staleness.update(watched)
    }
    this.#watchdog = this.#watched.size === 0 ? undefined : this.#parts.clock.after(this.#every(), () => this.#watch())
  }

  /** Listeners that have a value see it become stale; only those without one need to know why. */
  #sendFailure(watched: Watched, problem: Problem): void {
    if (watched.channel.latest !== undefined || watched.failure === problem.code) return
    watched.failure = problem.code
    this.#parts.hub.notice(watched.channel, { type: 'error', ...named(watched.readKey.topic), problem })
  }
}

/** The error of a key that has no value. */
export function absence(entry: Entry): WeirError {
  if (entry.never) return new WeirError('never', `${entry.address}: ${entry.content.reason}`)
  const retryAfter = entry.content.absentFor
  return new WeirError(
    'absent',
    `${entry.address}: ${entry.content.reason}`,
    retryAfter === undefined ? {} : { retryAfter },
  )
}
