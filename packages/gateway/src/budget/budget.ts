import { type Grant, type Grants, type Meter, type MeterPlan, SPENT_FOR, type Want } from '../backend/ports.ts'
import type { RequestHistory, Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Emit, Priority } from '../events.ts'
import { type RateLimitReader, type RateLimitSignal, readRateLimitHeaders } from '../rate-limit-signal.ts'
import { createBulkhead } from './bulkhead.ts'
import { createCapacity } from './capacity.ts'
import { createQueue, type FairQueue, type Place } from './queue.ts'

export interface BudgetParts {
  readonly upstream: string
  readonly meter: Meter
  readonly plan: MeterPlan
  readonly clock: Clock
  readonly emit: Emit
  /** Calls under way at once. */
  readonly concurrency: number
  /** The API keys, by the index that grants name; empty when there are none. */
  readonly keys: readonly string[]
  /** The longest that the network may hold a call up, in milliseconds; 2,000 by default. */
  readonly stall?: number
  /** Reads what the upstream's answers say of its limits; by default status and headers. */
  readonly rateLimits?: RateLimitReader | undefined
}

/** Something that wants to start within the budget. */
export interface Start {
  readonly priority: Priority
  readonly client: string
  readonly cost: number
  readonly lane?: string
  /** Bounds what it may hold together with others; by default nothing does. */
  readonly history?: RequestHistory
  /** Moment on the monotonic clock. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  /** Calls back when it becomes more urgent; the answer stops that. */
  readonly onRaise?: (listener: (priority: Priority) => void) => () => void
}

/** Leave to start, to be given back when the call is over. */
export interface Started {
  /** The index of the API key to use. */
  readonly key: number
  /** Calls of its caller hang: it is to share no call with others. */
  readonly alone: boolean
  /** The call is over. `cost`: what it cost in truth; `arrived` false: no answer came, and it may still be on its way. */
  end(outcome?: { readonly cost?: number; readonly arrived?: boolean }): void
  /** Applies what an answer said of the limits. */
  apply(signal: RateLimitSignal): void
}

/** The stage that says when a call may start, and what waits. */
export interface Budget {
  readonly stage: Stage<UpstreamRequest, Promise<UpstreamAnswer>>
  /**
   * Waits for leave to start.
   *
   * @throws WeirError `over_budget` when there will be none before the deadline, `upstream_quota_exhausted` when there never will be
   */
  enter(start: Start): Promise<Started>
  /** Calls that wait. */
  readonly queued: number
  /** Calls under way. */
  readonly running: number
  /** Calls a second that can start in the long run, at the answer times and costs of late. */
  readonly rate: number
}

interface Waiter {
  readonly start: Start
  admit(grant: Grant): void
  fail(error: unknown): void
  /** It would not start before its deadline. */
  refuse(): void
  /** Goes to the queue of its lane. */
  move(): void
  /** Waits until others like it end, and keeps none waiting meanwhile. */
  park(): void
}

/** How long a call may travel, in milliseconds, beside being held up. One that we gave up arrives all the same. */
const STILL_ARRIVING = 250
const STALL = 2000

/**
 * The longest that a call may be on its way, in milliseconds: so long its places are held where nobody can say what came of it, as when
 * its node or what nodes share stands still.
 *
 * @param timeout after which it is given up
 * @param stall as of `BudgetParts`
 */
export function longestCall(timeout: number, stall: number): number {
  return Math.max(timeout, stall) + STILL_ARRIVING
}

/** How soon a meter that could not be asked is asked again, in milliseconds. */
const UNREACHABLE = 100

/** Starts that are asked for at once: one question to a shared meter then does for several. */
const AT_ONCE = 16

/** How much the last answer's time counts in the running mean. */
const RECENT = 0.1

/** One of so many times lanes are asked for by how long they wait alone: by class alone, some would wait for ever. */
const TURN_OF_THE_OLDEST = 8

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/**
 * Starts a call only when the meter has a place for it: better classes first, clients in turn. Nobody holds a place in the
 * future, so an urgent call that comes late still goes first.
 */
export function createBudget(parts: BudgetParts): Budget {
  const {
    upstream,
    meter,
    plan,
    clock,
    emit,
    concurrency,
    keys,
    stall = STALL,
    rateLimits = readRateLimitHeaders,
  } = parts
  // What an upstream counts apart waits apart: a full lane must not hold up the others.
  const lanes = new Map<string, FairQueue<Waiter>>()
  let apart = plan.limits.some(({ lane }) => lane !== undefined)
  const byAccount = plan.limits.some(({ by }) => by === 'account')
  // Grants whose moment has not come, by lane: for each of them one waiter needs no other.
  const promised = new Map<string, number>()
  let promises = 0
  const shortest = plan.limits.length === 0 ? 0 : Math.min(...plan.limits.map(({ window }) => window))
  let running = 0
  let queued = 0
  let queuedCost = 0
  let rounds = 0
  /** Those that wait and cost more or less than most: a grant for one of them fits no other. */
  let odd = 0
  let timer: Timer | undefined
  let pumping = false
  let again = false
  let answerTime = 0
  /** Until when each key is not to be used: for ever when it is used up. Other nodes may know more. */
  const shutUntil = keys.map(() => Number.NEGATIVE_INFINITY)
  /** Before this moment on the monotonic clock nothing starts, as far as is known. */
  let opensAt = 0
  /** The same, of lanes that were closed alone. */
  const lanesOpenAt = new Map<string, number>()
  const capacity = createCapacity(plan, concurrency)
  const bulkhead = createBulkhead(concurrency, clock, () => answerTime)
  /** Those that may not start before others like them end. */
  const parked = { known: createQueue<Waiter>(), unknown: createQueue<Waiter>(), hanging: createQueue<Waiter>() }

  function laneOf({ lane = '' }: Start): string {
    return apart ? lane : ''
  }

  function queueOf(start: Start): FairQueue<Waiter> {
    const name = laneOf(start)
    const known = lanes.get(name)
    if (known !== undefined) return known
    const queue = createQueue<Waiter>()
    lanes.set(name, queue)
    return queue
  }

  /** The next that others like it leave room for. */
  function nextOf(queue: FairQueue<Waiter>): Place<Waiter> | undefined {
    for (;;) {
      const place = queue.best(clock.monotonic())
      if (place === undefined || bulkhead.room(bulkhead.compartmentOf(place.item.start)) > 0) return place
      place.item.park()
    }
  }

  function unpark(): void {
    for (const compartment of ['unknown', 'hanging'] as const) {
      for (let room = bulkhead.room(compartment); room > 0; room--)
        parked[compartment].best(clock.monotonic())?.item.move()
    }
  }

  /** The next of each lane, the best first. */
  function best(): readonly Place<Waiter>[] {
    if (!apart) {
      const queue = lanes.get('')
      const place = queue !== undefined && queue.size > promises ? nextOf(queue) : undefined
      return place === undefined ? [] : [place]
    }
    const places: Place<Waiter>[] = []
    for (const [name, queue] of lanes) {
      const place = nextOf(queue)
      if (place === undefined) lanes.delete(name)
      else if (queue.size > (promised.get(name) ?? 0)) places.push(place)
    }
    const oldest = rounds % TURN_OF_THE_OLDEST === TURN_OF_THE_OLDEST - 1
    const rank = ({ priority }: Place<Waiter>) => (oldest ? 0 : CLASSES.indexOf(priority))
    return places.sort((a, b) => rank(a) - rank(b) || a.since - b.since)
  }

  /**
   * One at a time: two would ask for the same waiter, and start more than there are connections. What happens meanwhile,
   * such as the end of a call, may change the answer, so it is asked once more.
   */
  async function pump(): Promise<void> {
    again = true
    if (pumping) return
    pumping = true
    try {
      while (again) {
        again = false
        await startWaiting()
      }
    } finally {
      pumping = false
    }
  }

  async function startWaiting(): Promise<void> {
    unpark()
    for (let places = best(); places.length > 0 && running + promises < concurrency; places = best()) {
      let started = false
      let wait: number | undefined
      // A lane that is held up holds up no other, also where there is room for fewer calls than lanes wait.
      for (let asked = 0; asked < places.length && !started; ) {
        const wants = wantsOf(places.slice(asked))
        const taken = meter.acquire(wants)
        const answer = taken instanceof Promise ? await taken.catch(unreachable) : taken
        for (const grant of answer.granted) promise(grant)
        if (answer.never === 'exhausted')
          return failAll(new WeirError('upstream_quota_exhausted', `${upstream}: every key is used up`))
        if (answer.unavailable === true) return failAll(unshared(answer.wait))
        started = answer.granted.length > 0
        wait = least(wait, answer.wait)
        asked += wants.length
      }
      if (started) {
        rounds += 1
        continue
      }
      // Where only the end of a call can tell, its place comes free a window later.
      opensAt = clock.monotonic() + (wait ?? shortest)
      if (wait !== undefined && refusedInVain(places)) continue
      timer?.stop()
      // Without a moment to wait for, the end of a running call pumps again.
      timer = wait === undefined ? undefined : clock.after(Math.max(1, wait), pumpSoon)
      return
    }
  }

  /** No queue helps while the limits can't be shared; the next call finds out whether that is over. */
  function unshared(wait = 0): WeirError {
    const detail = `${upstream}: the servers can not reach what they share its limits by, and this one may not call without it`
    return new WeirError('backend_unavailable', detail, { retryAfter: Math.max(1000, wait) })
  }

  /** Who can't start before the deadline is told now, and not when it is over. */
  function refusedInVain([first]: readonly Place<Waiter>[]): boolean {
    if (first === undefined || first.item.start.deadline > opensAt) return false
    first.item.refuse()
    return true
  }

  function wantsOf(places: readonly Place<Waiter>[]): readonly Want[] {
    const room = concurrency - running - promises
    const wants = places
      .slice(0, room)
      .map(({ priority, item: { start } }) => ({ priority, cost: start.cost, lane: laneOf(start) }))
    const [first] = wants
    if (apart || odd > 0 || first === undefined) return wants
    const most = Math.min(AT_ONCE, queued - parked.unknown.size - parked.hanging.size - promises, room)
    return Array.from({ length: Math.max(1, most) }, () => first)
  }

  /** Those who wait go on waiting: the meter may be there again before their deadlines, which hold in any case. */
  function unreachable(error: unknown): Grants {
    emit({ type: 'failed', where: `meter of ${upstream}`, error })
    return { granted: [], wait: UNREACHABLE }
  }

  /** Hands a grant over when its moment has come. */
  function promise(grant: Grant): void {
    if (grant.notBefore <= clock.monotonic()) {
      hand(grant)
      return
    }
    const { lane } = grant
    promises += 1
    promised.set(lane, (promised.get(lane) ?? 0) + 1)
    const come = () => {
      // Timers fire early by up to a millisecond.
      const early = grant.notBefore - clock.monotonic()
      if (early > 0) {
        clock.after(early, come)
        return
      }
      promises -= 1
      const left = (promised.get(lane) ?? 1) - 1
      if (left === 0) promised.delete(lane)
      else promised.set(lane, left)
      hand(grant)
    }
    clock.after(grant.notBefore - clock.monotonic(), come)
  }

  /** Whoever is best at that moment gets it: the one who asked may have left while a shared meter was answering. */
  function hand(grant: Grant): void {
    const queue = lanes.get(grant.lane)
    const place = queue === undefined ? undefined : nextOf(queue)
    if (
      queue === undefined ||
      place === undefined ||
      place.item.start.cost !== grant.cost ||
      clock.monotonic() > grant.expiresAt
    ) {
      meter.cancel(grant)
      pumpSoon()
      return
    }
    queue.start(place)
    queued -= 1
    queuedCost -= place.item.start.cost
    place.item.admit(grant)
  }

  function failAll(error: WeirError): void {
    for (const queue of [...lanes.values(), ...Object.values(parked)]) {
      for (const waiter of [...queue]) waiter.fail(error)
    }
  }

  function pumpSoon(): void {
    pump().catch((error) => emit({ type: 'failed', where: `budget of ${upstream}`, error }))
  }

  /** Milliseconds in which so many calls of a lane can start, at the answer times and costs of late. */
  function lasting(calls: number, lane: string): number {
    return capacity.lasting(calls, lane, meanCost(), answerTime)
  }

  function meanCost(): number {
    return queued === 0 ? 1 : queuedCost / queued
  }

  /** Milliseconds until one that comes now would start, as things stand. */
  function expected(start: Start): number {
    const queue = queueOf(start)
    const alike = parked[bulkhead.compartmentOf(start)]
    const closed = Math.max(0, (lanesOpenAt.get(laneOf(start)) ?? 0) - clock.monotonic())
    if (queue.size === 0 && alike.size === 0) return closed
    // Which lane it is that opens then is not known.
    const shut = apart ? closed : Math.max(0, opensAt - clock.monotonic())
    const ahead = queue.ahead(start.priority, start.client) + alike.ahead(start.priority, start.client)
    return shut + lasting(ahead, laneOf(start))
  }

  function refuse(priority: Priority, retryAfter: number, why: string): WeirError {
    emit({ type: 'budget.refused', upstream, priority, retryAfter })
    const detail = `${upstream}: ${why} (next in ${Math.round(retryAfter)} ms, ${queued} queued)`
    return new WeirError('over_budget', detail, { retryAfter })
  }

  /** It says nothing of the upstream that no answer came sooner than answers do. */
  function startedTooLate(start: Start, left: number): WeirError {
    const detail = `${upstream}: expected to start ${Math.round(answerTime)} ms before the deadline, got ${Math.round(left)} ms`
    return new WeirError('over_budget', detail, { retryAfter: Math.max(1000, expected(start)) })
  }

  function enter(start: Start): Promise<Started> {
    start.signal?.throwIfAborted()
    const most = capacity.largest(laneOf(start))
    if (start.cost > most) {
      const detail = `${upstream}: expected a cost of at most ${most}, got ${start.cost}`
      return Promise.reject(new WeirError('over_budget', detail))
    }
    const since = clock.monotonic()
    const wait = expected(start)
    if (start.deadline <= since || since + wait > start.deadline) {
      const patience = Math.max(0, Math.round(start.deadline - since))
      return Promise.reject(refuse(start.priority, Math.max(1, wait), `no capacity within ${patience} ms`))
    }
    return new Promise((resolve, reject) => {
      let queue = queueOf(start)
      const waiter: Waiter = {
        start,
        admit(grant) {
          done()
          running += 1
          emit({ type: 'budget.started', upstream, waited: clock.monotonic() - since, priority: place.priority })
          resolve(begun(grant, start))
        },
        fail(error) {
          if (!queue.leave(place)) return
          queued -= 1
          queuedCost -= start.cost
          done()
          reject(error)
        },
        refuse() {
          const patience = Math.max(0, Math.round(start.deadline - clock.monotonic()))
          waiter.fail(refuse(place.priority, expected(start), `no capacity within ${patience} ms`))
        },
        move() {
          if (!queue.leave(place)) return
          queue = queueOf(start)
          place = queue.add(waiter, place.priority, start.client, place.since)
        },
        park() {
          if (!queue.leave(place)) return
          queue = parked[bulkhead.compartmentOf(start)]
          place = queue.add(waiter, place.priority, start.client, place.since)
        },
      }
      const late = clock.after(start.deadline - since, () => {
        const waited = Math.round(clock.monotonic() - since)
        waiter.fail(refuse(place.priority, Math.max(1000, expected(start)), `no capacity after a wait of ${waited} ms`))
        // The one behind it may cost less, or be of another lane.
        pumpSoon()
      })
      const aborted = () => waiter.fail(start.signal?.reason)
      start.signal?.addEventListener('abort', aborted)
      const deaf = start.onRaise?.((priority) => queue.raise(place, priority))
      const done = () => {
        if (start.cost !== 1) odd -= 1
        late.stop()
        deaf?.()
        start.signal?.removeEventListener('abort', aborted)
      }
      let place = queue.add(waiter, start.priority, start.client, since)
      queued += 1
      queuedCost += start.cost
      if (start.cost !== 1) odd += 1
      pumpSoon()
    })
  }

  /** The upstream counts this lane apart, whatever was declared: from now on it waits apart, and no other for it. */
  function closeLane(lane: string, rest: number): void {
    if (!apart) {
      apart = true
      for (const waiter of [...(lanes.get('') ?? [])]) waiter.move()
    }
    const opens = Math.max(lanesOpenAt.get(lane) ?? 0, clock.monotonic() + rest)
    lanesOpenAt.set(lane, opens)
    for (const waiter of [...(lanes.get(lane) ?? [])]) if (waiter.start.deadline <= opens) waiter.refuse()
    meter.pauseLane(rest, lane)
    emit({ type: 'budget.closed', upstream, for: rest, reason: `the upstream refused ${lane}` })
    pumpSoon()
  }

  function begun(grant: Grant, start: Start): Started {
    const { lane } = start
    const at = clock.monotonic()
    const berth = bulkhead.enter(start)
    return {
      key: grant.key,
      alone: berth.hangs,
      end({ cost, arrived = true } = {}) {
        running -= 1
        if (arrived) {
          answerTime += (clock.monotonic() - at - answerTime) * (answerTime === 0 ? 1 : RECENT)
          berth.answered()
          meter.release(grant, cost)
        } else {
          berth.failed()
          // It may arrive later than a call that starts one window from now, and then both would be in one window. What was
          // held up since it started has arrived by then: who waited for longer than that loses nothing.
          const held = Math.max(0, at + stall - clock.monotonic())
          clock.after(held + STILL_ARRIVING, () => {
            berth.gone()
            meter.release(grant, cost)
            pumpSoon()
          })
        }
        pumpSoon()
      },
      apply({ remaining, exhausted, pause, ofLane }) {
        if (remaining !== undefined) meter.syncRemaining(remaining, grant.key)
        if (exhausted) {
          meter.exhaustKey(grant.key)
          const { spentFor = SPENT_FOR } = plan
          shutUntil[grant.key] = clock.monotonic() + spentFor
          emit({ type: 'budget.closed', upstream, for: spentFor, reason: `key ${grant.key + 1} is used up` })
        }
        if (pause === undefined) return
        if (ofLane && lane !== undefined) {
          closeLane(lane, pause)
          return
        }
        const rested = clock.monotonic() + pause
        shutUntil.forEach((until, key) => {
          if (byAccount || key === grant.key) shutUntil[key] = Math.max(until, rested)
        })
        meter.pause(pause, keys.length > 1 && !byAccount ? grant.key : undefined)
        meter.backOff()
        emit({ type: 'budget.closed', upstream, for: pause, reason: 'the upstream refused a call' })
      },
    }
  }

  return {
    enter,

    stage: (next) => async (request) => {
      const { priority, client, cost, lane, deadline, signal, urgency, history } = request
      const start: Start = {
        priority: urgency?.priority ?? priority,
        client,
        cost,
        deadline,
        signal,
        ...(lane === undefined ? {} : { lane }),
        ...(history === undefined ? {} : { history }),
        ...(urgency === undefined ? {} : { onRaise: (listener) => urgency.onRaise(listener) }),
      }
      const started = await enter(start)
      const left = deadline - clock.monotonic()
      let answer: UpstreamAnswer | undefined
      try {
        answer = await next({ ...request, apiKey: keys[started.key], ...(started.alone && { alone: true }) })
        const signal = rateLimits(answer, clock.now())
        started.apply(signal)
        const otherKey = isOfItsKey(answer, signal) && shutUntil.some((until) => until <= clock.monotonic())
        return { ...answer, ...restOf(signal), ...(otherKey ? { otherKey } : {}) }
      } catch (thrown) {
        throw isTimeout(thrown) && left < answerTime ? startedTooLate(start, left) : thrown
      } finally {
        const truth = answer === undefined ? undefined : request.costOf?.(answer)
        const end = () =>
          started.end({ arrived: answer !== undefined, ...(truth === undefined ? {} : { cost: truth }) })
        // A stream holds its connection, and so its places, until its last byte.
        if (answer?.stream === undefined) end()
        else void answer.stream.over.then(end)
      }
    },

    get queued() {
      return queued
    },
    get running() {
      return running
    },
    get rate() {
      return capacity.rate(meanCost(), answerTime)
    },
  }
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other)
}

function isTimeout(thrown: unknown): boolean {
  return thrown instanceof WeirError && thrown.code === 'upstream_timeout'
}

/** Whether a call was refused for the key it came with, and not for what it was: it was not carried out. */
function isOfItsKey({ status }: UpstreamAnswer, { exhausted, pause, ofLane }: RateLimitSignal): boolean {
  return status < 500 && (exhausted === true || (pause !== undefined && !ofLane))
}

/** How long an answer asks to wait, as the stages above the budget read it. */
function restOf({ pause, retryAfter }: RateLimitSignal): Pick<UpstreamAnswer, 'rest' | 'ofOperation'> {
  if (pause !== undefined) return { rest: pause }
  return retryAfter === undefined ? {} : { rest: retryAfter, ofOperation: true }
}
