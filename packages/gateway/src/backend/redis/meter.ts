import type { Clock, Timer } from '../../clock.ts'
import type { Priority } from '../../events.ts'
import { BACK_OFF, LONG } from '../memory/meters.ts'
import type { Grant, Grants, Meter, MeterPlan, Want } from '../ports.ts'
import { type Alone, alone as aloneWith, type Ended } from './alone.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { type Ask, type Place, TAKE, type Told } from './take.ts'

export interface MeterParts {
  readonly connection: RedisConnection
  readonly keys: Keys
  /** This node: a name that no other process has, nor had before. */
  readonly node: string
  readonly clock: Clock
  readonly report: (error: unknown) => void
}

/** A meter that all nodes share. */
export interface SharedMeter extends Meter {
  /** Tells the others that this node spends nothing any more. */
  leave(): Promise<void>
}

/** Starts are granted at most so far ahead, in milliseconds: a node that stops then wastes little. */
const HORIZON = 50

/** A grant is used within so many milliseconds of its moment, or not at all: its place is held for that long. */
const SLACK = 100

/** Who heard nothing for so long is absent, in milliseconds; a node lets itself be heard this often. */
const PRESENCE = 3000
const BEAT = 1000

/** Share of an absent node that is left to it, for it may be cut off and spend it: after so long it is taken as dead. */
const FORGET = 3_600_000

/** A key that is used up is tried again after so long: somebody may have paid. */
const SPENT = 3_600_000

/** What the upstream said is left is stale after so many milliseconds. */
const NEWS = 100

/** How soon to ask again when Redis can not be reached, in milliseconds. */
const AGAIN = 100

/** Of so many starts one goes to a worse class that waits on another node. */
const TURN_OF_THE_AGED = 8

/** Wants that are asked for at once. */
const MOST_WANTS = 64

/** The longest that a call may take unless the plan says, in milliseconds. */
const TIMEOUT = 10_000

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/** What is to be told with the next request; it is told again until an answer was heard. */
interface News {
  done: readonly Ended[]
  cancel: readonly Grant[]
  close: readonly { readonly until: number; readonly key: number }[]
  spend: readonly { readonly key: number }[]
  learn: readonly { readonly left: number; readonly key: number; readonly at: number }[]
  backOff: boolean
  jumped: boolean
}

export function redisMeter(upstream: string, plan: MeterPlan, parts: MeterParts): SharedMeter {
  const { connection, keys, node, clock, report } = parts
  const longest = Math.max(...plan.limits.map(({ window }) => window))
  const shortest = Math.min(...plan.limits.map(({ window }) => window))
  const largest = Math.min(...plan.limits.filter(({ counts }) => counts !== 'calls').map(({ limit }) => limit))
  const hold = SLACK + (plan.timeout ?? TIMEOUT)
  const beat = Math.min(BEAT, hold / 4)
  const flushAfter = Math.min(HORIZON, shortest / 4)

  let seq = 0
  let heard = 0
  let seen = 0
  let share = 0
  let nodes = 1
  let probing = false
  let lastId = 0
  /** Moments on the monotonic clock. */
  let heardAt = Number.NEGATIVE_INFINITY
  let closedUntil = Number.NEGATIVE_INFINITY
  /** Redis's clock less ours, as far as the last answer told. */
  let offset: { readonly least: number; readonly most: number } | undefined
  const news = nothingNew()
  const running = new Map<number, { readonly grant: Grant; heldAt: number }>()
  let alone: Alone | undefined
  let rejoining = false
  let away = false
  let left = false
  let last: Promise<unknown> = Promise.resolve()
  let flushing: Timer | undefined
  let beating = clock.after(beat, onBeat)

  const nextId = () => {
    lastId += 1
    return lastId
  }

  /** One request at a time: their numbers arrive in order, and each tells what came of the one before. */
  function exchange(wants: readonly Want[], carry: Ask['carry'] = []): Promise<Grants> {
    const done = last.then(() => ask(wants, carry))
    last = done.catch(() => {})
    return done
  }

  async function ask(wants: readonly Want[], carry: Ask['carry']): Promise<Grants> {
    seq += 1
    const number = seq
    const first = lastId + 1
    lastId += wants.length
    const sent = { ...news }
    const { jumped } = sent
    const asked = clock.monotonic()
    const kept = [...running.values()].filter(({ heldAt }) => asked - heldAt > hold / 2)
    const request: Ask = {
      ...{ node, seq: number, heard, seen, share, nodes, jumped, leave: left, first, carry },
      ...{ ttl: PRESENCE, forget: FORGET, hold, slack: SLACK, horizon: HORIZON, long: LONG, spentFor: SPENT },
      ...{ turnOfTheAged: TURN_OF_THE_AGED, pace: plan.pace === true, keys: plan.keys, limits: plan.limits },
      ...{ creep: BACK_OFF.creep, least: BACK_OFF.least, keepShare: BACK_OFF.keep, backOff: sent.backOff },
      unknown: plan.past === 'unknown' || heard > 0,
      wants: wants.map(({ priority, cost, lane = '' }) => ({ rank: CLASSES.indexOf(priority), cost, lane })),
      done: sent.done.map(({ grant, truth, at }) => [...placeOf(grant), truth, asked - at]),
      cancel: sent.cancel.map(placeOf),
      keep: kept.map(({ grant }) => placeOf(grant)),
      close: sent.close.filter(({ until }) => until > asked).map(({ until, key }) => [until - asked, key]),
      spend: sent.spend.map(({ key }) => key),
      learn: sent.learn.filter(({ at }) => probing || asked - at < NEWS).map(({ left, key }) => [left, key]),
    }
    const reply = await connection.run(TAKE, [keys.meter(upstream), keys.nodes(upstream)], [JSON.stringify(request)])
    const now = clock.monotonic()
    const told = JSON.parse(String(reply)) as Told
    if (told.stale) throw new Error(`${upstream}: Redis has seen a later request than number ${number} of ${node}`)

    news.done = without(news.done, sent.done)
    news.cancel = without(news.cancel, sent.cancel)
    news.close = without(news.close, sent.close)
    news.spend = without(news.spend, sent.spend)
    news.learn = without(news.learn, sent.learn)
    if (sent.backOff) news.backOff = false
    if (jumped) news.jumped = false
    for (const one of kept) one.heldAt = asked
    heard = number
    seen = Number(told.now)
    heardAt = now
    share = told.share
    nodes = told.nodes
    probing = told.probing
    away = false

    const granted = Array.isArray(told.granted) ? told.granted.map((one) => grantOf(one, asked, now)) : []
    if (clockJumped(Number(told.now), asked, now) && !told.jumped) {
      // What the jump freed was not free: nothing of it may start, and nobody gets anything for a window.
      news.cancel = [...news.cancel, ...granted]
      news.jumped = true
      return { granted: [], wait: 1 }
    }
    const inTime = granted.filter((grant) => grant.closes > grant.opens)
    news.cancel = [...news.cancel, ...granted.filter((grant) => !inTime.includes(grant))]
    for (const grant of inTime) running.set(grant.id, { grant, heldAt: now })
    const wait = inTime.length < granted.length ? 1 : told.wait
    return { granted: inTime, wait, ...(told.never === undefined ? {} : { never: told.never }) }
  }

  /** The moment of a grant lies between when it was asked and when it was told: opens late, closes early. */
  function grantOf([id, key, lane, cost, opensIn]: readonly [...Place, number], asked: number, now: number): Grant {
    return { id, key, lane, cost, opens: now + opensIn, closes: asked + opensIn + SLACK }
  }

  function clockJumped(theirs: number, asked: number, now: number): boolean {
    const before = offset
    offset = { least: theirs - now, most: theirs - asked }
    return before !== undefined && (offset.least > before.most + SLACK || offset.most < before.least - SLACK)
  }

  /** Redis can not be reached: nothing starts until what was granted has died everywhere, then our own share. */
  function cutOff(wants: readonly Want[], error: unknown): Grants {
    if (!away) report(error)
    away = true
    const from = heardAt + PRESENCE + longest + hold
    const now = clock.monotonic()
    if (heard === 0 || now < from) return { granted: [], wait: Math.max(1, Math.min(AGAIN, from - now)) }
    alone ??= aloneWith(plan, share, clock)
    return alone.take(wants, nextId)
  }

  /** Back again: what was spent alone goes into the shared windows before anything else is taken from them. */
  async function rejoin(from: Alone): Promise<void> {
    await connection.command(['PING'])
    rejoining = true
    try {
      await exchange([], from.spent())
      alone = undefined
      const now = clock.monotonic()
      for (const grant of from.running()) running.set(grant.id, { grant, heldAt: now })
      // Those that ended since they were counted: told again they change nothing.
      news.done = [...news.done, ...from.ended()]
    } finally {
      rejoining = false
    }
  }

  function onBeat(): void {
    if (left) return
    beating = clock.after(beat, onBeat)
    if (alone !== undefined) {
      if (!rejoining) rejoin(alone).catch(() => {})
      return
    }
    // Also when nothing is wanted: who is silent is taken as cut off, and its share is left to it.
    if (heard > 0 && clock.monotonic() - heardAt >= beat / 2) exchange([]).catch(() => {})
  }

  function flushSoon(after = flushAfter): void {
    if (flushing !== undefined || left || alone !== undefined) return
    flushing = clock.after(after, () => {
      flushing = undefined
      const { done, cancel, close, spend, backOff, jumped } = news
      const any = done.length + cancel.length + close.length + spend.length > 0 || backOff || jumped
      // What could not be told now is told with the next request or beat.
      if (any && heard > 0 && alone === undefined) exchange([]).catch(() => {})
    })
  }

  return {
    take(wants) {
      if (wants.some(({ cost }) => cost > largest)) return { granted: [], wait: undefined, never: 'too large' }
      const now = clock.monotonic()
      if (closedUntil > now) return { granted: [], wait: closedUntil - now }
      if (alone !== undefined) return rejoining ? { granted: [], wait: AGAIN } : alone.take(wants, nextId)
      return exchange(wants.slice(0, MOST_WANTS)).catch((error) => cutOff(wants, error))
    },

    settle(grant, cost = grant.cost) {
      if (alone?.settle(grant, cost)) return
      running.delete(grant.id)
      news.done = [...news.done, { grant, truth: cost, at: clock.monotonic() }]
      flushSoon()
    },

    cancel(grant) {
      if (alone?.cancel(grant)) return
      running.delete(grant.id)
      news.cancel = [...news.cancel, grant]
      flushSoon()
    },

    close(duration, key) {
      const until = clock.monotonic() + duration
      if (key === undefined) closedUntil = Math.max(closedUntil, until)
      news.close = [...news.close, { until, key: key ?? -1 }]
      alone?.meter.close(duration, key)
      flushSoon(0)
    },

    backOff() {
      news.backOff = true
      alone?.meter.backOff()
      flushSoon(0)
    },

    spend(key) {
      news.spend = [...news.spend, { key }]
      alone?.meter.spend(key)
      flushSoon(0)
    },

    learn(left, key) {
      news.learn = [...news.learn.filter((one) => one.key !== key), { left, key, at: clock.monotonic() }]
      alone?.meter.learn(left, key)
    },

    async leave() {
      if (left) return
      left = true
      beating.stop()
      flushing?.stop()
      if (heard > 0 && alone === undefined) await exchange([]).catch(() => {})
    },
  }
}

function placeOf({ id, key, lane, cost }: Grant): Place {
  return [id, key, lane, cost]
}

/** What came while a request was under way stays for the next. */
function without<Item>(all: readonly Item[], told: readonly Item[]): readonly Item[] {
  if (told.length === 0) return all
  const known = new Set(told)
  return all.filter((one) => !known.has(one))
}

function nothingNew(): News {
  return { done: [], cancel: [], close: [], spend: [], learn: [], backOff: false, jumped: false }
}
