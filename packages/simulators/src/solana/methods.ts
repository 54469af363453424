import {
  type Address,
  getAddressEncoder,
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
  isSignature,
  type Transaction,
} from '@solana/kit'
import { getTokenSize, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { type Existing, readDecimals, readToken, showAccount, showAmount } from './accounts.ts'
import { BLOCKHASH_AGE, type Chain, DEPTH, type Executed } from './chain.ts'
import { oneOf, Params, toAddress, toBytes, toText } from './params.ts'
import { invalidParams, methodNotFound, nodeBehind, RpcError, slotNotReached } from './rpc-error.ts'
import { describe } from './transaction-error.ts'

/** What the node says it is. */
const VERSION = '2.0.15'
const TOKEN_2022 = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb'
const MOST_ACCOUNTS = 100
const MOST_SIGNATURES = 256

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
        return at(slot, { blockhash: chain.blockhash(slot), lastValidBlockHeight: slot + BLOCKHASH_AGE })
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
        const decimals = readDecimals(chain.account(token.mint, slot))
        if (decimals === undefined) throw invalidParams('Invalid param: could not find mint')
        return at(slot, showAmount(token.amount, decimals))
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
          list.map((value) => this.#status(toText(value), slot)),
        )
      },
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
  #which(params: Params, slot: number): { readonly mint?: Uint8Array; readonly program: Address } {
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

  #status(text: string, slot: number): unknown {
    if (!isSignature(text)) throw invalidParams('Invalid param: Invalid')
    const executed = this.#chain.executed(text)
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
    const transaction = readTransaction(toBytes(params.text(0), oneOf(encoding, ['base58', 'base64'])))
    if (skipPreflight !== true) {
      // A node that lies behind can't tell whether a transaction would do.
      if (behind) throw nodeBehind(lag)
      const simulated = this.#chain.simulate(transaction)
      if (simulated.error === 'SignatureFailure') throw unsigned()
      if (simulated.error !== null) throw failed(simulated)
    }
    return this.#chain.send(transaction).signature
  }
}

function at(slot: number, value: unknown): unknown {
  return { context: { apiVersion: VERSION, slot }, value }
}

function isTokenProgram(address: Address): boolean {
  return address === TOKEN_PROGRAM_ADDRESS || address === TOKEN_2022
}

function toKey(address: Address): Uint8Array {
  return new Uint8Array(getAddressEncoder().encode(address))
}

/** Whether a key is at this place. Compared as bytes: there may be thousands of accounts. */
function isAt(data: Uint8Array, place: number, key: Uint8Array): boolean {
  return Buffer.compare(data.subarray(place, place + key.length), key) === 0
}

function readTransaction(bytes: Uint8Array): Transaction {
  try {
    const transaction = getTransactionDecoder().decode(bytes)
    getCompiledTransactionMessageDecoder().decode(transaction.messageBytes)
    return transaction
  } catch {
    throw invalidParams('failed to deserialize solana_transaction::versioned::VersionedTransaction')
  }
}

function unsigned(): RpcError {
  return new RpcError(-32003, 'Transaction signature verification failure')
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
