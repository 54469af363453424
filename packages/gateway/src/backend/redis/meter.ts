import type { MaybePromise } from '../../call.ts'
import type { Clock, Timer } from '../../clock.ts'
import type { Remaining } from '../../rate-limit-signal.ts'
import { remainingOf, tooLarge } from '../memory/meters.ts'
import type { Grant, Grants, Meter, MeterLimit, MeterPlan, Want } from '../ports.ts'
import type { RedisConnection } from './connection.ts'
import { type IsolatedMeter, isolatedMeter } from './isolated-meter.ts'
import type { Keys } from './keys.ts'
import { type EndedCall, MeterCalls } from './meter-calls.ts'
import { isUrgent, noReports } from './meter-reports.ts'
import { MeterSession, MOST_WANTS } from './meter-session.ts'
import type { MeterState } from './meter-state.ts'
import { expiryOf, type MeterTiming, RETRY, timingOf, UNAVAILABLE_AFTER } from './meter-timing.ts'
import type { RedisChannels } from './pubsub.ts'
import type { Paused, TakeRequest } from './take.ts'

export interface MeterParts {
  readonly connection: RedisConnection
  readonly channels: RedisChannels
  readonly keys: Keys
  /** This node: a name that no other process has, nor had before. */
  readonly node: string
  readonly clock: Clock
  /** Milliseconds; nodes that share a meter have the same. */
  readonly slack?: number | undefined
  readonly report: (error: unknown) => void
  /** Called when nodes begin to share an upstream with different limits, with the limits that hold then. */
  readonly mixed?: ((upstream: string, limits: readonly MeterLimit[]) => void) | undefined
}

/** A meter that all nodes share. */
export interface SharedMeter extends Meter {
  /** Tells the others that this node starts nothing any more. */
  leave(): Promise<void>
}

/** All keys, as something that is paused. */
const ALL_KEYS = -1

/** A meter in Redis. `MeterState` has the states that it goes through. */
export class RedisMeter implements SharedMeter {
  readonly #upstream: string
  readonly #plan: MeterPlan
  readonly #parts: MeterParts
  readonly #timing: MeterTiming
  readonly #session: MeterSession
  readonly #reports = noReports()
  readonly #calls = new MeterCalls()
  readonly #stopListening: () => void
  #state: MeterState = { is: 'joining' }
  #flushing: Timer | undefined
  #beating: Timer

  constructor(upstream: string, plan: MeterPlan, parts: MeterParts) {
    this.#upstream = upstream
    this.#plan = plan
    this.#parts = parts
    this.#timing = timingOf(plan, parts.slack)
    this.#session = new MeterSession({
      ...parts,
      upstream,
      plan,
      timing: this.#timing,
      reports: this.#reports,
      calls: this.#calls,
      urgent: () => this.#flushSoon(0),
    })
    this.#beating = parts.clock.after(this.#timing.beat, () => this.#beat())
    // A new node waits until all others know it. The next beat would be late for that.
    this.#stopListening = parts.channels.listen(parts.keys.arrivals(upstream), {
      hear: (name) => {
        if (name.toString() !== parts.node) parts.clock.after(0, () => this.#showPresence())
      },
      joined() {},
    })
  }

  acquire(wants: readonly Want[]): MaybePromise<Grants> {
    const large = wants.findIndex((want) => tooLarge(this.#plan.limits, want))
    if (large === 0) return { granted: [], wait: undefined, never: 'too large' }
    const now = this.#parts.clock.monotonic()
    const pausedUntil = this.#session.paused.get(ALL_KEYS) ?? now
    if (pausedUntil > now) return { granted: [], wait: pausedUntil - now }
    const fitting = wants.slice(0, large === -1 ? MOST_WANTS : Math.min(large, MOST_WANTS))
    const isolated = this.#isolated
    if (isolated !== undefined) return this.#acquireAlone(isolated, fitting)
    return this.#exchange(fitting).catch((error) => this.#onFailure(fitting, error))
  }

  release(grant: Grant, cost = grant.cost): void {
    if (this.#isolated?.settle(grant, cost)) return
    this.#end({ grant, cost, at: this.#parts.clock.monotonic() })
    this.#flushSoon()
  }

  cancel(grant: Grant): void {
    if (this.#isolated?.cancel(grant)) return
    this.#calls.drop(grant)
    this.#reports.cancelled = [...this.#reports.cancelled, grant]
    this.#flushSoon()
  }

  pause(duration: number, key: number | undefined): void {
    this.#pause(key ?? ALL_KEYS, duration)
  }

  pauseLane(duration: number, lane: string): void {
    this.#pause(lane, duration)
  }

  backOff(): void {
    this.#reports.backOff = true
    this.#isolated?.meter.backOff()
    this.#flushSoon(0)
  }

  exhaustKey(key: number): void {
    this.#reports.exhausted = [...this.#reports.exhausted, { key }]
    this.#isolated?.meter.exhaustKey(key)
    this.#flushSoon(0)
  }

  syncRemaining(remaining: Remaining, key: number): void {
    const others = this.#reports.remaining.filter((one) => one.key !== key)
    const at = this.#parts.clock.monotonic()
    this.#reports.remaining = [...others, { ...remainingOf(this.#plan.limits, remaining), key, at }]
    this.#isolated?.meter.syncRemaining(remaining, key)
  }

  async leave(): Promise<void> {
    if (this.#state.is === 'left') return
    const known = this.#canReport
    this.#state = { is: 'left' }
    this.#session.leaving = true
    this.#beating.stop()
    this.#stopListening()
    this.#flushing?.stop()
    if (known) await this.#exchange([]).catch(() => {})
  }

  /** The meter of the node's own share, while it has one. */
  get #isolated(): IsolatedMeter | undefined {
    return 'meter' in this.#state ? this.#state.meter : undefined
  }

  get #canReport(): boolean {
    return this.#state.is === 'joined' || this.#state.is === 'cut off'
  }

  async #exchange(wants: readonly Want[], replay?: TakeRequest['replay']): Promise<Grants> {
    const grants = await this.#session.exchange(wants, replay)
    if (this.#state.is === 'joining' || this.#state.is === 'cut off') this.#state = { is: 'joined' }
    return grants
  }

  /** Redis can't be reached: nothing starts until everything granted has expired on all nodes, then the own share. */
  #onFailure(wants: readonly Want[], error: unknown): Grants {
    const isolated = this.#isolated
    if (isolated !== undefined) return this.#acquireAlone(isolated, wants)
    this.#parts.report(error)
    const now = this.#parts.clock.monotonic()
    const failingSince = ('failingSince' in this.#state ? this.#state.failingSince : undefined) ?? now
    if (this.#state.is === 'joining') this.#state = { is: 'joining', failingSince }
    else if (this.#state.is === 'joined') this.#state = { is: 'cut off', failingSince }
    if (this.#state.is !== 'cut off' || this.#timing.isolationLimit === 0) {
      return { granted: [], wait: RETRY, ...(now - failingSince < UNAVAILABLE_AFTER ? {} : { unavailable: true }) }
    }
    const expired = this.#session.repliedAt + expiryOf(this.#session.limits, this.#timing.hold)
    if (now < expired) return { granted: [], wait: Math.max(1, Math.min(RETRY, expired - now)) }
    const meter = this.#isolatedMeter(now)
    this.#state = { is: 'isolated', meter }
    return this.#acquireAlone(meter, wants)
  }

  /** A meter of the own share that knows what is paused and which keys are used up. */
  #isolatedMeter(now: number): IsolatedMeter {
    const { limits, share, paused, exhausted } = this.#session
    const isolated = isolatedMeter({ ...this.#plan, limits }, share, this.#parts.clock)
    for (const [of, until] of paused) if (until > now) pauseIn(isolated, of, until - now)
    for (const { key } of [...exhausted, ...this.#reports.exhausted]) isolated.meter.exhaustKey(key)
    return isolated
  }

  #acquireAlone(meter: IsolatedMeter, wants: readonly Want[]): Grants {
    const shareIsOver = this.#parts.clock.monotonic() >= this.#session.knownAt + this.#timing.isolationLimit
    if (this.#state.is === 'rejoining' || shareIsOver) return { granted: [], wait: RETRY }
    return meter.take(wants, () => this.#session.nextId())
  }

  /** Redis is back: what was spent alone goes into the shared windows before anything else is taken from them. */
  async #rejoin(): Promise<void> {
    await this.#parts.connection.command(this.#parts.keys.meter(this.#upstream), ['PING'])
    if (this.#state.is !== 'isolated') return
    const { meter } = this.#state
    this.#state = { is: 'rejoining', meter }
    try {
      await this.#exchange([], meter.spent())
    } catch {
      this.#endRejoining({ is: 'isolated', meter })
      return
    }
    this.#endRejoining({ is: 'joined' })
    const now = this.#parts.clock.monotonic()
    for (const grant of meter.running()) this.#calls.start(grant, now)
    // Those that ended after they were reported above. Reporting the others again changes nothing.
    for (const call of meter.ended()) this.#end(call)
  }

  /** Leaving is final, even while the node rejoins. */
  #endRejoining(state: MeterState): void {
    if (this.#state.is === 'rejoining') this.#state = state
  }

  #end(call: EndedCall): void {
    this.#reports.ended = [...this.#reports.ended, call]
    this.#calls.end(call)
  }

  #beat(): void {
    const { clock } = this.#parts
    this.#beating = clock.after(this.#timing.beat, () => this.#beat())
    if (this.#state.is === 'isolated') this.#rejoin().catch(() => {})
    // Also when nothing is wanted: a silent node counts as cut off, and is left its share.
    else if (clock.monotonic() - this.#session.repliedAt >= this.#timing.beat / 2) this.#showPresence()
  }

  #showPresence(): void {
    if (this.#canReport) this.#exchange([]).catch(() => {})
  }

  /** Reports soon what there is to report. What can't be reported then goes with the next request. */
  #flushSoon(after = this.#timing.flushAfter): void {
    if (this.#flushing !== undefined || this.#state.is === 'left' || this.#isolated !== undefined) return
    this.#flushing = this.#parts.clock.after(after, () => {
      this.#flushing = undefined
      const due = isUrgent(this.#reports) || this.#session.mustConfirm
      if (due && this.#canReport) this.#exchange([]).catch(() => {})
    })
  }

  /** The upstream asked for a pause. */
  #pause(of: Paused, duration: number): void {
    const until = this.#parts.clock.monotonic() + duration
    this.#session.pause(of, until)
    this.#reports.pauses = [...this.#reports.pauses, { until, of }]
    if (this.#isolated !== undefined) pauseIn(this.#isolated, of, duration)
    this.#flushSoon(0)
  }
}

function pauseIn({ meter }: IsolatedMeter, of: Paused, duration: number): void {
  if (typeof of === 'string') meter.pauseLane(duration, of)
  else meter.pause(duration, of === ALL_KEYS ? undefined : of)
}
