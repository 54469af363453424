import type { Clock } from '../clock.ts'
import type { Priority } from '../events.ts'
import type { Bulkhead } from './bulkhead.ts'
import { createQueue, type FairQueue, type Place } from './queue.ts'
import type { Start } from './start.ts'

/** A call that waits for leave to start. */
export interface Waiter {
  readonly start: Start
  readonly since: number
}

/** Where a waiter waits. It moves to another queue when it is parked, or when lanes are separated. */
export class Seat<W extends Waiter> {
  readonly waiter: W
  #queue: FairQueue<Seat<W>>
  #place: Place<Seat<W>>

  constructor(waiter: W, queue: FairQueue<Seat<W>>) {
    const { start, since } = waiter
    this.waiter = waiter
    this.#queue = queue
    this.#place = queue.add(this, start.priority, start.client, since)
  }

  get priority(): Priority {
    return this.#place.priority
  }

  raise(priority: Priority): void {
    this.#queue.raise(this.#place, priority)
  }

  /** False if it is not there any more. */
  leave(): boolean {
    return this.#queue.leave(this.#place)
  }

  moveTo(queue: FairQueue<Seat<W>>): void {
    if (this.leave()) this.#enter(queue)
  }

  /** Moves on as the next of its queue, so that the turn passes to the next client. */
  advanceTo(queue: FairQueue<Seat<W>>): void {
    this.#queue.start(this.#place)
    this.#enter(queue)
  }

  #enter(queue: FairQueue<Seat<W>>): void {
    const { priority, since } = this.#place
    this.#queue = queue
    this.#place = queue.add(this, priority, this.waiter.start.client, since)
  }
}

/** One round in this many is by how long lanes have waited: by class alone, some would wait for ever. */
const TURN_OF_THE_OLDEST = 8

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/**
 * The calls that wait, in one queue for each lane: what an upstream counts separately waits separately, so that a full lane holds up
 * no other. While no lane has a limit of its own, all wait in one queue.
 */
export class Lanes<W extends Waiter> {
  readonly #clock: Clock
  readonly #bulkhead: Bulkhead
  readonly #queues = new Map<string, FairQueue<Seat<W>>>()
  /** Those that may not start before others like them end. */
  readonly #parked = {
    known: createQueue<Seat<W>>(),
    unknown: createQueue<Seat<W>>(),
    hanging: createQueue<Seat<W>>(),
  }
  #separate: boolean
  #size = 0
  #cost = 0
  #odd = 0
  #rounds = 0

  constructor({ separate, bulkhead, clock }: { separate: boolean; bulkhead: Bulkhead; clock: Clock }) {
    this.#separate = separate
    this.#bulkhead = bulkhead
    this.#clock = clock
  }

  /** Whether each lane has a queue of its own. */
  get separate(): boolean {
    return this.#separate
  }

  get size(): number {
    return this.#size
  }

  /** Calls that are parked, and start only when others like them end. */
  get parked(): number {
    return this.#parked.unknown.size + this.#parked.hanging.size
  }

  get meanCost(): number {
    return this.#size === 0 ? 1 : this.#cost / this.#size
  }

  /** Whether all cost 1, so that a grant for one fits any other. */
  get uniform(): boolean {
    return this.#odd === 0
  }

  nameOf({ lane = '' }: Start): string {
    return this.#separate ? lane : ''
  }

  add(waiter: W): Seat<W> {
    this.#count(waiter.start, 1)
    return new Seat(waiter, this.#queueOf(waiter.start))
  }

  /** Removes one that waits no longer; false if it has left already. */
  leave(seat: Seat<W>): boolean {
    if (!seat.leave()) return false
    this.#count(seat.waiter.start, -1)
    return true
  }

  /** The best of a lane, if it costs this much. It is removed, and must start. */
  take(lane: string, cost: number): Seat<W> | undefined {
    const queue = this.#queues.get(lane)
    const place = queue === undefined ? undefined : this.#nextOf(queue)
    if (queue === undefined || place === undefined || place.item.waiter.start.cost !== cost) return undefined
    queue.start(place)
    this.#count(place.item.waiter.start, -1)
    return place.item
  }

  /**
   * The next of each lane, the best first.
   *
   * @param scheduled how many of a lane have a grant already
   */
  best(scheduled: (lane: string) => number): readonly Place<Seat<W>>[] {
    const places: Place<Seat<W>>[] = []
    for (const [name, queue] of this.#queues) {
      if (!this.#separate && queue.size <= scheduled(name)) continue
      const place = this.#nextOf(queue)
      if (place === undefined) {
        if (this.#separate) this.#queues.delete(name)
      } else if (queue.size > scheduled(name)) places.push(place)
    }
    if (places.length < 2) return places
    const oldest = this.#rounds % TURN_OF_THE_OLDEST === TURN_OF_THE_OLDEST - 1
    const rank = ({ priority }: Place<Seat<W>>) => (oldest ? 0 : CLASSES.indexOf(priority))
    return places.sort((a, b) => rank(a) - rank(b) || a.since - b.since)
  }

  /** Some started. */
  endRound(): void {
    this.#rounds += 1
  }

  /** Calls ahead of one that comes now. */
  ahead(start: Start): number {
    const alike = this.#parked[this.#bulkhead.compartmentOf(start)]
    return [this.#queueOf(start), alike].reduce((sum, queue) => sum + queue.ahead(start.priority, start.client), 0)
  }

  /** Whether none waits that one that comes now would have to wait for. */
  isClear(start: Start): boolean {
    return this.#queueOf(start).size === 0 && this.#parked[this.#bulkhead.compartmentOf(start)].size === 0
  }

  /** From now on each lane has a queue of its own. */
  separateLanes(): void {
    if (this.#separate) return
    this.#separate = true
    for (const seat of this.of('')) seat.moveTo(this.#queueOf(seat.waiter.start))
  }

  /** Moves back as many parked calls as there is room for. */
  unpark(): void {
    for (const compartment of ['unknown', 'hanging'] as const) {
      for (let room = this.#bulkhead.room(compartment); room > 0; room--) {
        const seat = this.#parked[compartment].best(this.#clock.monotonic())?.item
        if (seat === undefined) break
        seat.advanceTo(this.#queueOf(seat.waiter.start))
      }
    }
  }

  /** All that wait in a lane, in no order. */
  of(lane: string): readonly Seat<W>[] {
    return [...(this.#queues.get(lane) ?? [])]
  }

  all(): readonly Seat<W>[] {
    return [...this.#queues.values(), ...Object.values(this.#parked)].flatMap((queue) => [...queue])
  }

  /** The next of a queue that others like it leave room for. The others are parked. */
  #nextOf(queue: FairQueue<Seat<W>>): Place<Seat<W>> | undefined {
    for (;;) {
      const place = queue.best(this.#clock.monotonic())
      if (place === undefined) return undefined
      const compartment = this.#bulkhead.compartmentOf(place.item.waiter.start)
      if (this.#bulkhead.room(compartment) > 0) return place
      place.item.moveTo(this.#parked[compartment])
    }
  }

  #queueOf(start: Start): FairQueue<Seat<W>> {
    const name = this.nameOf(start)
    const known = this.#queues.get(name)
    if (known !== undefined) return known
    const queue = createQueue<Seat<W>>()
    this.#queues.set(name, queue)
    return queue
  }

  #count({ cost }: Start, by: 1 | -1): void {
    this.#size += by
    this.#cost += by * cost
    if (cost !== 1) this.#odd += by
  }
}
