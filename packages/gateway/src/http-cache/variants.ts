import type { Fields } from './fields.ts'
import type { Received } from './received.ts'

/** Answers of one address that are kept beside each other, at most; the oldest goes. */
const MOST = 32

/** What is kept of one address: an answer for each way in which requests for it differ, the newest first. Never changed. */
export class Variants {
  readonly all: readonly Received[]
  /** Bytes of memory. */
  readonly size: number

  constructor(address: string, all: readonly Received[]) {
    this.all = all
    this.size = 200 + 2 * address.length + all.reduce((sum, { size }) => sum + size, 0)
  }

  /** The newest answer that this request may be given. */
  find(asked: Fields): Received | undefined {
    return this.all.find((one) => one.matches(asked))
  }
}

/** The answers there are, without those that this request selects, and with `received` in their place. */
export function replaced(
  variants: Variants | undefined,
  address: string,
  asked: Fields,
  received: Received | undefined,
): Variants | undefined {
  const others = variants?.all.filter((one) => !one.matches(asked)) ?? []
  const all = received === undefined ? others : [received, ...others].slice(0, MOST)
  return all.length === 0 ? undefined : new Variants(address, all)
}
