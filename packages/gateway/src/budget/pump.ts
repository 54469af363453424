import type { Grants, Meter, MeterPlan, Want } from '../backend/ports.ts'
import type { Clock, Timer } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Gates } from './gates.ts'
import type { Lanes, Seat, Waiter } from './lanes.ts'
import type { Place } from './queue.ts'
import type { Schedule } from './schedule.ts'

/** How soon a meter that can't be reached is asked again, in milliseconds. */
const UNREACHABLE = 100

/** Starts that are asked for at once: one request to a shared meter then serves several. */
const AT_ONCE = 16

/** A call that the pump can refuse. */
interface Refusable extends Waiter {
  fail(error: unknown): void
  /** It can't start before its deadline. */
  refuse(): void
}

export interface PumpParts {
  readonly upstream: string
  readonly meter: Meter
  readonly plan: MeterPlan
  readonly clock: Clock
  readonly emit: Emit
  readonly concurrency: number
  readonly lanes: Lanes<Refusable>
  readonly running: { readonly size: number }
  readonly schedule: Schedule
  readonly gates: Gates
}

/** Asks the meter for grants while calls wait, and asks again when it said so. */
export class Pump {
  readonly #parts: PumpParts
  /** The shortest window, in milliseconds. */
  readonly #shortest: number
  #timer: Timer | undefined
  #busy = false
  #again = false

  constructor(parts: PumpParts) {
    const { limits } = parts.plan
    this.#parts = parts
    this.#shortest = limits.length === 0 ? 0 : Math.min(...limits.map(({ window }) => window))
  }

  soon(): void {
    const { upstream, emit } = this.#parts
    this.#run().catch((error) => emit({ type: 'failed', where: `budget of ${upstream}`, error }))
  }

  /**
   * One run at a time: two would ask for the same call, and start more than there are connections. What happens during a run, such as the
   * end of a call, may change the answer, so it asks once more.
   */
  async #run(): Promise<void> {
    this.#again = true
    if (this.#busy) return
    this.#busy = true
    try {
      while (this.#again) {
        this.#again = false
        await this.#startWaiting()
      }
    } finally {
      this.#busy = false
    }
  }

  async #startWaiting(): Promise<void> {
    const { clock, lanes, gates } = this.#parts
    lanes.unpark()
    for (let places = this.#best(); places.length > 0 && this.#room > 0; places = this.#best()) {
      const outcome = await this.#ask(places)
      if (outcome.over) return
      if (outcome.started) {
        lanes.endRound()
        continue
      }
      const { wait } = outcome
      // If only the end of a call can free a place, it comes free a window later.
      gates.opensAt = clock.monotonic() + (wait ?? this.#shortest)
      if (wait !== undefined && this.#refuseFirst(places)) continue
      this.#timer?.stop()
      // Without a moment to wait for, the end of a running call starts the next run.
      this.#timer = wait === undefined ? undefined : clock.after(Math.max(1, wait), () => this.soon())
      return
    }
  }

  /** Asks for all lanes, some at a time: one that is held up holds up no other, even if there is room for fewer calls than lanes. */
  async #ask(places: readonly Place<Seat<Refusable>>[]): Promise<Outcome> {
    const { upstream, meter, schedule } = this.#parts
    let wait: number | undefined
    for (let asked = 0; asked < places.length; ) {
      const wants = this.#wants(places.slice(asked))
      const taken = meter.acquire(wants)
      const answer = taken instanceof Promise ? await taken.catch((error) => this.#unreachable(error)) : taken
      for (const grant of answer.granted) schedule.add(grant)
      if (answer.never === 'exhausted')
        return this.#failAll(new WeirError('upstream_quota_exhausted', `${upstream}: every key is used up`))
      if (answer.unavailable === true) return this.#failAll(this.#unshared(answer.wait))
      wait = least(wait, answer.wait)
      if (answer.granted.length > 0) return { started: true }
      asked += wants.length
    }
    return { started: false, wait }
  }

  get #room(): number {
    const { concurrency, running, schedule } = this.#parts
    return concurrency - running.size - schedule.size
  }

  #best(): readonly Place<Seat<Refusable>>[] {
    const { lanes, schedule } = this.#parts
    return lanes.best((lane) => schedule.of(lane))
  }

  #wants(places: readonly Place<Seat<Refusable>>[]): readonly Want[] {
    const { lanes, schedule } = this.#parts
    const room = this.#room
    const wants = places.slice(0, room).map(({ priority, item: { waiter } }) => {
      const { start } = waiter
      return { priority, cost: start.cost, lane: lanes.nameOf(start) }
    })
    const [first] = wants
    if (lanes.separate || !lanes.uniform || first === undefined) return wants
    const most = Math.min(AT_ONCE, lanes.size - lanes.parked - schedule.size, room)
    return Array.from({ length: Math.max(1, most) }, () => first)
  }

  /** A call that can't start before its deadline is refused now, and not when the deadline is over. */
  #refuseFirst([first]: readonly Place<Seat<Refusable>>[]): boolean {
    if (first === undefined || first.item.waiter.start.deadline > this.#parts.gates.opensAt) return false
    first.item.waiter.refuse()
    return true
  }

  /** The calls go on waiting: the meter may be back before their deadlines, which hold in any case. */
  #unreachable(error: unknown): Grants {
    const { upstream, emit } = this.#parts
    emit({ type: 'failed', where: `meter of ${upstream}`, error })
    return { granted: [], wait: UNREACHABLE }
  }

  /** No queue helps while the limits can't be shared. The next call finds out whether that is over. */
  #unshared(wait = 0): WeirError {
    const { upstream } = this.#parts
    const detail = `${upstream}: the backend that shares its limits between servers can't be reached, and this server has no share of its own`
    return new WeirError('backend_unavailable', detail, { retryAfter: Math.max(1000, wait) })
  }

  #failAll(error: WeirError): Outcome {
    for (const { waiter } of this.#parts.lanes.all()) waiter.fail(error)
    return { over: true }
  }
}

interface Outcome {
  /** Nothing waits any more. */
  readonly over?: boolean
  readonly started?: boolean
  /** Milliseconds until it is worth asking again. */
  readonly wait?: number | undefined
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other)
}
