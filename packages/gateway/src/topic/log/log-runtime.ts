import { formatVersion, type Version } from '@weir/protocol'
import type { LogHistory, LogLine, Logs } from '../../backend/ports.ts'
import { unpooledBuffer } from '../../buffer.ts'
import type { Identity, MaybePromise } from '../../call.ts'
import type { Clock, Timer } from '../../clock.ts'
import { show, WeirError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import type { Channel, Hub, Listener } from '../../hub/hub.ts'
import { parseJson, stringifyJson, unwritable } from '../../json.ts'
import type { Follower, Following } from '../feed/derived.ts'
import type { ReadKey } from '../key.ts'
import { keyFor } from '../scope.ts'
import { readVersion } from '../version.ts'
import { gapAfter } from './gap.ts'
import type { LogPlan, LogRange, LogReading, LogRunner } from './log.ts'
import { LogTail } from './tail.ts'

export interface LogRuntimeParts {
  readonly plan: LogPlan
  readonly logs: Logs
  readonly hub: Hub
  readonly clock: Clock
  readonly emit: Emit
  /** The value on which the log of this key depends, where there is one. */
  readonly source?: ((key: unknown) => LogSource) | undefined
}

/** A value whose loader publishes what is new in a log. */
export interface LogSource {
  follow(follower: Follower): Following
  /** When it ends, new events are published. */
  read(client: string): MaybePromise<unknown>
  readonly stale: boolean
}

/** Events of a log that are kept, and what of those that were asked for is gone. */
export interface LogPart extends LogHistory {
  readonly gap: { readonly from: Version; readonly to: Version } | undefined
}

interface Watched {
  readonly topic: string
  readonly channel: Channel
  readonly tail: LogTail
  /** Listeners that came while the tail is filled, and the positions that they have. */
  readonly waiting: Map<Listener, Version | undefined>
  /** While the tail is filled: events that came meanwhile. */
  filling: { readonly came: LogLine[]; missed: boolean } | undefined
  /** It had no listener at the last sweep. */
  idle: boolean
  readonly unsubscribe: () => void
  readonly source: Following | undefined
}

/** The most events in one answer. */
export const MOST_EVENTS = 1000

/** How long an encoded history stays in memory after its last listener left, in milliseconds; twice that at most. */
const LINGER = 15_000

/** After this many events, a stream that never waits lets other work run. */
const AT_ONCE = 64

/** A log at work: it keeps what is published, and sends it to listeners. */
export class LogRuntime implements LogRunner {
  readonly plan: LogPlan
  readonly #parts: LogRuntimeParts
  readonly #watched = new Map<string, Watched>()
  #sweeper: Timer | undefined

  constructor(parts: LogRuntimeParts) {
    this.plan = parts.plan
    this.#parts = parts
  }

  /** @throws WeirError `bad_key`, `unauthenticated` */
  keyOf(
    parameters: Readonly<Record<string, string>>,
    query: string,
    identity: Identity | undefined,
    ours?: readonly string[],
  ): ReadKey {
    return keyFor(this.plan.scope, this.plan.keys.fromAddress(parameters, query, ours), identity)
  }

  /** The same for the parts of a key. */
  keyFrom(parts: Readonly<Record<string, unknown>>, identity: Identity | undefined): ReadKey {
    return keyFor(this.plan.scope, this.plan.keys.fromParts(parts), identity)
  }

  async publish(
    parts: Readonly<Record<string, unknown>>,
    event: unknown,
    identity: Identity | undefined,
  ): Promise<string> {
    const { topic } = this.keyFrom(parts, identity)
    // Without a pause where the schema needs none, so that events stay in the order in which they were published.
    const json = this.#jsonOf(event)
    return this.#append(topic, json instanceof Promise ? await json : json)
  }

  async publishAfter(
    parts: Readonly<Record<string, unknown>>,
    after: string,
    event: unknown,
    identity: Identity | undefined,
  ): Promise<string | undefined> {
    const place = readVersion('after', after)
    if (place === undefined) throw new WeirError('bad_version', 'after: expected epoch:sequence, got nothing')
    const { topic } = this.keyFrom(parts, identity)
    const { logs, emit } = this.#parts
    const position = await logs.appendAfter(topic, place, await this.#jsonOf(event), this.plan.history)
    if (position === undefined) return undefined
    emit({ type: 'log.published', log: this.plan.name })
    return formatVersion(position)
  }

  /**
   * Adds an event of a client.
   *
   * @throws WeirError `not_published` when it may not, `bad_event`
   */
  async submit({ topic, key }: ReadKey, event: unknown, identity: Identity | undefined): Promise<string> {
    const { name, mayPublish } = this.plan
    if (mayPublish === undefined || (await mayPublish({ key, identity })) !== true)
      throw new WeirError('not_published', `log "${name}": expected a caller that may publish, got one that may not`)
    return this.#append(topic, await this.#jsonOf(event))
  }

  async publishAll(
    parts: Readonly<Record<string, unknown>>,
    events: AsyncIterable<unknown>,
    identity: Identity | undefined,
  ): Promise<string | undefined> {
    let last: string | undefined
    let count = 0
    for await (const event of events) {
      last = await this.publish(parts, event, identity)
      count += 1
      if (count % AT_ONCE === 0) await new Promise<void>((resolve) => this.#parts.clock.soon(resolve))
    }
    return last
  }

  async read(
    parts: Readonly<Record<string, unknown>>,
    { after, most = MOST_EVENTS }: LogRange,
    identity: Identity | undefined,
  ): Promise<LogReading<unknown>> {
    const { topic } = this.keyFrom(parts, identity)
    if (!Number.isSafeInteger(most) || most < 1 || most > MOST_EVENTS)
      throw new WeirError('bad_request', `most: expected a whole number from 1 to ${MOST_EVENTS}, got ${show(most)}`)
    const { events, epoch, oldest, newest, gap } = await this.part(topic, readVersion('after', after), most)
    return {
      events: events.map(({ offset, at, event }) => ({
        position: formatVersion({ epoch, sequence: offset }),
        at,
        event: parseJson(event.toString()),
      })),
      oldest: formatVersion({ epoch, sequence: oldest }),
      newest: formatVersion({ epoch, sequence: newest }),
      ...(gap === undefined ? {} : { gap: { from: formatVersion(gap.from), to: formatVersion(gap.to) } }),
    }
  }

  /**
   * Reads the feed whose loader publishes new events, where there is one, and returns whether it is stale: then the log may be behind. Undefined
   * without such a feed. It is not for loaders: the one that publishes here would wait for itself.
   */
  async caughtUp({ key }: ReadKey, client: string): Promise<boolean | undefined> {
    const source = this.#parts.source?.(key)
    try {
      await source?.read(client)
      return source?.stale
    } catch {
      // Reported by the feed. The kept events can be read all the same.
      return true
    }
  }

  /** Events after a position, or from the oldest that is kept. */
  async part(topic: string, after: Version | undefined, most: number): Promise<LogPart> {
    const { logs } = this.#parts
    let history = await logs.read(topic, after?.sequence ?? 0, most)
    // An offset of another epoch says nothing in this one.
    if (after !== undefined && after.epoch !== history.epoch) history = await logs.read(topic, 0, most)
    const to = after === undefined ? undefined : gapAfter(after, history)
    return { ...history, gap: after === undefined || to === undefined ? undefined : { from: after, to } }
  }

  /** The newest event, if one is kept. */
  async latest(topic: string): Promise<LogHistory> {
    const { logs } = this.#parts
    const { newest } = await logs.read(topic, 0, 0)
    return logs.read(topic, newest - 1, 1)
  }

  /** Bytes of an event, as far as is known now. None for a log without listeners so far: most events are small. */
  usual(topic: string): number {
    return this.#watched.get(topic)?.tail.usual ?? 0
  }

  /** From now on the listener hears this topic: what is kept after the position `known`, or all that is, and what comes. */
  watch(listener: Listener, { topic, key }: ReadKey, known: Version | undefined): void {
    const watched = this.#watched.get(topic) ?? this.#begin(topic, key)
    watched.idle = false
    if (watched.filling === undefined) this.#join(watched, listener, known)
    else watched.waiting.set(listener, known)
  }

  /** From now on the listener does not hear this topic. */
  unwatch(listener: Listener, { topic }: ReadKey): void {
    const watched = this.#watched.get(topic)
    watched?.waiting.delete(listener)
    if (watched !== undefined) this.#parts.hub.leave(listener, watched.channel)
  }

  stop(): void {
    this.#sweeper?.stop()
    for (const { unsubscribe, source } of this.#watched.values()) {
      unsubscribe()
      source?.stop()
    }
    this.#watched.clear()
  }

  #jsonOf(event: unknown): MaybePromise<Buffer> {
    const written = (result: Awaited<ReturnType<LogPlan['event']['~standard']['validate']>>) => {
      if (result.issues === undefined) {
        const wrong = unwritable(result.value)
        if (wrong === undefined) return unpooledBuffer(stringifyJson(result.value) ?? 'null')
        throw new WeirError('bad_event', `expected a JSON value, got ${wrong}`)
      }
      const [issue] = result.issues
      const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
      const expected = issue?.message ?? 'expected an event of the schema'
      throw new WeirError('bad_event', `${path ? `${path}: ` : ''}${expected}, got ${show(event)}`)
    }
    const result = this.plan.event['~standard'].validate(event)
    return result instanceof Promise ? result.then(written) : written(result)
  }

  async #append(topic: string, json: Buffer): Promise<string> {
    const { logs, emit } = this.#parts
    const position = await logs.append(topic, json, this.plan.history)
    emit({ type: 'log.published', log: this.plan.name })
    return formatVersion(position)
  }

  #begin(topic: string, key: unknown): Watched {
    const { hub, logs, clock } = this.#parts
    const channel = hub.channel(topic)
    const tail = new LogTail(topic, this.plan.history, clock)
    channel.tail = tail
    // Before the history is read: an event that comes meanwhile is in the history or arrives here.
    const unsubscribe = logs.subscribe(
      topic,
      (line) => this.#received(watched, line),
      () => this.#missed(watched),
    )
    let seen = clock.monotonic()
    const source = this.#parts.source?.(key).follow({
      changed() {},
      seen() {
        if (channel.listeners.size > 0) seen = clock.monotonic()
        return seen
      },
      stalenessChanged: (stale) => hub.setStale(channel, stale),
    })
    const idle = false
    const watched: Watched = { topic, channel, tail, waiting: new Map(), filling: undefined, idle, unsubscribe, source }
    this.#watched.set(topic, watched)
    this.#fill(watched)
    this.#sweeper ??= clock.after(LINGER, () => this.#sweep())
    return watched
  }

  #received(watched: Watched, line: LogLine): void {
    if (watched.filling !== undefined) watched.filling.came.push(line)
    else if (watched.tail.add(line)) this.#parts.hub.appended(watched.channel)
    else this.#fill(watched, line)
  }

  #missed(watched: Watched): void {
    if (watched.filling === undefined) this.#fill(watched)
    else watched.filling.missed = true
  }

  /** Reads what the tail lacks: all of it at first, later the events before one that arrived. */
  #fill(watched: Watched, ...came: LogLine[]): void {
    watched.filling = { came, missed: false }
    this.#filled(watched).catch((error) => {
      this.#parts.emit({ type: 'failed', where: `history of ${watched.topic}`, error })
      for (const listener of [...watched.channel.listeners, ...watched.waiting.keys()])
        this.#parts.hub.disconnect(listener)
      this.#forget(watched)
    })
  }

  async #filled(watched: Watched): Promise<void> {
    const { logs, hub } = this.#parts
    for (;;) {
      const filling = watched.filling ?? { came: [], missed: false }
      filling.missed = false
      const history = await logs.read(watched.topic, 0, this.plan.history.events)
      watched.tail.fill(history)
      const { came } = filling
      if (came.every((line) => watched.tail.add(line)) && !filling.missed) break
      // Some of what came lies behind a hole: it is in what is read now.
      came.length = 0
    }
    watched.filling = undefined
    hub.appended(watched.channel)
    for (const [listener, known] of watched.waiting) this.#join(watched, listener, known)
    watched.waiting.clear()
  }

  #join({ channel, tail }: Watched, listener: Listener, known: Version | undefined): void {
    const { from, gap } = tail.resume(known)
    this.#parts.hub.follow(listener, channel, from, gap)
  }

  #forget(watched: Watched): void {
    watched.unsubscribe()
    watched.source?.stop()
    this.#watched.delete(watched.topic)
    this.#parts.hub.drop(watched.channel)
  }

  #sweep(): void {
    for (const watched of this.#watched.values()) {
      if (watched.channel.listeners.size > 0 || watched.filling !== undefined) watched.idle = false
      else if (watched.idle) this.#forget(watched)
      else watched.idle = true
    }
    this.#sweeper = this.#watched.size === 0 ? undefined : this.#parts.clock.after(LINGER, () => this.#sweep())
  }
}
