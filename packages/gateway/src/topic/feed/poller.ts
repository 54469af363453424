import type { MaybePromise } from '../../call.ts'
import type { Clock, Timer } from '../../clock.ts'
import type { Emit } from '../../events.ts'

/** A watched value, and the state of its polls. Times in milliseconds, moments on the monotonic clock. */
export interface Polled {
  /** When it was last polled. */
  asked: number
  /** Whether a poll is under way. */
  asking: boolean
  /** When the last poll ended, here or on another node, with or without an answer. */
  ended: number
  /** How long its last answer took. */
  took: number
  /** The time between its last two polls. */
  gap: number
  /** How often an answer brings a change, from 0 to 1, of late. */
  changes: number
}

export interface PollerParts<Watched extends Polled> {
  readonly feed: string
  readonly clock: Clock
  readonly emit: Emit
  /** How often a watched value is polled when the budget allows it, in milliseconds. */
  readonly every: () => number
  /** The longest interval of a watched value, as far as the budget allows. */
  readonly maxInterval: () => number
  /** The most keys of a call. */
  readonly batch: number
  /** Takes the wanted calls a second, and returns how many of them the budget allows. */
  readonly allot: (wish: number) => number
  /** All that is watched; empty stops the poller until it is woken. */
  readonly watched: () => Iterable<Watched>
  /** Whether it is to be polled now. */
  readonly isDue: (watched: Watched) => boolean
  /** How many listeners it has. */
  readonly watchers: (watched: Watched) => number
  /** Of these, those that no other node polls; and topics of other nodes that this one polls for them. */
  readonly claim: (some: readonly Watched[]) => MaybePromise<readonly Watched[]>
  /** Polls one, and returns what came of it. The polls of a round begin together, to share calls. */
  readonly ask: (watched: Watched) => Promise<'failed' | 'same' | 'changed'>
  /** From 0 to 1, for the jitter. */
  readonly random?: () => number
}

export interface Poller<Watched extends Polled> {
  /** Begins, unless it already runs. */
  wake(): void
  /** Polls one now. */
  ask(watched: Watched): Promise<void>
  stop(): void
}

/** How much sooner or later a round may come, so that nodes and feeds don't poll in step. */
const JITTER = 0.05

/** The weight of the last answer in how often a value changes. */
const RECENT = 0.2

/** The least change rate of a value: one that has not changed lately may begin to. */
const LEAST_CHANGES = 0.1

/** More than the urgency of any value that is not overdue. */
const OVERDUE = 1e12

/** The state of a value that was never polled. */
const NEW: Polled = {
  asked: Number.NEGATIVE_INFINITY,
  asking: false,
  ended: Number.NEGATIVE_INFINITY,
  took: 0,
  gap: 0,
  changes: 1,
}

/** The state in which each begins. */
export function polled(): Polled {
  return { ...NEW }
}

/**
 * Polls watched values in rounds, each key again when its last answer is there: a slow key delays no other, and rounds
 * never pile up. When the budget allows fewer calls than are wanted, those that waited longest go first, weighted by their
 * listeners and by how often they change.
 */
export function createPoller<Watched extends Polled>(parts: PollerParts<Watched>): Poller<Watched> {
  const {
    feed,
    clock,
    emit,
    every,
    maxInterval,
    batch,
    allot,
    watched,
    isDue,
    watchers,
    claim,
    random = Math.random,
  } = parts
  let timer: Timer | undefined
  let stopped = false
  /** Allotted calls that were not used yet. */
  let credit = 0
  let lastRound = 0

  function round(): void {
    timer = undefined
    const now = clock.monotonic()
    const interval = every()
    const due: Watched[] = []
    let some = false
    let wishing = 0
    for (const one of watched()) {
      some = true
      if (!isDue(one)) continue
      wishing += 1
      // A value that was polled within half a round was first watched between two rounds.
      if (!one.asking && now - one.asked >= interval / 2) due.push(one)
    }
    if (!some) {
      allot(0)
      return
    }
    const wish = Math.ceil(wishing / batch) / (interval / 1000)
    const allotted = allot(wish)
    const chosen = allotted >= wish ? due : mostUrgent(due, calls(allotted, now, interval) * batch, now)
    lastRound = now
    void askOurs(chosen, now)
    plan()
  }

  /** How many calls this round has. The fraction of a call is saved for the next round. */
  function calls(allotted: number, now: number, interval: number): number {
    credit += allotted * (Math.min(now - lastRound, 2 * interval) / 1000)
    const whole = Math.floor(credit)
    credit -= whole
    return whole
  }

  function mostUrgent(due: readonly Watched[], most: number, now: number): readonly Watched[] {
    if (due.length <= most) return due
    const limit = maxInterval()
    return due
      .map((one) => ({ one, urgency: urgency(one, now - one.asked, limit) }))
      .sort((a, b) => b.urgency - a.urgency)
      .slice(0, most)
      .map(({ one }) => one)
  }

  /** Beyond `limit` they go first, and among themselves by how long they waited. */
  function urgency(one: Watched, waited: number, limit: number): number {
    if (waited >= limit) return OVERDUE + waited
    return waited * Math.sqrt(Math.max(1, watchers(one))) * Math.max(LEAST_CHANGES, one.changes)
  }

  async function askOurs(chosen: readonly Watched[], now: number): Promise<void> {
    try {
      const ours = claim(chosen)
      await ask(ours instanceof Promise ? await ours : ours, now)
    } catch (error) {
      emit({ type: 'failed', where: `poller of ${feed}`, error })
    }
  }

  async function ask(chosen: readonly Watched[], now: number): Promise<void> {
    if (chosen.length === 0) return
    const came = await Promise.all(chosen.map(one))
    const failed = came.filter((came) => came === 'failed').length
    emit({ type: 'poller.round', feed, keys: chosen.length, failed, took: clock.monotonic() - now })
  }

  async function one(watched: Watched): Promise<'failed' | 'same' | 'changed'> {
    const now = clock.monotonic()
    const { ended } = watched
    watched.asked = now
    watched.asking = true
    try {
      const came = await parts.ask(watched)
      if (came === 'failed') return came
      // A slow failure is no reason to expect the next answer later.
      watched.took = clock.monotonic() - now
      if (ended !== Number.NEGATIVE_INFINITY) watched.gap = now - ended
      watched.changes += ((came === 'changed' ? 1 : 0) - watched.changes) * RECENT
      return came
    } catch (error) {
      emit({ type: 'failed', where: `poller of ${feed}`, error })
      return 'failed'
    } finally {
      watched.asking = false
      watched.ended = clock.monotonic()
    }
  }

  function plan(): void {
    if (stopped || timer !== undefined) return
    timer = clock.after(every() * (1 + JITTER * (2 * random() - 1)), round)
  }

  return {
    wake() {
      if (timer === undefined) lastRound = clock.monotonic()
      plan()
    },
    async ask(watched) {
      await one(watched)
    },
    stop() {
      stopped = true
      timer?.stop()
    },
  }
}
