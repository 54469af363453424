import type { Fields } from './fields.ts'
import type { Received } from './received.ts'

/** Maximum stored answers per address; the oldest is dropped. */
const MAX_VARIANTS = 32

/** The stored answers of one address: one for each way in which requests differ, newest first. Immutable. */
export class Variants {
  readonly all: readonly Received[]
  /** Bytes of memory. */
  readonly size: number

  constructor(address: string, all: readonly Received[]) {
    this.all = all
    this.size = 200 + 2 * address.length + all.reduce((sum, { size }) => sum + size, 0)
  }

  /** The newest answer that fits this request. */
  find(asked: Fields): Received | undefined {
    return this.all.find((variant) => variant.matches(asked))
  }
}

/** Replaces the answers that this request selects with `received`. */
export function replaced(
  variants: Variants | undefined,
  address: string,
  asked: Fields,
  received: Received | undefined,
): Variants | undefined {
  const others = variants?.all.filter((variant) => !variant.matches(asked)) ?? []
  const all = received === undefined ? others : [received, ...others].slice(0, MAX_VARIANTS)
  return all.length === 0 ? undefined : new Variants(address, all)
}
