import type { Clock, Timer } from '../clock.ts'
import { type WeirError, withoutStack } from '../errors.ts'
import { stringifyJson } from '../json.ts'

/** How long a failure is reused for later callers, in milliseconds. Brief, so that a recovery shows immediately. */
const LIFETIME = 1000

/** Bytes of a stored failure without its text. */
const OVERHEAD = 600

/** A stored failure. It counts towards the memory limit of cached entries. */
class Failure {
  readonly size: number
  readonly error: WeirError
  readonly until: number

  constructor(topic: string, error: WeirError, until: number) {
    // A stack would keep the failed call and all its data in memory.
    this.error = withoutStack(error)
    this.until = until
    this.size = OVERHEAD + 2 * (topic.length + error.message.length + (stringifyJson({ ...this.error }) ?? '').length)
  }
}

/** The store of failures, shared with the entries of feeds. */
export interface FailureShelf {
  peek(name: string): unknown
  set(name: string, failure: Failure): unknown
  delete(name: string): unknown
}

/** Failures that are reused for later callers until they expire. */
export class Failures {
  readonly #shelf: FailureShelf
  /** When each expires, in order. */
  readonly #ends = new Map<string, number>()
  #timer: Timer | undefined

  constructor(shelf: FailureShelf) {
    this.#shelf = shelf
  }

  /** The number of stored failures. */
  get size(): number {
    return this.#ends.size
  }

  /** The failure of a topic, until it expires. */
  of(topic: string, clock: Clock): WeirError | undefined {
    const known = this.#shelf.peek(nameOf(topic))
    return known instanceof Failure && known.until > clock.monotonic() ? known.error : undefined
  }

  add(topic: string, error: WeirError, clock: Clock): void {
    const until = clock.monotonic() + LIFETIME
    // Move it to the end: it expires last.
    this.#ends.delete(topic)
    this.#ends.set(topic, until)
    this.#shelf.set(nameOf(topic), new Failure(topic, error, until))
    this.#timer ??= clock.after(LIFETIME, () => this.#sweep(clock))
  }

  delete(topic: string): void {
    if (this.#ends.delete(topic)) this.#shelf.delete(nameOf(topic))
  }

  #sweep(clock: Clock): void {
    this.#timer = undefined
    for (const [topic, until] of this.#ends) {
      const left = until - clock.monotonic()
      if (left > 0) {
        this.#timer = clock.after(left, () => this.#sweep(clock))
        return
      }
      this.delete(topic)
    }
  }
}

/** The key of a failure. No topic begins like this: they all begin with a slash. */
function nameOf(topic: string): string {
  return `failure ${topic}`
}
