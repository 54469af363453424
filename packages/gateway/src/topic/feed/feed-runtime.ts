import type { Problem, Version } from '@weir/protocol'
import type { Bus, Leases } from '../../backend/ports.ts'
import type { Identity, MaybePromise } from '../../call.ts'
import { type Clock, keepAlive, type Timer } from '../../clock.ts'
import { compareNews, type Entry, named, type Stored } from '../../entry.ts'
import { asWeirError, problemOf, WeirError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import type { Channel, Hub, Listener } from '../../hub/hub.ts'
import type { PushListener, PushSource } from '../../upstream/push/push.ts'
import { OriginValue } from '../../upstream/weir/origin-value.ts'
import type { ReadKey } from '../key.ts'
import type { ReadPath } from '../read-path.ts'
import { keyFor } from '../scope.ts'
import { type CallSharing, createCallSharing } from './call-sharing.ts'
import type { Follower, Following } from './derived.ts'
import { type FeedPlan, type FeedRunner, isAbsent, type Reading } from './feed.ts'
import { LetGo } from './let-go.ts'
import { type MadeOf, madeNow } from './made-of.ts'
import { createPoller, type Poller, polled } from './poller.ts'
import { prewarmKeys } from './prewarm.ts'
import { Settling } from './settling.ts'
import { type Facts, staleFrom, staleReason } from './staleness.ts'
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
  /** How much longer intervals are at the level of now. */
  readonly stretch: () => number
  /** Has the values pushed, where the upstream does that. */
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

/** Intervals for which one node sees to what it asks for. */
const CLAIMED = 2.2

/** How long what is asked for at start may wait for its turn, in milliseconds. */
const WARM_WITHIN = 60_000

/** A feed at work: reads for those who ask, and keeps moving what is watched. */
export class FeedRuntime implements FeedRunner {
  readonly plan: FeedPlan
  readonly #parts: FeedRuntimeParts
  readonly #watched = new Map<string, Watched>()
  readonly #always = new Set<string>()
  readonly #everything: Channel
  readonly #poller: Poller<Watched>
  readonly #push: PushSource | undefined
  readonly #letGo = new LetGo()
  /** What code waited for last. */
  #awaited: { readonly entry: Promise<Entry>; readonly reading: Promise<Reading<unknown>> } | undefined
  /** A script that waits for a value must not end before it has it. */
  readonly #keepAlive = keepAlive()
  #watchdog: Timer | undefined
  readonly #partition: CallSharing | undefined

  constructor(parts: FeedRuntimeParts) {
    const { plan, hub, clock, emit } = parts
    this.plan = plan
    this.#parts = parts
    this.#everything = hub.channel(plan.path)
    this.#poller = createPoller<Watched>({
      feed: plan.name,
      clock,
      emit,
      random: parts.random ?? Math.random,
      batch: plan.batch,
      every: () => this.#every(),
      maxInterval: () => plan.maxInterval * parts.stretch(),
      allot: (wish) => parts.path.allot(wish),
      watched: () => this.#listenedTo(),
      isDue: (watched) => this.#isDue(watched),
      watchers: ({ channel, followers }) => channel.listeners.size + followers.size,
      claim: (some) => this.#claim(some),
      ask: (watched) => this.#refresh(watched),
    })
    this.#push = parts.push?.(this.#listener())
    // What is not everybody's another node could not ask for; what is pushed is asked for seldom.
    if (plan.batch > 1 && plan.scope === 'public' && this.#push === undefined) {
      this.#partition = createCallSharing({
        ...{ bus: parts.bus, channel: `partition ${plan.path}`, node: parts.node, clock, batch: plan.batch },
        believed: () => CLAIMED * this.#every(),
      })
    }
  }

  /** How many topics are kept moving. */
  get watched(): number {
    return this.#watched.size
  }

  /** Whether it keeps a topic moving. */
  watches(topic: string): boolean {
    return this.#watched.has(topic)
  }

  /** What is served without asking: what is fresh, and what is kept moving, for its next value is on its way. */
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
   * Bytes of a value, of this topic or of any, as far as can be said now: a feed's values are alike. Of one that nobody knows,
   * infinitely many.
   */
  usual(topic?: string): number {
    const kept = topic === undefined ? undefined : this.#parts.path.kept(topic)
    const entry = kept ?? this.#watched.values().next().value?.channel.latest
    return entry === undefined ? Number.POSITIVE_INFINITY : (entry.content.json?.byteLength ?? 0)
  }

  left(entry: Entry): number {
    return this.#parts.path.left(entry)
  }

  /** Whether it is said by others how stale its values are: then they may be stale while they are fresh. */
  get isTold(): boolean {
    return this.#push?.said !== undefined
  }

  /** Whether an entry is older than the feed allows. */
  stale(entry: Entry): boolean {
    return this.#parts.clock.monotonic() > this.staleFrom(entry)
  }

  /** The same of what is kept of a topic; what is not known is stale. */
  isStale(topic: string): boolean {
    const entry = this.#watched.get(topic)?.channel.latest ?? this.#parts.path.kept(topic)
    return entry === undefined || this.stale(entry)
  }

  /** From when on an entry is stale unless it is confirmed, on the monotonic clock. */
  staleFrom(entry: Entry): number {
    return staleFrom(this.#facts(entry))
  }

  #facts(entry: Entry): Facts {
    const watched = this.#watched.get(entry.topic)
    const { gap = 0, outdated = false, changedAt, failing } = watched ?? {}
    // Of what was only read it is known how long that one answer took.
    const took = watched?.took ?? Math.max(0, entry.cameAt - entry.askedAt)
    const said = this.#push?.said?.(entry.topic, entry.versionText)
    // For as long as an origin said nothing else it was not stale there, however long ago it told of when it was checked.
    const unsaid = said === undefined || outdated || entry.confirmedAt === Number.NEGATIVE_INFINITY
    return {
      freshUntil: this.#parts.path.freshUntil(entry),
      held: unsaid ? 0 : Math.max(0, said.at - entry.since),
      every: this.#every(),
      took,
      // What an origin tells is left alone for that reason, and never for want of calls.
      gap: this.plan.upstream?.origin === undefined ? gap : 0,
      changedAt,
      failing,
      refuted: said?.stale === true,
      // What it is made of is watched with it, so how that is now counts, and not how it was when it was read.
      partsFrom: said?.from ?? entry.staleFrom,
    }
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

  /** What was dropped here or on another node: who watches it gets what the upstream has now. */
  drops(what: Dropped): void {
    const { path } = this.#parts
    for (const topic of 'topic' in what ? [what.topic] : path.tagged(what.tag)) {
      path.forget(topic)
      const watched = this.#watched.get(topic)
      if (watched !== undefined) void this.#poller.ask(watched)
    }
  }

  /**
   * Asks for the keys that the feed is to have before anybody wants them, behind all others.
   *
   * @throws ConfigError when the list can't be read, or names what is no key
   */
  prewarm(): void {
    const { clock, emit, path } = this.#parts
    for (const { topic, key } of prewarmKeys(this.plan)) {
      const deadline = clock.monotonic() + WARM_WITHIN
      const ask = { topic, key, priority: 'background', client: 'warming', deadline, signal: undefined } as const
      Promise.resolve(path.read({ ...ask, refresh: false })).catch((error) => {
        // What has a request id was reported where it failed.
        if (asWeirError(error).requestId === undefined || !(error instanceof WeirError))
          emit({ type: 'failed', where: `warming of ${topic}`, error })
      })
    }
  }

  /** From now on the listener hears this topic. `known`: the version it already has. */
  watch(listener: Listener, readKey: ReadKey, known: Version | undefined): void {
    const watched = this.#watched.get(readKey.topic) ?? this.#begin(readKey)
    this.#own(watched)
    // Those who come and go between two rounds, as polls do, keep it moving too.
    watched.seen = this.#parts.clock.monotonic()
    this.#parts.hub.join(listener, watched.channel, known)
  }

  /** From now on the listener does not hear this topic. */
  unwatch(listener: Listener, { topic }: ReadKey): void {
    const watched = this.#watched.get(topic)
    if (watched !== undefined) this.#parts.hub.leave(listener, watched.channel)
  }

  /** Keeps a topic moving and tells of its changes, until that is ended. */
  follow(readKey: ReadKey, follower: Follower): Following {
    const watched = this.#watched.get(readKey.topic) ?? this.#begin(readKey)
    this.#own(watched)
    watched.followers.add(follower)
    const { channel } = watched
    follower.judged?.(channel.stale)
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

  /** The listener hears every topic of the feed that anybody watches; `always` are watched for its sake. */
  watchAll(listener: Listener, always: readonly ReadKey[]): void {
    for (const readKey of always) {
      this.#always.add(readKey.topic)
      this.#own(this.#watched.get(readKey.topic) ?? this.#begin(readKey))
    }
    this.#letGo.joined()
    this.#parts.hub.join(listener, this.#everything, undefined)
    for (const { channel } of this.#watched.values()) this.#parts.hub.show(listener, channel)
  }

  /** Leaves what it asked for to other nodes. */
  async stop(): Promise<void> {
    this.#poller.stop()
    this.#partition?.stop()
    this.#push?.stop()
    this.#watchdog?.stop()
    const topics = [...this.#watched.keys()]
    for (const watched of this.#watched.values()) watched.unsubscribe()
    this.#watched.clear()
    const { leases, node } = this.#parts
    if (topics.length > 0) await leases.claim(this.plan.path, topics, node, 0)
  }

  /** It is watched here too now. */
  #own(watched: Watched): void {
    if (!watched.lent) return
    watched.lent = false
    if (this.#parts.path.fresh(watched.readKey.topic) === undefined) void this.#poller.ask(watched)
  }

  #begin(readKey: ReadKey, lent = false): Watched {
    const { hub, bus, path, clock } = this.#parts
    // What is not everybody's is never told to those who listen to everything.
    const channel = hub.channel(readKey.topic, this.plan.scope === 'public' ? this.#everything : undefined)
    const unsubscribe = bus.subscribe(readKey.topic, (stored) => this.#arrived(watched, stored))
    const seen = clock.monotonic()
    const watched: Watched = {
      ...{ ...polled(), readKey, channel, seen, failure: undefined, unsubscribe },
      ...{ pushed: undefined, taking: false, outdated: false, changedAt: undefined, failing: undefined },
      ...{ lent, mine: true, settling: new Settling(), followers: new Set() },
    }
    this.#watched.set(readKey.topic, watched)
    const kept = path.kept(readKey.topic)
    if (kept !== undefined) {
      hub.publish(channel, kept, this.#letGo.knows(kept))
      this.#judge(watched)
    }
    this.#push?.follow(readKey.topic, readKey.key, () => this.#seen(watched, clock.monotonic()))
    if (this.#push?.tells(readKey.topic)) watched.asked = seen
    else if (!lent && !watched.asking && path.fresh(readKey.topic) === undefined) void this.#poller.ask(watched)
    this.#poller.wake()
    this.#watchdog ??= clock.after(this.#every(), () => this.#watch())
    return watched
  }

  #arrived(watched: Watched, stored: Stored): void {
    const { readKey } = watched
    const { path, clock, emit } = this.#parts
    // Another node may have asked, and how long that leaves it alone counts here too.
    const now = clock.monotonic()
    if (watched.ended !== Number.NEGATIVE_INFINITY) watched.gap = now - watched.ended
    watched.ended = now
    const entry = path.accept(readKey.topic, readKey.key, stored)
    if (this.#show(watched, entry)) emit({ type: 'topic.changed', feed: this.plan.name, topic: readKey.topic })
    this.#judge(watched)
    // While it was cut off this node went on, or the others lost what it knows. What it publishes begins an epoch for all.
    if (compareNews(stored, entry) < 0) this.#changed(readKey.topic)
  }

  /** Makes an entry the latest, and says whether it is news. */
  #show({ channel, followers }: Watched, entry: Entry): boolean {
    const before = channel.latest?.version
    // A new version of a value that can't be confirmed, such as one that is made of others, is not taken for a live one.
    if (this.stale(entry)) entry.stale = true
    this.#parts.hub.publish(channel, entry)
    if (before === channel.latest?.version) return false
    for (const follower of followers) follower.changed()
    return true
  }

  /** Asks for a watched value. What came arrives by the bus, here as on every other node. */
  async #refresh(watched: Watched): Promise<'failed' | 'same' | 'changed'> {
    const { path, clock } = this.#parts
    const { topic, key, identity } = watched.readKey
    const deadline = clock.monotonic() + Math.max(this.plan.deadline, this.plan.every)
    const before = watched.channel.latest?.version
    const asked = clock.monotonic()
    const heard = !watched.outdated && this.#push?.hears(topic) === true
    watched.outdated = false
    try {
      const entry = await path.read({
        topic,
        key,
        identity,
        priority: 'live',
        client: 'poller',
        deadline,
        signal: undefined,
        // Of what nothing is known here another node may have asked just now.
        refresh: watched.channel.latest !== undefined,
      })
      watched.failure = undefined
      watched.failing = undefined
      if (watched.changedAt !== undefined && watched.changedAt <= asked && !watched.outdated) this.#settle(watched)
      this.#show(watched, entry)
      if (watched.outdated) clock.soon(() => this.#changed(topic))
      const same = before === watched.channel.latest?.version
      if (heard && before !== undefined && !same) this.#push?.doubt?.(topic, asked)
      return same ? 'same' : 'changed'
    } catch (thrown) {
      const error = asWeirError(thrown)
      // Whatever comes by itself: what it is now is not known.
      watched.outdated = this.#push !== undefined
      watched.failing = error.behind ? 'behind' : error.code
      if (watched.changedAt !== undefined) this.#judge(watched)
      watched.settling.over()
      this.#tellFailure(watched, problemOf(error))
      return 'failed'
    }
  }

  /** It is known what it is now. */
  #settle(watched: Watched): void {
    watched.changedAt = undefined
    watched.settling.over()
  }

  /** What no other node asks for, and what it asks for in the stead of others. */
  #claim(some: readonly Watched[]): MaybePromise<readonly Watched[]> {
    if (some.length === 0) return this.#share(some)
    const { leases, node } = this.#parts
    const topics = some.map(({ readKey: { topic } }) => topic)
    const claimed = (mine: readonly boolean[]) => {
      for (const [index, watched] of some.entries()) watched.mine = mine[index] ?? true
      return this.#share(some.filter(({ mine }) => mine))
    }
    // One that asked and went is missed after two intervals.
    const mine = leases.claim(this.plan.path, topics, node, CLAIMED * this.#every())
    return mine instanceof Promise ? mine.then(claimed) : claimed(mine)
  }

  /** Of these, those that no other node asks for in a call that it makes anyway; and what fills one of this node's. */
  #share(ours: readonly Watched[]): readonly Watched[] {
    if (this.#partition === undefined) return ours
    const kept = [...this.#watched.values()].filter(({ mine, lent }) => mine && !lent)
    const { led, lent } = this.#partition.share(kept.map(({ readKey: { topic } }) => topic))
    const late = this.#parts.clock.monotonic() - 2 * this.#every()
    // Whoever is to ask for it may not know.
    const isAsked = ({ channel: { latest } }: Watched) =>
      latest !== undefined && led.has(latest.topic) && latest.confirmedAt > late
    const asks = ours.filter((watched) => !isAsked(watched))
    // They ride along, and are no reason for a call that this node was not allotted.
    return asks.length === 0 ? asks : [...asks, ...lent.flatMap((topic) => this.#lend(topic))]
  }

  /** What another node watches; nothing where it is watched here too, or is no topic of this feed. */
  #lend(topic: string): readonly Watched[] {
    const { clock, emit } = this.#parts
    try {
      const watched = this.#watched.get(topic) ?? this.#begin(this.plan.keys.fromTopic(topic), true)
      if (!watched.lent || watched.asking) return []
      watched.seen = clock.monotonic()
      return [watched]
    } catch (error) {
      emit({ type: 'failed', where: `partition of ${this.plan.name}: ${topic}`, error })
      return []
    }
  }

  #every(): number {
    return this.plan.every * this.#parts.stretch()
  }

  /** All that is kept moving. What nobody has listened to for the linger time is let go. */
  #listenedTo(): Iterable<Watched> {
    const now = this.#parts.clock.monotonic()
    for (const [topic, watched] of this.#watched) {
      watched.seen = this.#seen(watched, now)
      if (this.#isHeard(watched) || watched.followers.size > 0) continue
      if (now - watched.seen >= this.plan.linger) {
        watched.unsubscribe()
        this.#push?.leave(topic)
        this.#watched.delete(topic)
        if (watched.channel.stale) this.#tellStale(topic, undefined)
        this.#letGo.add(topic, watched.channel.latest, this.#everything.listeners.size)
        this.#parts.hub.drop(watched.channel)
      }
    }
    return this.#watched.values()
  }

  /** What is absent is believed to be so for its own time; what a reader has just had fetched needs no fetching. */
  #isDue(watched: Watched): boolean {
    const { latest } = watched.channel
    const { path, clock } = this.#parts
    if (path.resting() || watched.lent) return false
    if (watched.outdated) return true
    const heard = this.#push?.hears(watched.readKey.topic) === true
    if (latest === undefined) return !(heard && this.#push?.tells(watched.readKey.topic))
    // It comes by itself; asked for only in case something was lost.
    if (heard) return clock.monotonic() - watched.asked >= (this.#push?.revalidateEvery ?? 0)
    return latest.absent ? path.left(latest) <= 0 : clock.monotonic() - latest.confirmedAt >= this.#every() / 2
  }

  /** A watched value whose next is on its way, as long as it can be confirmed. */
  #moving(topic: string): Entry | undefined {
    const channel = this.#watched.get(topic)?.channel
    if (channel?.latest === undefined || channel.stale || channel.latest.absent || this.plan.mustRevalidate) return
    // Dropped: whoever asks now wants what the upstream has now.
    return channel.latest.confirmedAt === Number.NEGATIVE_INFINITY ? undefined : channel.latest
  }

  #isHeard({ channel, readKey }: Watched): boolean {
    if (channel.listeners.size > 0) return true
    return this.#always.has(readKey.topic) && this.#everything.listeners.size > 0
  }

  /** When somebody last listened to it, or to a value that is made of it: one that only lingers does not make its parts linger. */
  #seen(watched: Watched, now: number): number {
    if (this.#isHeard(watched)) return now
    let latest = watched.seen
    for (const follower of watched.followers) latest = Math.max(latest, follower.seen())
    return latest
  }

  /** On a timer of its own, since a round waits for an upstream that hangs, and that is just when values grow stale. */
  #watch(): void {
    for (const watched of this.#watched.values()) {
      this.#confirm(watched)
      this.#judge(watched)
    }
    this.#watchdog = this.#watched.size === 0 ? undefined : this.#parts.clock.after(this.#every(), () => this.#watch())
  }

  /** What is pushed when it changes still is what it was, as of the moment the upstream was last heard. */
  #confirm(watched: Watched): void {
    const { outdated, asking } = watched
    const { latest } = watched.channel
    if (latest === undefined || !this.#push?.hears(latest.topic)) return
    // It comes by itself: for how long it was not asked for says nothing.
    watched.gap = 0
    watched.ended = Number.NEGATIVE_INFINITY
    // What it is now is being asked for, or is to be. Who tells how old it is is believed in that.
    if (outdated || asking || latest.absent || this.#push.tells(latest.topic)) return
    const { clock } = this.#parts
    const heardAt = this.#push.heardAt(latest.topic)
    // Dropped, or from before the connection: only an answer confirms it.
    if (latest.confirmedAt === Number.NEGATIVE_INFINITY) return
    latest.confirm(
      { checkedAt: Math.round(clock.now() - (clock.monotonic() - heardAt)), absentFor: latest.content.absentFor },
      heardAt,
      this.#push.said?.(latest.topic, latest.versionText)?.from,
    )
  }

  #listener(): PushListener {
    return {
      topicOf: (key) => this.plan.keys.fromParts(key as Readonly<Record<string, unknown>>).topic,
      began: (topic) => this.#outdate(topic),
      changed: (topic) => this.#changed(topic),
      came: (topic, value) => {
        const watched = this.#watched.get(topic)
        if (watched === undefined) return
        watched.failure = undefined
        if (!(value instanceof OriginValue) && this.#isOlder(watched, value)) return
        watched.pushed = { value }
        if (watched.changedAt !== undefined) this.#settle(watched)
        this.#takePushed(watched)
      },
      confirmed: (topic, version, checkedAt) => {
        const watched = this.#watched.get(topic)
        const latest = watched?.channel.latest
        if (watched === undefined || latest === undefined) return
        if (latest.versionText === version) {
          this.#parts.path.holds(topic)
          const { clock } = this.#parts
          const age = Math.max(0, clock.now() - checkedAt)
          latest.confirm({ checkedAt, absentFor: latest.content.absentFor }, clock.monotonic() - age)
        } else if (!watched.taking && watched.pushed === undefined) this.#changed(topic)
        this.#judge(watched)
      },
      failed: (topic, problem) => {
        const watched = this.#watched.get(topic)
        if (watched !== undefined) this.#tellFailure(watched, problem)
      },
    }
  }

  /** Those who have a value see it grow stale; only those who have none need to hear why. */
  #tellFailure(watched: Watched, problem: Problem): void {
    if (watched.channel.latest !== undefined || watched.failure === problem.code) return
    watched.failure = problem.code
    this.#parts.hub.notice(watched.channel, { type: 'error', ...named(watched.readKey.topic), problem })
  }

  /** It is another now. */
  #changed(topic: string): void {
    const watched = this.#watched.get(topic)
    if (watched === undefined) return
    watched.changedAt ??= this.#parts.clock.monotonic()
    this.#outdate(topic)
  }

  /** It may be another now: it is asked for, since what is being asked for may have been answered before. */
  #outdate(topic: string): void {
    const watched = this.#watched.get(topic)
    if (watched === undefined) return
    watched.outdated = true
    if (!watched.asking) void this.#poller.ask(watched)
  }

  /** What says of itself that it is older than what came before it, or is known, came late. */
  #isOlder({ channel: { latest }, pushed }: Watched, value: unknown): boolean {
    const { freshness, order = freshness.asOf } = this.plan
    const known = pushed?.value ?? latest?.value
    if (order === undefined || known === undefined || isAbsent(known) || isAbsent(value)) return false
    const [then, now] = [order(value), order(known)]
    return then !== undefined && now !== undefined && then < now
  }

  /** One after the other, and of those that came meanwhile only the last. It goes over what is being asked for: that was said before. */
  #takePushed(watched: Watched): void {
    const { pushed } = watched
    if (pushed === undefined || watched.taking) return
    watched.pushed = undefined
    watched.taking = true
    const { path, emit } = this.#parts
    const { topic } = watched.readKey
    path
      .put(topic, pushed.value)
      .then((stored) => {
        // Another node asks for it at this moment, and may be told less.
        if (stored === undefined) this.#changed(topic)
      })
      .catch((error) => emit({ type: 'failed', where: `push of ${this.plan.name}: ${topic}`, error }))
      .finally(() => {
        watched.taking = false
        this.#takePushed(watched)
      })
  }

  #judge({ channel, followers }: Watched): void {
    const { clock, hub } = this.#parts
    if (channel.latest === undefined) return
    const stale = this.stale(channel.latest)
    if (stale === channel.stale) return
    hub.setStale(channel, stale)
    for (const follower of followers) follower.judged?.(stale)
    this.#tellStale(channel.topic, stale ? staleReason(this.#facts(channel.latest), clock.monotonic()) : undefined)
  }

  #tellStale(topic: string, reason: string | undefined): void {
    const { emit } = this.#parts
    emit({ type: 'topic.stale', feed: this.plan.name, topic, stale: reason !== undefined, ...(reason && { reason }) })
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
