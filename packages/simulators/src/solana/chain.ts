import { verify } from 'node:crypto'
import {
  type Address,
  type Blockhash,
  type EncodedAccount,
  getBase58Decoder,
  getTransactionEncoder,
  isAddress,
  type MaybeEncodedAccount,
  type Signature,
  type Transaction,
  lamports as toLamports,
  signature as toSignature,
} from '@solana/kit'
import { FailedTransactionMetadata, LiteSVM, type TransactionMetadata } from 'litesvm'
import type { Clock } from '../clock.ts'
import { type Executed, History, type InnerInstructions, type Processed } from './history.ts'
import { toVerifier } from './keys.ts'
import { isWritable, type Message, readMessage, readTable } from './message.ts'
import { readFailure } from './transaction-error.ts'

export type Commitment = 'processed' | 'confirmed' | 'finalized'

/** How many slots the view of a commitment lies behind the newest. */
export const DEPTH: Readonly<Record<Commitment, number>> = { processed: 0, confirmed: 2, finalized: 32 }

/** The first slot: high enough that nothing that lies back goes below zero. */
const FIRST_SLOT = 10_000
/** How many slots a past state is kept: what a node that lies behind is asked for. */
const KEPT = 1_024
/** How many slots a blockhash is good for. */
export const BLOCKHASH_AGE = 150

/** Accounts that change without a transaction. */
const SYSVARS = 'Sysvar1111111111111111111111111111111111111'

/** An account that a transaction has changed. */
export interface Change {
  readonly slot: number
  readonly address: Address
}

/** What is looked at before a transaction is executed. */
export interface Checks {
  /** Whether its signers have signed it. */
  readonly signed: boolean
  /** Whether its blockhash is young enough. */
  readonly aged: boolean
}

const ALL_CHECKS: Checks = { signed: true, aged: true }

/** Who is told what happens on a chain, as it happens. */
export interface ChainListener {
  changed(changes: readonly Change[]): void
  /** A slot has begun. */
  passed(): void
  processed(processed: Processed): void
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
  readonly #clock: Clock
  #openedAt = 0
  /** When the first slot began, milliseconds since 1970. */
  #bornAt = 0
  #svm = openSvm()
  #slot = FIRST_SLOT
  #hashes = new Map<number, Blockhash>()
  /** Accounts as they are now: all that transactions named. LiteSVM itself needs more than a second to list 3,000. */
  #now = new Map<Address, MaybeEncodedAccount>()
  /** By program, the accounts that ever were its own. */
  #owned = new Map<Address, Set<Address>>()
  #past = new Map<Address, Past[]>()
  #history = new History()
  #airdrops = new Map<Signature, Executed>()
  #listener: ChainListener | undefined
  readonly #beginnings: (() => void)[] = []

  /** `slotTime` in milliseconds. */
  constructor(slotTime: number, clock: Clock) {
    this.#slotTime = slotTime
    this.#clock = clock
    this.reset()
  }

  /** An empty chain that begins now. */
  reset(): void {
    this.#openedAt = this.#clock.monotonic()
    this.#bornAt = this.#clock.wall()
    this.#svm = openSvm()
    this.#slot = FIRST_SLOT
    this.#svm.warpToSlot(BigInt(FIRST_SLOT))
    this.#hashes = new Map([[FIRST_SLOT, this.#svm.latestBlockhash()]])
    this.#now = new Map()
    this.#owned = new Map()
    this.#past = new Map()
    this.#history = new History()
    this.#airdrops = new Map()
    for (const beginning of this.#beginnings) beginning()
  }

  /** Puts things on the chain now, and again whenever it is reset. */
  begin(beginning: () => void): void {
    this.#beginnings.push(beginning)
    beginning()
  }

  /** One listener. */
  listen(listener: ChainListener): void {
    this.#listener = listener
  }

  /** What was executed, without the airdrops. */
  get history(): Pick<History, 'naming' | 'get' | 'size'> {
    return this.#history
  }

  /** The newest slot. */
  get slot(): number {
    return this.#slot
  }

  /** When a slot began, in whole seconds since 1970. */
  blockTime(slot: number): number {
    return Math.floor((this.#bornAt + (slot - FIRST_SLOT) * this.#slotTime) / 1_000)
  }

  /** Lets the slots pass that are over by now. */
  advance(): void {
    const now = FIRST_SLOT + Math.floor((this.#clock.monotonic() - this.#openedAt) / this.#slotTime)
    // After a long sleep only the last slots are gone through: what lies further back is kept by nobody.
    this.#slot = Math.max(this.#slot, now - KEPT)
    while (this.#slot < now) {
      this.#slot += 1
      this.#svm.expireBlockhash()
      this.#hashes.set(this.#slot, this.#svm.latestBlockhash())
      const [oldest] = this.#hashes.keys()
      if (this.#hashes.size > KEPT && oldest !== undefined) this.#hashes.delete(oldest)
      this.#svm.warpToSlot(BigInt(this.#slot))
      this.#listener?.passed()
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

  /** What became of a transaction; undefined when it was never executed, or is forgotten. */
  executed(signature: Signature): Executed | undefined {
    return this.#history.get(signature) ?? this.#airdrops.get(signature)
  }

  /** What would become of a transaction. */
  simulate(transaction: Transaction, checks = ALL_CHECKS): Executed {
    const signature = readSignature(transaction)
    const refusal = this.#refusal(transaction, readMessage(transaction.messageBytes), signature, checks)
    if (refusal !== undefined) return this.#refused(signature, refusal)
    return this.#outcome(signature, this.#svm.simulateTransaction(transaction))
  }

  /** Executes a transaction. One that fails has paid its fee; one that no validator would take leaves no trace. */
  send(transaction: Transaction): Executed {
    const signature = readSignature(transaction)
    const message = readMessage(transaction.messageBytes)
    const refusal = this.#refusal(transaction, message, signature)
    if (message === undefined || refusal !== undefined) return this.#refused(signature, refusal)
    const { addresses, writable } = this.#resolve(message)
    const { result, before, after } = this.#changing(addresses, writable, () => this.#svm.sendTransaction(transaction))
    const executed = this.#outcome(signature, result)
    const isUntouched = before.every((account, place) => account === after[place])
    if (executed.error !== null && isUntouched) return executed
    const wire = new Uint8Array(getTransactionEncoder().encode(transaction))
    this.#listener?.processed(this.#history.add({ ...executed, wire, before, after }))
    return executed
  }

  /** Lamports out of nothing; the signature of the transaction that gave them, or undefined when there are not so many. */
  airdrop(to: Address, lamports: bigint): Signature | undefined {
    const { result } = this.#changing([to], [true], () => this.#svm.airdrop(to, toLamports(lamports)))
    if (result === null || result instanceof FailedTransactionMetadata) return undefined
    const signature = toSignature(getBase58Decoder().decode(result.signature()))
    this.#airdrops.set(signature, this.#outcome(signature, result))
    return signature
  }

  /** Puts an account there, whatever was there: for what stands at an address of which nobody has the key. */
  put(account: EncodedAccount): void {
    this.#changing([account.address], [true], () => this.#svm.setAccount(account))
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

  /** An account as it is now, read once: a program's has many bytes, and nearly every transaction names one. */
  #current(address: Address): MaybeEncodedAccount {
    const known = this.#now.get(address)
    if (known !== undefined) return known
    const read = this.#read(address)
    if (!isOwned(read, SYSVARS)) this.#now.set(address, read)
    return read
  }

  /** The checks a validator makes before it executes; LiteSVM knows one blockhash only. */
  #refusal(
    transaction: Transaction,
    message: Message | undefined,
    signature: Signature,
    { signed, aged }: Checks = ALL_CHECKS,
  ): string | undefined {
    if (message === undefined) return 'SanitizeFailure'
    if (signed && !isSigned(transaction)) return 'SignatureFailure'
    if (this.executed(signature) !== undefined) return 'AlreadyProcessed'
    if (!aged) return undefined
    const born = this.#born(message.blockhash)
    return born === undefined || this.#slot - born > BLOCKHASH_AGE ? 'BlockhashNotFound' : undefined
  }

  #refused(signature: Signature, error = 'SanitizeFailure'): Executed {
    return { signature, slot: this.#slot, error, logs: [], units: 0n, inner: [] }
  }

  #born(hash: string): number | undefined {
    for (const [slot, known] of this.#hashes) if (known === hash) return slot
    return undefined
  }

  /** All accounts of a message, its own and those it names by lookup tables, and which of them it may change. */
  #resolve(message: Message): { readonly addresses: readonly Address[]; readonly writable: readonly boolean[] } {
    const own = message.accounts
    const tables = message.lookups.map((lookup) => ({ ...lookup, addresses: readTable(this.account(lookup.table)) }))
    const pick = (addresses: readonly Address[], places: readonly number[]) =>
      places.map((place) => addresses[place]).filter((address) => address !== undefined)
    const written = tables.flatMap(({ addresses, writable }) => pick(addresses, writable))
    const read = tables.flatMap(({ addresses, readonly }) => pick(addresses, readonly))
    return {
      addresses: [...own, ...written, ...read],
      writable: [...own.map((_, place) => isWritable(message, place)), ...written.map(() => true)],
    }
  }

  #outcome(signature: Signature, result: ReturnType<LiteSVM['sendTransaction' | 'simulateTransaction']>): Executed {
    const meta = 'meta' in result ? result.meta() : result
    return {
      signature,
      slot: this.#slot,
      error: result instanceof FailedTransactionMetadata ? readFailure(String(result)) : null,
      logs: meta.logs(),
      units: meta.computeUnitsConsumed(),
      inner: readInner(meta),
    }
  }

  /** Does something to accounts, of which only the writable can change; keeps what they were, and tells which changed. */
  #changing<Result>(addresses: readonly Address[], writable: readonly boolean[], action: () => Result) {
    const before = addresses.map((address) => this.#current(address))
    const result = action()
    const after = before.map((account, place) => {
      if (writable[place] !== true) return account
      const read = this.#read(account.address)
      return same(account, read) ? account : read
    })
    const changes: Change[] = []
    for (const [place, account] of before.entries()) {
      const now = after[place]
      if (now === undefined || now === account) continue
      const { address } = account
      this.#now.set(address, now)
      if (now.exists) this.#owned.get(now.programAddress)?.add(address)
      changes.push({ slot: this.#slot, address })
      const past = this.#past.get(address) ?? []
      // The first change of a slot has what was at the end of the one before it; later ones of that slot add nothing.
      if (past.at(-1)?.slot === this.#slot) continue
      const kept = past.filter(({ slot }) => slot > this.#slot - KEPT)
      this.#past.set(address, [...kept, { slot: this.#slot, before: account }])
    }
    if (changes.length > 0) this.#listener?.changed(changes)
    return { result, before, after }
  }
}

function openSvm(): LiteSVM {
  return new LiteSVM().withSigverify(false).withBlockhashCheck(false).withTransactionHistory(0n)
}

/** The first signature, by which a transaction is known; of zeros where its payer has not signed. */
function readSignature({ signatures }: Transaction): Signature {
  const [first] = Object.values(signatures)
  return toSignature(getBase58Decoder().decode(first ?? new Uint8Array(64)))
}

function isSigned({ messageBytes, signatures }: Transaction): boolean {
  return Object.entries(signatures).every(([signer, signature]) => {
    if (!isAddress(signer) || signature === null) return false
    return verify(null, new Uint8Array(messageBytes), toVerifier(signer), signature)
  })
}

/** LiteSVM has a list for each instruction, also for those that called nothing. */
function readInner(meta: TransactionMetadata): readonly InnerInstructions[] {
  return meta
    .innerInstructions()
    .map((called, index) => ({
      index,
      instructions: called.map((one) => {
        const instruction = one.instruction()
        return {
          program: instruction.programIdIndex(),
          accounts: [...instruction.accounts()],
          data: instruction.data(),
          height: one.stackHeight(),
        }
      }),
    }))
    .filter(({ instructions }) => instructions.length > 0)
}

function isOwned(account: MaybeEncodedAccount, program: string): boolean {
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
