import type { Clock, Timer } from '../clock.ts'
import { type WeirError, withoutStack } from '../errors.ts'
import { stringifyJson } from '../json.ts'

/** How long a failure is shared with those who ask again, in milliseconds: brief, so that recovery shows at once. */
const KEPT = 1000

/** What one takes beside its words, in bytes. */
const BESIDE = 600

/** A failure that is still shared. It lies in the bound of memory of all that is kept. */
class Failure {
  readonly size: number
  readonly error: WeirError
  readonly until: number

  constructor(topic: string, error: WeirError, until: number) {
    // A stack would keep the call that failed, and all that it had in hand.
    this.error = withoutStack(error)
    this.until = until
    this.size = BESIDE + 2 * (topic.length + error.message.length + (stringifyJson({ ...this.error }) ?? '').length)
  }
}

/** Where failures lie: among the entries of feeds. */
export interface FailureShelf {
  peek(name: string): unknown
  set(name: string, failure: Failure): unknown
  delete(name: string): unknown
}

/** Failures that are shared with those who ask again, until they are over. */
export class Failures {
  readonly #shelf: FailureShelf
  /** When each is over, the first first. */
  readonly #ends = new Map<string, number>()
  #timer: Timer | undefined

  constructor(shelf: FailureShelf) {
    this.#shelf = shelf
  }

  /** How many are remembered. */
  get size(): number {
    return this.#ends.size
  }

  /** The failure of a topic, while it is shared. */
  of(topic: string, clock: Clock): WeirError | undefined {
    const known = this.#shelf.peek(nameOf(topic))
    return known instanceof Failure && known.until > clock.monotonic() ? known.error : undefined
  }

  add(topic: string, error: WeirError, clock: Clock): void {
    const until = clock.monotonic() + KEPT
    // Behind the others, for it ends after them.
    this.#ends.delete(topic)
    this.#ends.set(topic, until)
    this.#shelf.set(nameOf(topic), new Failure(topic, error, until))
    this.#timer ??= clock.after(KEPT, () => this.#sweep(clock))
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

/** No topic begins like this: all begin with a slash. */
function nameOf(topic: string): string {
  return `failure ${topic}`
}
