import type { Address, MaybeEncodedAccount, Signature } from '@solana/kit'
import type { TransactionError } from './transaction-error.ts'

/** How many transactions are kept; then the oldest go. */
const KEPT = 100_000

/** What became of a transaction. */
export interface Executed {
  readonly signature: Signature
  readonly slot: number
  /** Null when it did what it should. */
  readonly error: TransactionError | null
  readonly logs: readonly string[]
  readonly units: bigint
  /** What programs called in turn, by the instruction that began it. */
  readonly inner: readonly InnerInstructions[]
}

export interface InnerInstructions {
  readonly index: number
  readonly instructions: readonly CalledInstruction[]
}

/** An instruction of a message, its program and accounts by their places among the message's accounts. */
export interface CalledInstruction {
  readonly program: number
  readonly accounts: readonly number[]
  readonly data: Uint8Array
  /** How deep it was called; undefined for one of the message itself. */
  readonly height: number | undefined
}

/** A transaction that was executed, whether it failed or not. */
export interface Processed extends Executed {
  /** Its place among all that were executed. */
  readonly place: number
  /** Bytes as they came. */
  readonly wire: Uint8Array
  /** All accounts it names, before and after: the message's own, then those of lookup tables, writable ones first. */
  readonly before: readonly MaybeEncodedAccount[]
  readonly after: readonly MaybeEncodedAccount[]
}

/** The transactions of a chain by signature and by the accounts they name, also those that they only mention. */
export class History {
  readonly #kept: number
  /** From the oldest to the newest. */
  readonly #all = new Map<Signature, Processed>()
  #added = 0
  readonly #byAddress = new Map<Address, Processed[]>()

  constructor(kept = KEPT) {
    this.#kept = kept
  }

  /** Keeps what was executed just now. */
  add(executed: Omit<Processed, 'place'>): Processed {
    const processed = { ...executed, place: this.#added++ }
    this.#all.set(processed.signature, processed)
    for (const { address } of processed.before) {
      const known = this.#byAddress.get(address)
      if (known === undefined) this.#byAddress.set(address, [processed])
      else known.push(processed)
    }
    const [oldest] = this.#all.values()
    if (this.#all.size > this.#kept && oldest !== undefined) this.#forget(oldest)
    return processed
  }

  get(signature: Signature): Processed | undefined {
    return this.#all.get(signature)
  }

  /** Those that name an account, from the oldest to the newest. */
  naming(address: Address): readonly Processed[] {
    return this.#byAddress.get(address) ?? []
  }

  get size(): number {
    return this.#all.size
  }

  /** The oldest of all is the oldest of each account it names. */
  #forget(oldest: Processed): void {
    this.#all.delete(oldest.signature)
    for (const { address } of oldest.before) {
      const known = this.#byAddress.get(address)
      known?.shift()
      if (known?.length === 0) this.#byAddress.delete(address)
    }
  }
}
