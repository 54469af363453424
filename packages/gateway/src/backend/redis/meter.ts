import type { Clock, Timer } from '../../clock.ts'
import type { Priority } from '../../events.ts'
import { BACK_OFF, heardOf, LAST_ARRIVALS, LONG, tooLarge } from '../memory/meters.ts'
import { formOf } from '../memory/stricter.ts'
import { CATCHING_UP } from '../memory/window.ts'
import { type Grant, type Grants, type Meter, type MeterLimit, type MeterPlan, SPENT_FOR, type Want } from '../ports.ts'
import type { RedisConnection } from './connection.ts'
import { isolatedMeter as aloneWith, type Ended, type IsolatedMeter } from './isolated-meter.ts'
import type { Keys } from './keys.ts'
import type { RedisChannels } from './pubsub.ts'
import { TAKE } from './scripts.ts'
import type { Listed, Paused, Place, TakeReply, TakeRequest } from './take.ts'

export interface MeterParts {
  readonly connection: RedisConnection
  readonly channels: RedisChannels
  readonly keys: Keys
  /** This node: a name that no other process has, nor had before. */
  readonly node: string
  readonly clock: Clock
  /** Milliseconds; nodes that share have the same. */
  readonly slack?: number | undefined
  readonly report: (error: unknown) => void
  /** Told when nodes begin to share an upstream with different limits, and which of them all hold then. */
  readonly mixed?: ((upstream: string, limits: readonly MeterLimit[]) => void) | undefined
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

/**
 * A node gets its first grant when all others know of it, or so long after it came, in milliseconds: two beats, so that who lives
 * has heard of it. After a loss a node that had not heard of Redis for as long may not know of all that were granted something.
 */
const JOINING = 2 * BEAT

/**
 * For so long since it last heard of Redis a node that is cut off spends its own share, and not for a millisecond longer:
 * from outside it looks like one that is dead, and the others take its share when its last call must be over. Shorter gives
 * the share of a dead node back sooner, longer outlives a longer outage of Redis. Milliseconds.
 */
const ALONE = 600_000

/** What the upstream said is left is stale after so many milliseconds. */
const NEWS = 100

/** How soon to ask again when Redis can not be reached, in milliseconds. */
const AGAIN = 100

/** A process that has never reached Redis for so long refuses calls, instead of letting them wait in vain. Milliseconds. */
const GIVEN_UP = 1000

/** Of so many starts one goes to a worse class that waits on another node. */
const TURN_OF_THE_AGED = 8

/** Wants that are asked for at once. */
const MOST_WANTS = 64

/** Lanes whose end is looked for with each request: more than its wants can add. */
const SWEEP = 4 * MOST_WANTS

/** The longest that a call may take unless the plan says, in milliseconds. */
const TIMEOUT = 10_000

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/** What is to be told with the next request; it is told again until an answer was heard. */
interface News {
  done: readonly Ended[]
  cancel: readonly Grant[]
  close: readonly { readonly until: number; readonly of: Paused }[]
  spend: readonly { readonly key: number }[]
  learn: readonly { readonly left: number; readonly key: number; readonly at: number }[]
  backOff: boolean
  jumped: boolean
  /** After a loss: what is under way, and what ended and still counts; and who the nodes were. */
  carry: readonly (Ended | { readonly grant: Grant })[]
  members: readonly string[]
}

export function redisMeter(upstream: string, plan: MeterPlan, parts: MeterParts): SharedMeter {
  const { connection, channels, keys, node, clock, slack = SLACK, report, mixed } = parts
  const shortest = Math.min(...plan.limits.map(({ window }) => window))
  const hears = heardOf(plan.limits)
  const limits = plan.limits.map((limit) => ({ ...limit, synced: hears.has(limit) }))
  const form = formOf(plan.limits)
  const names = plan.names ?? Array.from({ length: plan.keys }, (_, index) => String(index))
  const hold = slack + (plan.timeout ?? TIMEOUT)
  const beat = Math.min(BEAT, hold / 4)
  const flushAfter = Math.min(HORIZON, shortest / 4)
  const constants = {
    limits,
    limitsForm: form,
    pace: plan.pace === true,
    keyCount: plan.keys,
    keyNames: names,
    presenceTtl: PRESENCE,
    joinDelay: JOINING,
    hold,
    slack,
    horizon: HORIZON,
    lastArrivals: LAST_ARRIVALS,
    longWindow: LONG,
    exhaustedFor: plan.spentFor ?? SPENT_FOR,
    lowerClassTurn: TURN_OF_THE_AGED,
    backOffFactor: BACK_OFF.keep,
    backOffFloor: BACK_OFF.least,
    backOffRecovery: BACK_OFF.creep,
    paceCatchUp: CATCHING_UP,
    laneSweep: SWEEP,
  }
  /** The limits that hold: also those of other versions, while there are some. */
  let holding: readonly MeterLimit[] = plan.limits
  let sharedForm = ''
  /** Silence after which all that was granted has died everywhere, and the others leave us our share. */
  const deaf = () => PRESENCE + Math.max(...holding.map(({ window }) => window)) + hold
  /** Beside a window so long there is no time left to be alone in, and no share to be left to anybody. */
  const own = deaf() < ALONE ? ALONE : 0

  let seq = 0
  let heard = 0
  let seen = 0
  let share = 0
  /** The nodes as of the last answer, and the number of that list. */
  let members: readonly string[] = []
  let roster = 0
  let rosterTold = 0
  let probing = false
  let lastId = 0
  /** Moments on the monotonic clock. */
  let heardAt = Number.NEGATIVE_INFINITY
  /** When the last request that was heard was asked, and the one before: Redis knows that we heard that one's answer. */
  let askedAt = Number.NEGATIVE_INFINITY
  let knownAt = Number.NEGATIVE_INFINITY
  let born = ''
  /** Redis knows more of the past than nodes can tell; and whether this node told all there is to know of the last loss. */
  let untold = true
  let whole = false
  /** Until when what rests does, as far as was heard. */
  const closed = new Map<Paused, number>()
  let spent: readonly number[] = []
  /** Redis's clock less ours, as far as the last answer told. */
  let offset: { readonly least: number; readonly most: number } | undefined
  const news = nothingNew()
  const running = new Map<number, { readonly grant: Grant; heldAt: number }>()
  /** Calls that are over, oldest first, for as long as they count in a window whose past is told. */
  const ended = new Set<Ended>()
  let alone: IsolatedMeter | undefined
  let rejoining = false
  /** Since when Redis could not be asked. */
  let awaySince: number | undefined
  let left = false
  let last: Promise<unknown> = Promise.resolve()
  let flushing: Timer | undefined
  let beating = clock.after(beat, onBeat)
  // Who comes waits until all know of it: the next beat would be late for that.
  const stopHearing = channels.listen(keys.arrivals(upstream), {
    hear(name) {
      if (name.toString() !== node) clock.after(0, sayHere)
    },
    joined() {},
  })

  const nextId = () => {
    lastId += 1
    return lastId
  }

  /** One request at a time: their numbers arrive in order, and each tells what came of the one before. */
  function exchange(wants: readonly Want[], carry: TakeRequest['replay'] = []): Promise<Grants> {
    const done = last.then(() => ask(wants, carry))
    last = done.catch(() => {})
    return done
  }

  async function ask(wants: readonly Want[], carry: TakeRequest['replay']): Promise<Grants> {
    seq += 1
    const number = seq
    const first = lastId + 1
    lastId += wants.length
    const sent = { ...news }
    const { jumped } = sent
    const asked = clock.monotonic()
    const kept = [...running.values()].filter(({ heldAt }) => asked - heldAt > hold / 2)
    const request: TakeRequest = {
      node,
      sequence: number,
      lastReply: heard,
      lastTime: seen,
      generation: born,
      membershipVersion: roster,
      share,
      leave: left,
      members: sent.members,
      complete: whole,
      pastUnknown: plan.pastUsage === 'unknown' || heard > 0,
      clockJumped: jumped,
      replay: [...carry, ...sent.carry.map((one) => pastOf(one, asked))],
      wants: wants.map(({ priority, cost, lane = '' }) => ({ rank: CLASSES.indexOf(priority), cost, lane })),
      firstId: first,
      ended: sent.done.map(({ grant, truth, at }) => [...placeOf(grant), truth, asked - at]),
      cancelled: sent.cancel.map(placeOf),
      extended: kept.map(({ grant }) => placeOf(grant)),
      pauses: sent.close.filter(({ until }) => until > asked).map(({ until, of }) => [until - asked, of]),
      exhausted: sent.spend.map(({ key }) => key),
      remaining: sent.learn.filter(({ at }) => probing || asked - at < NEWS).map(({ left, key }) => [left, key]),
      backOff: sent.backOff,
      isolationLimit: own,
      ...constants,
    }
    const args = [JSON.stringify(request), keys.arrivals(upstream)]
    const reply = await connection.run(TAKE, [keys.meter(upstream), keys.nodes(upstream)], args)
    const now = clock.monotonic()
    const told = JSON.parse(String(reply)) as TakeReply
    if (told.outdated) throw new Error(`${upstream}: Redis has seen a later request than number ${number} of ${node}`)

    news.done = without(news.done, sent.done)
    news.cancel = without(news.cancel, sent.cancel)
    news.close = without(news.close, sent.close)
    news.spend = without(news.spend, sent.spend)
    news.learn = without(news.learn, sent.learn)
    news.carry = without(news.carry, sent.carry)
    news.members = without(news.members, sent.members)
    if (sent.backOff) news.backOff = false
    if (jumped) news.jumped = false
    for (const one of kept) one.heldAt = asked
    heard = number
    seen = Number(told.now)
    heardAt = now
    const clocksAgree = !clockJumped(Number(told.now), asked, now)
    if (told.generation !== born) {
      whole = clocksAgree && !jumped && now - askedAt < JOINING - slack && !untold
      bornAnew(told.generation)
    }
    knownAt = askedAt
    askedAt = asked
    share = told.share
    rosterTold = request.membershipVersion
    roster = told.membershipVersion
    members = told.members === undefined ? members : listed(told.members)
    untold = told.unreplicated
    heedLimits(told.limits === undefined ? undefined : listed(told.limits))
    probing = told.probing
    awaySince = undefined
    // Who comes waits until all know of it.
    if (roster !== rosterTold) flushSoon(0)
    for (const [of, until] of closed) if (until <= now) closed.delete(of)
    for (const [duration, of] of listed(told.paused)) rest(of, asked + duration)
    spent = listed(told.exhausted)

    const granted = listed(told.granted).map((one) => grantOf(one, asked, now))
    if (!clocksAgree && !told.clockJumped) {
      // What the jump freed was not free: nothing of it may start, and nobody gets anything for a window.
      news.cancel = [...news.cancel, ...granted]
      news.jumped = true
      return { granted: [], wait: 1 }
    }
    const inTime = granted.filter((grant) => grant.expiresAt > grant.notBefore)
    news.cancel = [...news.cancel, ...granted.filter((grant) => !inTime.includes(grant))]
    for (const grant of inTime) running.set(grant.id, { grant, heldAt: now })
    const wait = inTime.length < granted.length ? 1 : told.wait
    return { granted: inTime, wait, ...(told.never === undefined ? {} : { never: told.never }) }
  }

  function heedLimits(others: readonly MeterLimit[] | undefined): void {
    const before = sharedForm
    sharedForm = others === undefined ? '' : formOf(others)
    holding = others ?? plan.limits
    if (others !== undefined && sharedForm !== before) mixed?.(upstream, others)
  }

  /** The windows know nothing of what they knew: what still holds is told again, at once. */
  function bornAnew(at: string): void {
    const first = born === ''
    born = at
    if (first) return
    news.carry = [...running.values(), ...ended]
    news.members = [...new Set([...news.members, ...members])]
    news.close = [...closed].map(([of, until]) => ({ until, of }))
    news.spend = [...new Set([...news.spend.map(({ key }) => key), ...spent])].map((key) => ({ key }))
    flushSoon(0)
  }

  function end(one: Ended): void {
    news.done = [...news.done, one]
    ended.add(one)
    for (const old of ended) {
      // Also for windows that only other nodes have.
      if (old.at + LONG >= one.at) break
      ended.delete(old)
    }
  }

  function rest(of: Paused, until: number): void {
    closed.set(of, Math.max(closed.get(of) ?? 0, until))
  }

  /** The upstream said so. */
  function heed(of: Paused, duration: number): void {
    const until = clock.monotonic() + duration
    rest(of, until)
    news.close = [...news.close, { until, of }]
    if (alone !== undefined) closeThat(alone, of, duration)
    flushSoon(0)
  }

  /** The moment of a grant lies between when it was asked and when it was told: opens late, closes early. */
  function grantOf([id, key, lane, cost, opensIn]: readonly [...Place, number], asked: number, now: number): Grant {
    return { id, key, lane, cost, notBefore: now + opensIn, expiresAt: asked + opensIn + slack }
  }

  function clockJumped(theirs: number, asked: number, now: number): boolean {
    const before = offset
    offset = { least: theirs - now, most: theirs - asked }
    return before !== undefined && (offset.least > before.most + slack || offset.most < before.least - slack)
  }

  /** Redis can not be reached: nothing starts until what was granted has died everywhere, then our own share. */
  function cutOff(wants: readonly Want[], error: unknown): Grants {
    report(error)
    const now = clock.monotonic()
    awaySince ??= now
    const from = heardAt + deaf()
    if (heard === 0 || own === 0)
      return { granted: [], wait: AGAIN, ...(now - awaySince < GIVEN_UP ? {} : { unavailable: true }) }
    if (now < from) return { granted: [], wait: Math.max(1, Math.min(AGAIN, from - now)) }
    alone = aloneWith({ ...plan, limits: holding }, share, clock)
    for (const [of, until] of closed) if (until > now) closeThat(alone, of, until - now)
    for (const key of [...spent, ...news.spend.map(({ key }) => key)]) alone.meter.exhaustKey(key)
    return takeAlone(alone, wants)
  }

  function takeAlone(from: IsolatedMeter, wants: readonly Want[]): Grants {
    // While it tells what it spent, and when the others no longer leave it a share.
    if (rejoining || clock.monotonic() >= knownAt + own) return { granted: [], wait: AGAIN }
    return from.take(wants, nextId)
  }

  /** Back again: what was spent alone goes into the shared windows before anything else is taken from them. */
  async function rejoin(from: IsolatedMeter): Promise<void> {
    await connection.command(keys.meter(upstream), ['PING'])
    rejoining = true
    try {
      await exchange([], from.spent())
      alone = undefined
      const now = clock.monotonic()
      for (const grant of from.running()) running.set(grant.id, { grant, heldAt: now })
      // Those that ended since they were counted: told again they change nothing.
      for (const one of from.ended()) end(one)
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
    if (clock.monotonic() - heardAt >= beat / 2) sayHere()
  }

  function sayHere(): void {
    if (heard > 0 && alone === undefined && !left) exchange([]).catch(() => {})
  }

  function flushSoon(after = flushAfter): void {
    if (flushing !== undefined || left || alone !== undefined) return
    flushing = clock.after(after, () => {
      flushing = undefined
      const { done, cancel, close, spend, carry, members, backOff, jumped } = news
      const lists = [done, cancel, close, spend, carry, members]
      const any = lists.some(({ length }) => length > 0) || backOff || jumped || roster !== rosterTold
      // What could not be told now is told with the next request or beat.
      if (any && heard > 0 && alone === undefined) exchange([]).catch(() => {})
    })
  }

  return {
    acquire(wants) {
      const large = wants.findIndex((want) => tooLarge(plan.limits, want))
      if (large === 0) return { granted: [], wait: undefined, never: 'too large' }
      const now = clock.monotonic()
      const closedUntil = closed.get(-1) ?? now
      if (closedUntil > now) return { granted: [], wait: closedUntil - now }
      const fitting = wants.slice(0, large === -1 ? MOST_WANTS : Math.min(large, MOST_WANTS))
      if (alone !== undefined) return takeAlone(alone, fitting)
      return exchange(fitting).catch((error) => (alone ? takeAlone(alone, fitting) : cutOff(fitting, error)))
    },

    release(grant, cost = grant.cost) {
      if (alone?.settle(grant, cost)) return
      running.delete(grant.id)
      end({ grant, truth: cost, at: clock.monotonic() })
      flushSoon()
    },

    cancel(grant) {
      if (alone?.cancel(grant)) return
      running.delete(grant.id)
      news.cancel = [...news.cancel, grant]
      flushSoon()
    },

    pause: (duration, key) => heed(key ?? -1, duration),
    pauseLane: (duration, lane) => heed(lane, duration),

    backOff() {
      news.backOff = true
      alone?.meter.backOff()
      flushSoon(0)
    },

    exhaustKey(key) {
      news.spend = [...news.spend, { key }]
      alone?.meter.exhaustKey(key)
      flushSoon(0)
    },

    syncRemaining(left, key) {
      news.learn = [...news.learn.filter((one) => one.key !== key), { left, key, at: clock.monotonic() }]
      alone?.meter.syncRemaining(left, key)
    },

    async leave() {
      if (left) return
      left = true
      beating.stop()
      stopHearing()
      flushing?.stop()
      if (heard > 0 && alone === undefined) await exchange([]).catch(() => {})
    },
  }
}

function closeThat({ meter }: IsolatedMeter, of: Paused, duration: number): void {
  if (typeof of === 'string') meter.pauseLane(duration, of)
  else meter.pause(duration, of < 0 ? undefined : of)
}

function placeOf({ id, key, lane, cost }: Grant): Place {
  return [id, key, lane, cost]
}

/** A call that is over holds its places by what it cost in truth, for what is left of a window. */
function pastOf(one: Ended | { readonly grant: Grant }, now: number): TakeRequest['replay'][number] {
  if (!('at' in one)) return [...placeOf(one.grant), -1]
  const { id, key, lane } = one.grant
  return [id, key, lane, one.truth, now - one.at]
}

/** What came while a request was under way stays for the next. */
function without<Item>(all: readonly Item[], told: readonly Item[]): readonly Item[] {
  if (told.length === 0) return all
  const known = new Set(told)
  return all.filter((one) => !known.has(one))
}

function listed<Item>(list: Listed<Item>): readonly Item[] {
  return Array.isArray(list) ? list : []
}

function nothingNew(): News {
  return {
    done: [],
    cancel: [],
    close: [],
    spend: [],
    learn: [],
    carry: [],
    members: [],
    backOff: false,
    jumped: false,
  }
}
