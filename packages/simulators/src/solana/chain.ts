import { createPublicKey, verify } from 'node:crypto'
import {
  type Address,
  type Blockhash,
  getBase58Decoder,
  getBase58Encoder,
  getCompiledTransactionMessageDecoder,
  getSignatureFromTransaction,
  type MaybeEncodedAccount,
  type Signature,
  type Transaction,
  lamports as toLamports,
  signature as toSignature,
} from '@solana/kit'
import { FailedTransactionMetadata, LiteSVM } from 'litesvm'
import { readFailure, type TransactionError } from './transaction-error.ts'

export type Commitment = 'processed' | 'confirmed' | 'finalized'

/** How many slots the view of a commitment lies behind the newest. */
export const DEPTH: Readonly<Record<Commitment, number>> = { processed: 0, confirmed: 2, finalized: 32 }

/** The first slot: high enough that nothing that lies back goes below zero. */
const FIRST_SLOT = 10_000
/** How many slots a past state is kept: what a node that lies behind is asked for. */
const KEPT = 1_024
/** How many slots a blockhash is good for. */
export const BLOCKHASH_AGE = 150

/** What became of a transaction. */
export interface Executed {
  readonly signature: Signature
  readonly slot: number
  /** Null when it did what it should. */
  readonly error: TransactionError | null
  readonly logs: readonly string[]
  readonly units: bigint
}

/** An account that a transaction has changed. */
export interface Change {
  readonly slot: number
  readonly address: Address
}

interface Past {
  readonly slot: number
  /** What the account was before that slot's change. */
  readonly before: MaybeEncodedAccount
}

/**
 * A chain of one node: LiteSVM executes, and this adds what it lacks: slots that pass with time, blockhashes that age,
 * and the past, without which there is no commitment. There are no forks, so what is processed is never undone.
 */
export class Chain {
  readonly #slotTime: number
  #openedAt: number
  #svm = openSvm()
  #slot = FIRST_SLOT
  #hashes = new Map<number, Blockhash>()
  /** Accounts as they are now: all that ever changed. LiteSVM itself needs more than a second to list 3,000. */
  #now = new Map<Address, MaybeEncodedAccount>()
  /** By program, the accounts that ever were its own. */
  #owned = new Map<Address, Set<Address>>()
  #past = new Map<Address, Past[]>()
  #executed = new Map<Signature, Executed>()
  #changed: (changes: readonly Change[]) => void = () => {}
  #passed: (slot: number) => void = () => {}

  /** `slotTime` in milliseconds; `at` is now, by the monotonic clock. */
  constructor(slotTime: number, at: number) {
    this.#slotTime = slotTime
    this.#openedAt = at
    this.reset(at)
  }

  /** An empty chain that begins now. */
  reset(at: number): void {
    this.#openedAt = at
    this.#svm = openSvm()
    this.#slot = FIRST_SLOT
    this.#svm.warpToSlot(BigInt(FIRST_SLOT))
    this.#hashes = new Map([[FIRST_SLOT, this.#svm.latestBlockhash()]])
    this.#now = new Map()
    this.#owned = new Map()
    this.#past = new Map()
    this.#executed = new Map()
  }

  /** Who is told of changes, as they happen, and of each slot that begins. One listener each. */
  listen(changed: (changes: readonly Change[]) => void, passed: (slot: number) => void): void {
    this.#changed = changed
    this.#passed = passed
  }

  /** The newest slot. */
  get slot(): number {
    return this.#slot
  }

  /** Lets the slots pass that are over at this time. */
  advance(at: number): void {
    const now = FIRST_SLOT + Math.floor((at - this.#openedAt) / this.#slotTime)
    // After a long sleep only the last slots are gone through: what lies further back is kept by nobody.
    this.#slot = Math.max(this.#slot, now - KEPT)
    while (this.#slot < now) {
      this.#slot += 1
      this.#svm.expireBlockhash()
      this.#hashes.set(this.#slot, this.#svm.latestBlockhash())
      const [oldest] = this.#hashes.keys()
      if (this.#hashes.size > KEPT && oldest !== undefined) this.#hashes.delete(oldest)
      this.#svm.warpToSlot(BigInt(this.#slot))
      this.#passed(this.#slot)
    }
  }

  /** The account as it was at the end of a slot. */
  account(address: Address, slot = this.#slot): MaybeEncodedAccount {
    const later = this.#past.get(address)?.find((past) => past.slot > slot)
    return later?.before ?? this.#now.get(address) ?? this.#read(address)
  }

  /** All accounts that a program owned at the end of a slot. */
  owned(program: Address, slot = this.#slot): readonly (MaybeEncodedAccount & { exists: true })[] {
    return [...this.#listOwned(program)]
      .map((address) => this.account(address, slot))
      .filter((account) => account.exists)
      .filter((account) => account.programAddress === program)
  }

  /** Lamports that make an account of so many bytes exempt from rent. */
  rent(bytes: number): bigint {
    return this.#svm.minimumBalanceForRentExemption(BigInt(bytes))
  }

  /** The blockhash of a slot, or the oldest there is. */
  blockhash(slot: number): Blockhash {
    const [oldest] = this.#hashes.values()
    return this.#hashes.get(slot) ?? oldest ?? this.#svm.latestBlockhash()
  }

  /** What became of a transaction; undefined when it was never executed. */
  executed(signature: Signature): Executed | undefined {
    return this.#executed.get(signature)
  }

  /** What would become of a transaction. */
  simulate(transaction: Transaction): Executed {
    const refused = this.#refuse(transaction)
    if (refused !== undefined) return refused
    return this.#outcome(transaction, this.#svm.simulateTransaction(transaction))
  }

  /** Executes a transaction. One that fails has paid its fee; one that no validator would take leaves no trace. */
  send(transaction: Transaction): Executed {
    const refused = this.#refuse(transaction)
    if (refused !== undefined) return refused
    const { staticAccounts } = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes)
    const executed = this.#outcome(
      transaction,
      this.#changing(staticAccounts, () => this.#svm.sendTransaction(transaction)),
    )
    if (executed.error === null || typeof executed.error === 'object') this.#executed.set(executed.signature, executed)
    return executed
  }

  /** Lamports out of nothing; the signature of the transaction that gave them, or undefined when there are not so many. */
  airdrop(to: Address, lamports: bigint): Signature | undefined {
    const airdrop = this.#changing([to], () => this.#svm.airdrop(to, toLamports(lamports)))
    if (airdrop === null || airdrop instanceof FailedTransactionMetadata) return undefined
    const signature = toSignature(getBase58Decoder().decode(airdrop.signature()))
    const units = airdrop.computeUnitsConsumed()
    this.#executed.set(signature, { signature, slot: this.#slot, error: null, logs: airdrop.logs(), units })
    return signature
  }

  /** What a program has owned; asked for the first time, this is what LiteSVM was born with, and what is there by now. */
  #listOwned(program: Address): Set<Address> {
    const known = this.#owned.get(program)
    if (known !== undefined) return known
    const born = this.#svm.getProgramAccounts(program).map(({ address }) => address)
    const touched = [...this.#past].filter(([, past]) => past.some(({ before }) => isOwned(before, program)))
    const owned = new Set([...born, ...touched.map(([address]) => address)])
    this.#owned.set(program, owned)
    return owned
  }

  #read(address: Address): MaybeEncodedAccount {
    const account = this.#svm.getAccount(address)
    // Closed in this slot: the runtime forgets an account without lamports when the slot ends.
    return account.exists && account.lamports === 0n ? { address, exists: false } : account
  }

  /**
   * The checks a validator makes before it executes. LiteSVM knows one blockhash only, and it ends the
   * process where it can't read a transaction: none comes to it that its signer did not make.
   */
  #refuse(transaction: Transaction): Executed | undefined {
    const signature = getSignatureFromTransaction(transaction)
    const message = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes)
    const refused = (error: string) => ({ signature, slot: this.#slot, error, logs: [], units: 0n })
    if (!isSigned(transaction)) return refused('SignatureFailure')
    if (this.#executed.has(signature)) return refused('AlreadyProcessed')
    const born = 'lifetimeToken' in message ? this.#born(message.lifetimeToken) : undefined
    return born === undefined || this.#slot - born > BLOCKHASH_AGE ? refused('BlockhashNotFound') : undefined
  }

  #born(hash: string | undefined): number | undefined {
    for (const [slot, known] of this.#hashes) if (known === hash) return slot
    return undefined
  }

  #outcome(transaction: Transaction, result: ReturnType<LiteSVM['sendTransaction' | 'simulateTransaction']>): Executed {
    const meta = 'meta' in result ? result.meta() : result
    return {
      signature: getSignatureFromTransaction(transaction),
      slot: this.#slot,
      error: result instanceof FailedTransactionMetadata ? readFailure(String(result)) : null,
      logs: meta.logs(),
      units: meta.computeUnitsConsumed(),
    }
  }

  /** Does something to accounts; keeps what they were, and tells which have changed. */
  #changing<Result>(addresses: readonly Address[], action: () => Result): Result {
    const before = addresses.map((address) => this.#now.get(address) ?? this.#read(address))
    const result = action()
    const changed = before.filter((account) => !same(account, this.#read(account.address)))
    for (const account of changed) {
      const { address } = account
      const after = this.#read(address)
      this.#now.set(address, after)
      if (after.exists) this.#owned.get(after.programAddress)?.add(address)
      const past = this.#past.get(address) ?? []
      // The first change of a slot has what was at the end of the one before it; later ones of that slot add nothing.
      if (past.at(-1)?.slot === this.#slot) continue
      const kept = past.filter(({ slot }) => slot > this.#slot - KEPT)
      this.#past.set(address, [...kept, { slot: this.#slot, before: account }])
    }
    if (changed.length > 0) this.#changed(changed.map(({ address }) => ({ slot: this.#slot, address })))
    return result
  }
}

function openSvm(): LiteSVM {
  return new LiteSVM().withSigverify(false).withBlockhashCheck(false).withTransactionHistory(0n)
}

function isSigned({ messageBytes, signatures }: Transaction): boolean {
  return Object.entries(signatures).every(([signer, signature]) => {
    const x = Buffer.from(getBase58Encoder().encode(signer)).toString('base64url')
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    return signature !== null && verify(null, new Uint8Array(messageBytes), key, signature)
  })
}

function isOwned(account: MaybeEncodedAccount, program: Address): boolean {
  return account.exists && account.programAddress === program
}

function same(one: MaybeEncodedAccount, other: MaybeEncodedAccount): boolean {
  if (!one.exists || !other.exists) return one.exists === other.exists
  return (
    one.lamports === other.lamports &&
    one.programAddress === other.programAddress &&
    Buffer.compare(one.data, other.data) === 0
  )
}
