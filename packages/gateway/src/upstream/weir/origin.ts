import { applyPatch, type Level, type Problem, parseVersion, type Version } from '@weir/protocol'
import type { LogLine } from '../../backend/ports.ts'
import type { Clock } from '../../clock.ts'
import { show, WeirError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { isRecord } from '../../options.ts'
import { createPushConnection } from '../push/connection.ts'
import type { PushLinkPlan, PushListener, PushNews, PushSource } from '../push/push.ts'
import type { OriginPlan } from '../upstream.ts'
import { errorOf, here, lineageOf, type OriginValue, originValueOf } from './origin-value.ts'
import { lineOf } from './weir.ts'

/** What an origin says of a topic. */
export type OriginNews =
  | { readonly type: 'told'; readonly told: OriginValue }
  /** This version still is so, as of this moment of our wall clock. */
  | { readonly type: 'confirmed'; readonly version: string; readonly checkedAt: number }
  | { readonly type: 'failed'; readonly problem: Problem }
  | { readonly type: 'event'; readonly line: LogLine }
  /** Of a log: events up to and including this position can't be had any more. */
  | { readonly type: 'gap'; readonly to: Version; readonly lineage: string | undefined }
  /** Of a log: its newest event has this position. */
  | { readonly type: 'stands'; readonly at: Version; readonly lineage: string | undefined }

export interface OriginParts {
  readonly name: string
  readonly plan: OriginPlan
  readonly clock: Clock
  readonly emit: Emit
  /** From 0 to 1, for the jitter between connections. */
  readonly random: () => number
  /** Hears how hard the origin is pressed. */
  readonly level: (level: Level) => void
}

/** Another gateway, followed: its topics on as few connections as it allows, which is one for the first 500. */
export interface Origin {
  /** From now on the ears hear this topic; of a log, what is after the position `since`. */
  follow(topic: string, ears: (news: OriginNews) => void, since?: string): void
  leave(topic: string): void
  /** Whether what changes would be heard of. */
  hears(topic: string): boolean
  /** The same for the topics of one feed. */
  feed(listener: PushListener): PushSource
  stop(): void
}

interface Followed {
  readonly line: Line
  readonly ears: (news: OriginNews) => void
  /** What the origin said last, to go on from and to patch: of a log the position alone. */
  held: { readonly version: string; readonly value: unknown } | undefined
  /** Whether it said that this can't be confirmed. */
  stale: boolean
  /** Whether it sent anything of the value on the connection of now. Until then, what it sent before holds `until` the last connection was lost. */
  current: boolean
  until: number
}

/** One connection. */
interface Line {
  readonly source: PushSource
  readonly topics: Map<string, Followed>
}

/**
 * Messages that are sent at once on a new connection, and a second: an origin takes 1,000 and 50 unless it is told otherwise
 * (`socketBurst`, `socketRate`), and pings are among them.
 */
const BURST = 500
const RATE = 40

/** A topic that is refused is asked for again after so many milliseconds; until then it is polled. */
const AGAIN = 30_000

/** A guess of the clocks may be so much worse than an earlier one, in milliseconds, and still be only a message that was long under way. */
const SLOWEST = 1000

export function createOrigin(parts: OriginParts): Origin {
  const lines: Line[] = []
  const followed = new Map<string, Followed>()

  const origin: Origin = {
    follow(topic, ears, since) {
      let line = lines.find(({ topics }) => topics.size < parts.plan.maxTopics)
      if (line === undefined) {
        line = openLine(parts)
        lines.push(line)
      }
      const held = since === undefined ? undefined : { version: since, value: undefined }
      const one: Followed = { line, ears, held, stale: false, current: false, until: Number.NEGATIVE_INFINITY }
      followed.set(topic, one)
      line.topics.set(topic, one)
      line.source.follow(topic, topic, () => parts.clock.monotonic())
    },
    leave(topic) {
      const line = followed.get(topic)?.line
      followed.delete(topic)
      line?.topics.delete(topic)
      line?.source.leave(topic)
    },
    hears: (topic) => followed.get(topic)?.line.source.hears(topic) === true,
    stop() {
      for (const { source } of lines) source.stop()
    },
    feed(listener) {
      const ours = new Set<string>()
      return {
        follow(topic) {
          ours.add(topic)
          origin.follow(topic, (news) => tell(listener, topic, news))
        },
        leave(topic) {
          ours.delete(topic)
          origin.leave(topic)
        },
        hears: origin.hears,
        heardAt: (topic) => Math.max(...lines.map(({ source }) => source.heardAt(topic))),
        // Said by the origin in its heartbeats.
        revalidateEvery: Number.POSITIVE_INFINITY,
        tells: (topic) => followed.get(topic)?.line.source.tells(topic) === true,
        said(topic, version) {
          const one = followed.get(topic)
          // Only of what it said last: of anything else its word is not known.
          if (one === undefined || one.held?.version !== version) return undefined
          const { source } = one.line
          const hears = one.current && source.hears(topic)
          const heardAt = one.current ? source.heardAt(topic) : one.until
          if (one.stale) return hears ? { stale: true, at: heardAt } : undefined
          return { stale: false, at: hears ? parts.clock.monotonic() : heardAt }
        },
        stop() {
          for (const topic of ours) origin.leave(topic)
        },
      }
    },
  }
  return origin
}

function tell(listener: PushListener, topic: string, news: OriginNews): void {
  if (news.type === 'told') listener.came(topic, news.told)
  else if (news.type === 'confirmed') listener.confirmed(topic, news.version, news.checkedAt)
  else if (news.type === 'failed') listener.failed(topic, news.problem)
}

type Message = Readonly<Record<string, unknown>>

/** A position of a log. @throws WeirError `upstream_invalid` */
function placeOf(said: unknown): Version {
  const place = parseVersion(String(said))
  if (place === undefined) throw new WeirError('upstream_invalid', `origin: expected a position, got ${show(said)}`)
  return place
}

/** A WebSocket that speaks Weir's protocol (PROTOCOL.md), on the same feet as those of other upstreams that push. */
function openLine({ name, plan, clock, emit, random, level }: OriginParts): Line {
  const topics = new Map<string, Followed>()
  const asked = new Map<unknown, string>()
  /** Messages of this connection so far. */
  let count = 0
  /** Of which line of epochs the versions are that come on this connection. */
  let lineage: string | undefined
  /** What our monotonic clock shows when the origin's is at 0: the least guess, since messages are under way for some time. */
  let zero: number | undefined

  function hearClock(now: unknown): void {
    if (typeof now !== 'number') return
    const guess = clock.monotonic() - now
    if (zero === undefined || guess < zero || guess > zero + SLOWEST) zero = guess
  }

  /** Milliseconds by which our wall clock is ahead of the origin's, also when it was set just now. */
  function ahead(): number {
    return clock.now() - clock.monotonic() + (zero ?? 0)
  }

  function read(given: unknown): PushNews<string, never> | undefined {
    count += 1
    const message: Message = isRecord(given) ? given : {}
    hearClock(message.now)
    if (typeof message.level === 'string') level(message.level as Level)
    const wanted = asked.get(message.id)
    asked.delete(message.id)
    switch (message.type) {
      case 'hello':
        lineage = lineageOf(message)
        return undefined
      case 'subscribed':
        // Under another name we would wait for ever for what comes under that.
        if (wanted !== message.topic)
          return { refused: Number(message.id), reason: `the origin names it ${message.topic}` }
        return { accepted: Number(message.id) }
      case 'goodbye':
        return { over: 'goodbye', after: Number(message.retry) }
      case 'heartbeat':
        // Pings come through, and messages do not.
        if (typeof message.seq === 'number' && message.seq !== count - 1)
          return { over: `expected ${message.seq} messages, got ${count - 1}` }
    }
    const one = topics.get(String(message.topic ?? wanted))
    const lost = one === undefined ? undefined : hear(one, message)
    if (lost !== undefined) return { over: lost }
    return message.type === 'error' && typeof message.id === 'number'
      ? { refused: message.id, reason: errorOf(message.problem).message }
      : undefined
  }

  /** @returns what is wrong with it */
  function hear(one: Followed, message: Message): string | undefined {
    const { type, version } = message
    if (type === 'snapshot' || type === 'absent' || type === 'patch') {
      if (type === 'patch' && one.held?.version !== message.from) {
        const from = one.held?.version
        one.held = undefined
        return `expected a patch on ${from}, got one on ${message.from}`
      }
      const value = type === 'patch' ? applyPatch(one.held?.value, message.patch) : message.value
      const said = type === 'absent' ? message : { ...message, value }
      const told = originValueOf(said, ahead(), lineage)
      one.held = { version: String(version), value }
      one.stale = message.stale === true
      one.current = true
      one.ears({ type: 'told', told })
    } else if (type === 'heartbeat' && typeof version === 'string') {
      one.stale = message.stale === true
      one.current = true
      if (typeof message.checkedAt === 'number')
        one.ears({ type: 'confirmed', version, checkedAt: here(message.checkedAt, ahead()) })
      else one.ears({ type: 'stands', at: placeOf(version), lineage: lineageOf(message, lineage) })
    } else if (type === 'error') one.ears({ type: 'failed', problem: message.problem as Problem })
    else if (type === 'event') {
      const line = lineOf(message, lineage)
      one.held = { version: String(message.position), value: undefined }
      one.ears({ type: 'event', line })
    } else if (type === 'gap') {
      const to = placeOf(message.to)
      one.held = { version: String(message.to), value: undefined }
      one.ears({ type: 'gap', to, lineage: lineageOf(message, lineage) })
    }
    return undefined
  }

  const pushed: PushLinkPlan = {
    url() {
      // Another connection: the origin may have changed its word since the last one was lost.
      for (const one of topics.values()) {
        if (one.current) one.until = source.heardAt('')
        one.current = false
      }
      return plan.url
    },
    headers: plan.headers,
    greet() {
      count = 0
      zero = undefined
      asked.clear()
      return []
    },
    subscribe(key, id) {
      const topic = String(key)
      asked.set(id, topic)
      return { type: 'subscribe', topic, id, since: topics.get(topic)?.held?.version }
    },
    // It is ended by its name: one that is followed again by now would end with the one before.
    unsubscribe: (topic) => (topics.has(String(topic)) ? undefined : { type: 'unsubscribe', topic }),
    read,
    acknowledges: true,
    tells: true,
    revalidateEvery: AGAIN,
    silenceTimeout: plan.silenceTimeout,
    maxSubscriptions: plan.maxTopics,
    messageRate: RATE,
    burst: BURST,
  }
  // What it says is heard where it is read: a patch must meet what was before it.
  const listener = { began() {}, came() {}, changed() {}, confirmed() {}, failed() {}, topicOf: String }
  const source = createPushConnection({ feed: name, plan: pushed, listener, clock, emit, random })
  return { source, topics }
}
