import {
  type Address,
  getTransactionDecoder,
  type ReadonlyUint8Array,
  type Signature,
  type Transaction,
} from '@solana/kit'
import { getTokenSize, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { type Existing, readMint, readToken, showAccount, showAmount, TOKEN_2022 } from './accounts.ts'
import { BLOCKHASH_AGE, type Chain, DEPTH } from './chain.ts'
import type { Executed, Processed } from './history.ts'
import { toKey } from './keys.ts'
import { readMessage } from './message.ts'
import { oneOf, Params, toAddress, toBytes, toSignature } from './params.ts'
import { invalidParams, methodNotFound, nodeBehind, RpcError, slotNotReached } from './rpc-error.ts'
import { showMemo, showTransaction } from './transaction.ts'
import { describe } from './transaction-error.ts'

/** What the node says it is. */
const VERSION = '2.0.15'
const MOST_ACCOUNTS = 100
const MOST_SIGNATURES = 256
/** Most signatures of an address in one answer, and how many there are unless told. */
const MOST_HISTORY = 1_000
/** Most bytes that travel as one packet, and so of a transaction. */
const PACKET = 1_232
const EPOCH = 432_000
/** Where a transaction contradicts itself, or its lookup tables are not there. */
const UNFIT = [
  'SanitizeFailure',
  'AddressLookupTableNotFound',
  'InvalidAddressLookupTableOwner',
  'InvalidAddressLookupTableData',
  'InvalidAddressLookupTableIndex',
]

/** How the node that answers stands. */
export interface Condition {
  /** Slots that all it knows lies back. */
  readonly lag: number
  /** Whether it knows that it does. */
  readonly behind: boolean
}

type Method = (params: Params, condition: Condition) => unknown

/** The methods of a node. */
export class Methods {
  readonly #chain: Chain
  readonly #methods: ReadonlyMap<string, Method>

  constructor(chain: Chain) {
    this.#chain = chain
    this.#methods = new Map(Object.entries(this.#list()))
  }

  has(method: string): boolean {
    return this.#methods.has(method)
  }

  /** The result of a call; throws an `RpcError`. */
  call(method: string, params: unknown, condition: Condition): unknown {
    const found = this.#methods.get(method)
    if (found === undefined) throw methodNotFound()
    return found(new Params(params), condition)
  }

  #list(): Readonly<Record<string, Method>> {
    const chain = this.#chain
    return {
      getHealth: (_, { lag, behind }) => {
        if (behind) throw nodeBehind(lag)
        return 'ok'
      },
      getVersion: () => ({ 'solana-core': VERSION, 'feature-set': 607_245_837 }),
      getSlot: (params, condition) => this.#slot(params, 0, condition),
      getBlockHeight: (params, condition) => this.#slot(params, 0, condition),
      getLatestBlockhash: (params, condition) => {
        const slot = this.#slot(params, 0, condition)
        return at(slot, this.#lifetime(slot))
      },
      getMinimumBalanceForRentExemption: (params) => chain.rent(params.number(0)),
      getBalance: (params, condition) => {
        const slot = this.#slot(params, 1, condition)
        const account = chain.account(params.address(0), slot)
        return at(slot, account.exists ? account.lamports : 0)
      },
      getAccountInfo: (params, condition) => {
        const slot = this.#slot(params, 1, condition)
        return at(slot, this.#show(params.address(0), slot, params.accountOptions(1, 'legacy')))
      },
      getMultipleAccounts: (params, condition) => {
        const list = params.list(0)
        if (list.length > MOST_ACCOUNTS) throw invalidParams(`Too many inputs provided; max ${MOST_ACCOUNTS}`)
        const addresses = list.map(toAddress)
        const slot = this.#slot(params, 1, condition)
        const options = params.accountOptions(1, 'base64')
        return at(
          slot,
          addresses.map((address) => this.#show(address, slot, options)),
        )
      },
      getTokenAccountBalance: (params, condition) => {
        const slot = this.#slot(params, 1, condition)
        const account = chain.account(params.address(0), slot)
        if (!account.exists) throw invalidParams('Invalid param: could not find account')
        const token = isTokenProgram(account.programAddress) ? readToken(account) : undefined
        if (token === undefined) throw invalidParams('Invalid param: not a Token account')
        const mint = readMint(chain.account(token.mint, slot))
        if (mint === undefined) throw invalidParams('Invalid param: could not find mint')
        return at(slot, showAmount(token.amount, mint.decimals))
      },
      getTokenAccountsByOwner: (params, condition) => {
        const owner = toKey(params.address(0))
        const tokenSize = getTokenSize()
        const slot = this.#slot(params, 2, condition)
        const options = params.accountOptions(2, 'legacy')
        const { mint, program } = this.#which(params, slot)
        const found = chain.owned(program, slot).filter((account) => {
          const { data } = account
          return data.length >= tokenSize && isAt(data, 32, owner) && (mint === undefined || isAt(data, 0, mint))
        })
        return at(slot, this.#showAll(found, slot, options))
      },
      getProgramAccounts: (params, condition) => {
        const slot = this.#slot(params, 1, condition)
        const filter = params.filters(1)
        const found = chain.owned(params.address(0), slot).filter((account) => filter(account.data))
        const shown = this.#showAll(found, slot, params.accountOptions(1, 'legacy'))
        return params.fields(1).withContext === true ? at(slot, shown) : shown
      },
      getSignatureStatuses: (params, { lag }) => {
        const list = params.list(0)
        if (list.length > MOST_SIGNATURES) throw invalidParams(`Too many inputs provided; max ${MOST_SIGNATURES}`)
        const slot = chain.slot - lag
        return at(
          slot,
          list.map((value) => this.#status(toSignature(value), slot)),
        )
      },
      getSignaturesForAddress: (params, condition) => this.#signatures(params, condition),
      getTransaction: (params, condition) => {
        const signature = toSignature(params.text(0))
        const executed = chain.history.get(signature)
        if (executed === undefined || executed.slot > this.#settled(params, 1, condition)) return null
        const shown = showTransaction(executed, params.transactionOptions(1), (mint) =>
          chain.account(mint, executed.slot),
        )
        return { blockTime: chain.blockTime(executed.slot), ...shown }
      },
      getTokenSupply: (params, condition) => {
        const slot = this.#slot(params, 1, condition)
        const account = chain.account(params.address(0), slot)
        if (!account.exists) throw invalidParams('Invalid param: could not find account')
        const mint = isTokenProgram(account.programAddress) ? readMint(account) : undefined
        if (mint === undefined) throw invalidParams('Invalid param: not a Token mint')
        return at(slot, showAmount(mint.supply, mint.decimals))
      },
      getEpochInfo: (params, condition) => {
        const slot = this.#slot(params, 0, condition)
        return {
          absoluteSlot: slot,
          blockHeight: slot,
          epoch: Math.floor(slot / EPOCH),
          slotIndex: slot % EPOCH,
          slotsInEpoch: EPOCH,
          transactionCount: chain.history.size,
        }
      },
      simulateTransaction: (params, condition) => this.#simulate(params, condition),
      sendTransaction: (params, condition) => this.#send(params, condition),
      requestAirdrop: (params) => {
        const signature = chain.airdrop(params.address(0), BigInt(params.number(1)))
        if (signature === undefined) throw new RpcError(-32603, 'Internal error')
        return signature
      },
    }
  }

  /** The slot a call is answered for, by its commitment. */
  #slot(params: Params, options: number, { lag }: Condition): number {
    const slot = this.#chain.slot - lag - DEPTH[params.commitment(options)]
    const { minContextSlot } = params.fields(options)
    if (typeof minContextSlot === 'number' && minContextSlot > slot) throw slotNotReached(slot)
    return slot
  }

  #show(address: Address, slot: number, options: ReturnType<Params['accountOptions']>): unknown {
    const account = this.#chain.account(address, slot)
    return account.exists ? showAccount(account, options, (mint) => this.#chain.account(mint, slot)) : null
  }

  #showAll(accounts: readonly Existing[], slot: number, options: ReturnType<Params['accountOptions']>): unknown {
    return accounts.map((account) => ({
      pubkey: account.address,
      account: showAccount(account, options, (mint) => this.#chain.account(mint, slot)),
    }))
  }

  /** Which token accounts are asked for: those of a mint, or of one of the token programs. */
  #which(params: Params, slot: number): { readonly mint?: ReadonlyUint8Array; readonly program: Address } {
    const { mint, programId } = params.fields(1)
    if (mint !== undefined) {
      const address = toAddress(mint)
      const account = this.#chain.account(address, slot)
      if (!account.exists) throw invalidParams('Invalid param: could not find mint')
      return { mint: toKey(address), program: account.programAddress }
    }
    const program = toAddress(programId)
    if (!isTokenProgram(program)) throw invalidParams('Invalid param: unrecognized Token program id')
    return { program }
  }

  #lifetime(slot: number): unknown {
    return { blockhash: this.#chain.blockhash(slot), lastValidBlockHeight: slot + BLOCKHASH_AGE }
  }

  /** The slot of a call about history, of which there is none at `processed`. */
  #settled(params: Params, options: number, condition: Condition): number {
    if (params.commitment(options) === 'processed') {
      throw invalidParams('Method does not support commitment below `confirmed`')
    }
    return this.#slot(params, options, condition)
  }

  /** What names an address, the newest first: older than `before`, newer than `until`. */
  #signatures(params: Params, condition: Condition): unknown {
    const { history } = this.#chain
    const address = params.address(0)
    const limit = params.limit(1, MOST_HISTORY)
    const slot = this.#settled(params, 1, condition)
    const finalized = this.#chain.slot - condition.lag - DEPTH.finalized
    const [before, until] = [params.signature(1, 'before'), params.signature(1, 'until')]
    const newest = before === undefined ? Number.POSITIVE_INFINITY : history.get(before)?.place
    // Nothing is known to be older than what is unknown; but with an unknown `until` all are told.
    if (newest === undefined) return []
    const oldest = (until === undefined ? undefined : history.get(until)?.place) ?? -1
    const naming = history.naming(address)
    const found: Processed[] = []
    // From the end: who asks often asks for the newest few of very many.
    for (let index = naming.length - 1; index >= 0 && found.length < limit; index--) {
      const processed = naming[index]
      if (processed === undefined || processed.place <= oldest) break
      if (processed.place < newest && processed.slot <= slot) found.push(processed)
    }
    return found.map((processed) => ({
      blockTime: this.#chain.blockTime(processed.slot),
      confirmationStatus: processed.slot <= finalized ? 'finalized' : 'confirmed',
      err: processed.error,
      memo: showMemo(processed),
      signature: processed.signature,
      slot: processed.slot,
    }))
  }

  #status(signature: Signature, slot: number): unknown {
    const executed = this.#chain.executed(signature)
    if (executed === undefined || executed.slot > slot) return null
    const depth = slot - executed.slot
    const final = depth >= DEPTH.finalized
    return {
      slot: executed.slot,
      confirmations: final ? null : depth,
      err: executed.error,
      status: executed.error === null ? { Ok: null } : { Err: executed.error },
      confirmationStatus: final ? 'finalized' : depth >= DEPTH.confirmed ? 'confirmed' : 'processed',
    }
  }

  #send(params: Params, { lag, behind }: Condition): unknown {
    const { encoding = 'base58', skipPreflight = false } = params.fields(1)
    const transaction = readTransaction(params.text(0), oneOf(encoding, ['base58', 'base64']))
    const simulated = skipPreflight === true ? undefined : this.#chain.simulate(transaction)
    if (simulated !== undefined) {
      // A node that lies behind can't tell whether a transaction would do.
      if (behind) throw nodeBehind(lag)
      refuseUnfit(simulated)
      if (simulated.error !== null) throw failed(simulated)
      return this.#chain.send(transaction).signature
    }
    const sent = this.#chain.send(transaction)
    refuseUnfit(sent)
    return sent.signature
  }

  #simulate(params: Params, condition: Condition): unknown {
    const { encoding = 'base58', sigVerify = false, replaceRecentBlockhash = false } = params.fields(1)
    const transaction = readTransaction(params.text(0), oneOf(encoding, ['base58', 'base64']))
    const slot = this.#slot(params, 1, condition)
    if (sigVerify === true && replaceRecentBlockhash === true) {
      throw invalidParams('sigVerify may not be used with replaceRecentBlockhash')
    }
    const simulated = this.#chain.simulate(transaction, {
      signed: sigVerify === true,
      aged: replaceRecentBlockhash !== true,
    })
    refuseUnfit(simulated)
    return at(slot, {
      accounts: null,
      err: simulated.error,
      innerInstructions: null,
      logs: simulated.logs,
      replacementBlockhash: replaceRecentBlockhash === true ? this.#lifetime(slot) : null,
      returnData: null,
      unitsConsumed: simulated.units,
    })
  }
}

function at(slot: number, value: unknown): unknown {
  return { context: { apiVersion: VERSION, slot }, value }
}

function isTokenProgram(address: Address): boolean {
  return address === TOKEN_PROGRAM_ADDRESS || address === TOKEN_2022
}

/** Whether a key is at this place. Compared as bytes: there may be thousands of accounts. */
function isAt(data: Uint8Array, place: number, key: ReadonlyUint8Array): boolean {
  return key.every((byte, index) => data[place + index] === byte)
}

function readTransaction(text: string, encoding: 'base58' | 'base64'): Transaction {
  const bytes = toBytes(text, encoding)
  if (bytes.length > PACKET) {
    const what = 'decoded solana_transaction::versioned::VersionedTransaction'
    throw invalidParams(`${what} too large: ${bytes.length} bytes (max: ${PACKET} bytes)`)
  }
  const transaction = decode(bytes)
  if (transaction !== undefined && readMessage(transaction.messageBytes) !== undefined) return transaction
  throw invalidParams('failed to deserialize solana_transaction::versioned::VersionedTransaction')
}

function decode(bytes: Uint8Array): Transaction | undefined {
  try {
    return getTransactionDecoder().decode(bytes)
  } catch {
    return undefined
  }
}

/** What no node passes on, with or without preflight. */
function refuseUnfit({ error }: Executed): void {
  if (error === 'SignatureFailure') throw new RpcError(-32003, 'Transaction signature verification failure')
  if (typeof error === 'string' && UNFIT.includes(error)) throw invalidParams(`invalid transaction: ${describe(error)}`)
}

function failed({ error, logs, units }: Executed): RpcError {
  const said = error === null ? '' : describe(error)
  return new RpcError(-32002, `Transaction simulation failed: ${said}`, {
    accounts: null,
    err: error,
    logs,
    returnData: null,
    unitsConsumed: units,
  })
}
