import { type JsonRpcCall, type Log, WeirError } from '@weir/gateway'
import { z } from 'zod'
import { COMMITMENT, condition, seen } from './solana.ts'
import { whole } from './token.ts'

/** A transaction of the pot: its entries, and its payout. */
export const Event = z.object({
  signature: z.string(),
  slot: z.int(),
  /** Milliseconds since 1970. */
  at: z.int(),
  entries: z.array(z.object({ wallet: z.string(), tickets: z.int().positive(), amount: z.number() })),
  draw: z.object({ winner: z.string(), amount: z.number(), tickets: z.int(), participants: z.int() }).optional(),
})

export type Event = z.infer<typeof Event>

export const Winner = z.object({ winner: z.string(), amount: z.number(), signature: z.string(), at: z.int() })

export type Winner = z.infer<typeof Winner>

/** The state of a round: tickets by wallet, and recent draws, newest first. */
export const Round = z.object({ tickets: z.int(), participants: z.int(), winners: z.array(Winner).readonly() })

export type Round = z.infer<typeof Round>

export type History = Log<Readonly<Record<string, never>>, Event, Event>

export interface LedgerParts {
  readonly pot: string
  readonly mint: string
  readonly history: History
  /** Price of a ticket, in the smallest unit. */
  readonly ticket: bigint
  readonly decimals: number
}

/** Signatures per response, which is the limit of a node. */
const PAGE = 1000

/** The first read goes back to the last draw, and at least this many transactions. */
const PAST = 1000

/** Number of recent transactions to recognize, in case a node does not know the latest one. */
const KNOWN = 10_000

/** Number of winners in the state. */
const WINNERS = 10

/** Transactions loaded at once. The budget spaces the calls, and results are kept if one fails. */
const AT_ONCE = 16

const Signatures = z.array(z.object({ signature: z.string(), slot: z.int(), err: z.unknown() }))

const Amount = z.string().transform((digits) => BigInt(digits))

/** A transfer of the token program, in the form of `jsonParsed`. */
const Transfer = z.object({
  program: z.literal('spl-token'),
  parsed: z.object({
    type: z.enum(['transfer', 'transferChecked']),
    info: z.object({
      source: z.string(),
      destination: z.string(),
      amount: Amount.optional(),
      tokenAmount: z.object({ amount: Amount }).optional(),
    }),
  }),
})

const Balances = z.array(z.object({ accountIndex: z.int(), mint: z.string(), owner: z.string().optional() }))

const Transaction = z
  .object({
    slot: z.int(),
    blockTime: z.int().nullable(),
    meta: z.object({
      err: z.unknown(),
      innerInstructions: z.array(z.object({ index: z.int(), instructions: z.array(z.unknown()) })).nullish(),
      preTokenBalances: Balances.nullish(),
      postTokenBalances: Balances.nullish(),
    }),
    transaction: z.object({
      message: z.object({ accountKeys: z.array(z.object({ pubkey: z.string() })), instructions: z.array(z.unknown()) }),
    }),
  })
  .nullable()

type Transaction = NonNullable<z.infer<typeof Transaction>>

/** The effects of a transaction on the pot. */
interface Read {
  readonly signature: string
  readonly slot: number
  readonly at: number
  /** Payments by wallet, in the smallest unit. */
  readonly paid: ReadonlyMap<string, bigint>
  /** Payouts by wallet, in the smallest unit. */
  readonly won: ReadonlyMap<string, bigint>
}

/**
 * The book of a lottery. It reads all token transfers of the pot from the chain, in order, and writes each to the history once. Several
 * processes may write: an event is appended only after the last event that its writer knows.
 */
export class Ledger {
  readonly #parts: LedgerParts
  /** Position of the last counted event in the history. */
  #position = ''
  /** The last transaction in the history, and the newest one read. */
  #written: string | undefined
  #newest: string | undefined
  /** Whether the whole round was counted. The history may have dropped its beginning. */
  #whole = true
  /** Transactions that are read but not written yet; undefined if one does not affect the pot. */
  readonly #read = new Map<string, Read | undefined>()
  /** Recent transactions that were read or are in the history. */
  readonly #known = new Set<string>()
  readonly #wallets = new Set<string>()
  #tickets = 0
  #winners: readonly Winner[] = []
  #reading: Promise<Round> | undefined

  constructor(parts: LedgerParts) {
    this.#parts = parts
  }

  /**
   * Reads new transactions and returns the state of the round. A failed read keeps its progress, so that a long history is read in
   * several attempts.
   *
   * @throws WeirError of a failed call; `backend_unavailable` when the history can't be written
   */
  catchUp(call: JsonRpcCall): Promise<Round> {
    this.#reading ??= this.#catchUp(call).finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #catchUp(call: JsonRpcCall): Promise<Round> {
    do await this.#replay()
    while (!(await this.#writeAll(await this.#unread(call))))
    this.#read.clear()
    return { tickets: this.#tickets, participants: this.#wallets.size, winners: this.#winners }
  }

  /** Counts new events of the history: those written by other processes, and at first all events. */
  async #replay(): Promise<void> {
    const { history } = this.#parts
    for (;;) {
      const page = await history.read({}, { ...(this.#position !== '' && { after: this.#position }), most: PAGE })
      const cut = this.#position === '' ? !page.oldest.endsWith(':1') : page.gap !== undefined
      if (cut) {
        this.#whole = false
        this.#written = undefined
        this.#newest = undefined
      }
      for (const { event } of page.events) {
        this.#count(event)
        this.#written = event.signature
        this.#looked(event.signature)
      }
      this.#position = page.events.at(-1)?.position ?? page.newest
      if (page.events.length < PAGE) return
    }
  }

  #count({ signature, at, entries, draw }: Event): void {
    if (draw !== undefined) {
      this.#begin()
      this.#whole = true
      this.#winners = [{ winner: draw.winner, amount: draw.amount, signature, at }, ...this.#winners].slice(0, WINNERS)
    }
    for (const { wallet, tickets } of entries) {
      this.#wallets.add(wallet)
      this.#tickets += tickets
    }
  }

  #begin(): void {
    this.#wallets.clear()
    this.#tickets = 0
  }

  /** Counts transactions, newest first, and appends them to the history. Returns false when another process has appended meanwhile. */
  async #writeAll(signatures: readonly string[]): Promise<boolean> {
    // The round is recounted from the chain, without writing events that are already in the history.
    let writing = this.#whole || !signatures.includes(this.#written ?? '')
    if (!this.#whole) {
      this.#begin()
      this.#winners = []
    }
    for (const signature of signatures.toReversed()) {
      const read = this.#read.get(signature)
      const event = read && this.#eventOf(read)
      if (event !== undefined && !(writing ? await this.#write(event) : this.#counted(event))) return false
      writing ||= signature === this.#written
      this.#looked(signature)
    }
    this.#whole = true
    return true
  }

  #looked(signature: string): void {
    this.#newest = signature
    this.#known.add(signature)
    const [oldest] = this.#known
    if (this.#known.size > KNOWN && oldest !== undefined) this.#known.delete(oldest)
  }

  #counted(event: Event): boolean {
    this.#count(event)
    return true
  }

  /** Appends an event to the history, unless another process was faster. */
  async #write(event: Event): Promise<boolean> {
    const position = await this.#parts.history.publishAfter({}, this.#position, event)
    if (position === undefined) return false
    this.#position = position
    this.#written = event.signature
    return this.#counted(event)
  }

  /** Reads new transactions into `#read`. Returns their signatures, newest first. */
  async #unread(call: JsonRpcCall): Promise<readonly string[]> {
    const until = this.#whole ? this.#newest : undefined
    const found: string[] = []
    let before: string | undefined
    for (;;) {
      const range = { limit: PAGE, ...(until !== undefined && { until }), ...(before !== undefined && { before }) }
      const params = [this.#parts.pot, { ...range, ...condition() }]
      const received = await call('getSignaturesForAddress', params, { answer: Signatures })
      // A node that lacks the last transaction repeats all earlier ones, which must not be written twice.
      const end = until === undefined ? -1 : received.findIndex(({ signature }) => this.#known.has(signature))
      const page = end === -1 ? received : received.slice(0, end)
      for (const { slot } of page.slice(0, 1)) seen(slot)
      const fresh = page.filter(({ signature, err }) => err === null && !this.#read.has(signature))
      for (let at = 0; at < fresh.length; at += AT_ONCE) {
        call.signal.throwIfAborted()
        await Promise.all(fresh.slice(at, at + AT_ONCE).map(({ signature }) => this.#look(call, signature)))
      }
      found.push(...page.map(({ signature }) => signature))
      before = page.at(-1)?.signature
      if (page.length < PAGE) return found
      const drawn = found.some((signature) => (this.#read.get(signature)?.won.size ?? 0) > 0)
      if (until === undefined && drawn && found.length >= PAST) return found
    }
  }

  async #look(call: JsonRpcCall, signature: string): Promise<void> {
    const options = { encoding: 'jsonParsed', maxSupportedTransactionVersion: 0, commitment: COMMITMENT }
    const transaction = await call('getTransaction', [signature, options], { answer: Transaction })
    // The transaction is on the chain, so this node lags. Skipping the transaction would lose it.
    if (transaction === null) throw new WeirError('upstream_failed', `${signature}: expected the transaction, got none`)
    this.#read.set(signature, transaction.meta.err === null ? this.#readOf(signature, transaction) : undefined)
  }

  #readOf(signature: string, { slot, blockTime, meta, transaction: { message } }: Transaction): Read | undefined {
    const { pot, mint } = this.#parts
    const ownerOf = new Map<string, string>()
    for (const { accountIndex, mint: of, owner } of [
      ...(meta.postTokenBalances ?? []),
      ...(meta.preTokenBalances ?? []),
    ]) {
      const key = message.accountKeys[accountIndex]?.pubkey
      if (of === mint && key !== undefined && owner !== undefined) ownerOf.set(key, owner)
    }
    const paid = new Map<string, bigint>()
    const won = new Map<string, bigint>()
    const inner = (meta.innerInstructions ?? []).flatMap(({ instructions }) => instructions)
    for (const instruction of [...message.instructions, ...inner]) {
      const read = Transfer.safeParse(instruction)
      if (!read.success) continue
      const { source, destination, amount, tokenAmount } = read.data.parsed.info
      const moved = amount ?? tokenAmount?.amount ?? 0n
      if (source === destination || moved === 0n) continue
      if (destination === pot) add(paid, ownerOf.get(source), moved)
      if (source === pot) add(won, ownerOf.get(destination), moved)
    }
    if (paid.size === 0 && won.size === 0) return undefined
    return { signature, slot, at: (blockTime ?? 0) * 1000, paid, won }
  }

  #eventOf({ signature, slot, at, paid, won }: Read): Event | undefined {
    const { ticket, decimals } = this.#parts
    const entries = [...paid].flatMap(([wallet, amount]) =>
      amount < ticket ? [] : [{ wallet, tickets: Number(amount / ticket), amount: whole(amount, decimals) }],
    )
    const [best] = [...won].toSorted(([, one], [, other]) => Number(other - one))
    if (entries.length === 0 && best === undefined) return undefined
    const round = { tickets: this.#tickets, participants: this.#wallets.size }
    const draw = best && { winner: best[0], amount: whole(best[1], decimals), ...round }
    return { signature, slot, at, entries, ...(draw && { draw }) }
  }
}

/** A transfer without a known owner buys no ticket, but its tokens are still in the pot. */
function add(sums: Map<string, bigint>, owner: string | undefined, amount: bigint): void {
  if (owner !== undefined) sums.set(owner, (sums.get(owner) ?? 0n) + amount)
}
