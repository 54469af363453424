import { getBase58Decoder, type MaybeEncodedAccount } from '@solana/kit'
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { type Lookup, readMint, readToken, showAmount, TOKEN_2022 } from './accounts.ts'
import type { CalledInstruction, Processed } from './history.ts'
import { parseInstruction } from './instructions.ts'
import { isWritable, type Message, readMessage } from './message.ts'
import type { TransactionEncoding, TransactionOptions } from './params.ts'
import { RpcError } from './rpc-error.ts'

/** Bytes of one. */
const SIGNATURE = 64
const MEMO_PROGRAMS = ['MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr', 'Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo']
/** Owners of what no transaction can change, whatever it says. */
const BUILT_IN = ['NativeLoader1111111111111111111111111111111', 'Sysvar1111111111111111111111111111111111111']

/** A transaction as `getTransaction` shows it, but for its time. `lookup` finds mints. */
export function showTransaction(processed: Processed, options: TransactionOptions, lookup: Lookup): object {
  const message = readProcessed(processed)
  const { newest } = options
  if (message.version !== 'legacy' && !(newest !== undefined && newest >= message.version)) {
    throw new RpcError(
      -32015,
      `Transaction version (${message.version}) is not supported by the requesting client. Please try the request again ` +
        `with the following configuration parameter: "maxSupportedTransactionVersion": ${message.version}`,
    )
  }
  return {
    meta: showMeta(processed, message, options, lookup),
    slot: processed.slot,
    transaction: show(processed, message, options),
    // Clients from before there were versions are told of none.
    ...(newest !== undefined && { version: message.version }),
  }
}

/** What the memo program was given, each with its length in bytes; null for nothing. */
export function showMemo(processed: Processed): string | null {
  if (!processed.before.some(({ address }) => MEMO_PROGRAMS.includes(address))) return null
  const { accounts, instructions } = readProcessed(processed)
  const memos = instructions
    .filter(({ program }) => MEMO_PROGRAMS.includes(accounts[program] ?? ''))
    .map(({ data }) => `[${data.length}] ${readText(data) ?? '(unparseable)'}`)
  return memos.length === 0 ? null : memos.join('; ')
}

function readProcessed({ wire }: Processed): Message {
  const message = readMessage(wire.subarray(1 + SIGNATURE * countSignatures(wire)))
  if (message === undefined) throw new Error('expected what was executed to be a transaction')
  return message
}

/** How many a transaction has. The count is one byte: there is room for few. */
function countSignatures(wire: Uint8Array): number {
  return wire[0] ?? 0
}

function readText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function showMeta(processed: Processed, message: Message, { encoding }: TransactionOptions, lookup: Lookup): unknown {
  const { before, after, error, logs, units } = processed
  const own = message.accounts.length
  const written = message.lookups.reduce((sum, { writable }) => sum + writable.length, 0)
  const loaded = before.slice(own).map(({ address }) => address)
  return {
    computeUnitsConsumed: units,
    err: error,
    fee: sum(before) - sum(after),
    innerInstructions: processed.inner.map(({ index, instructions }) => ({
      index,
      instructions: instructions.map((one) => showInstruction(one, processed, encoding)),
    })),
    // Where each account is shown with its source, they are not named again.
    ...(encoding !== 'jsonParsed' && {
      loadedAddresses: { readonly: loaded.slice(written), writable: loaded.slice(0, written) },
    }),
    logMessages: logs,
    postBalances: after.map(lamportsOf),
    postTokenBalances: showTokens(after, message, lookup),
    preBalances: before.map(lamportsOf),
    preTokenBalances: showTokens(before, message, lookup),
    rewards: [],
    status: error === null ? { Ok: null } : { Err: error },
  }
}

function lamportsOf(account: MaybeEncodedAccount): bigint {
  return account.exists ? account.lamports : 0n
}

function sum(accounts: readonly MaybeEncodedAccount[]): bigint {
  return accounts.reduce((total, account) => total + lamportsOf(account), 0n)
}

/** The balances of token accounts. Agave looks for none where no token program is named, and shows 0 as null. */
function showTokens(accounts: readonly MaybeEncodedAccount[], { instructions }: Message, lookup: Lookup): unknown {
  if (!accounts.some(({ address }) => isTokenProgram(address))) return []
  const called = new Set(instructions.map(({ program }) => program))
  return accounts.flatMap((account, accountIndex) => {
    if (called.has(accountIndex) || !account.exists || !isTokenProgram(account.programAddress)) return []
    const token = readToken(account)
    const decimals = token === undefined ? undefined : readMint(lookup(token.mint))?.decimals
    if (token === undefined || decimals === undefined) return []
    const uiTokenAmount = { ...showAmount(token.amount, decimals), ...(token.amount === 0n && { uiAmount: null }) }
    return { accountIndex, mint: token.mint, owner: token.owner, programId: account.programAddress, uiTokenAmount }
  })
}

function isTokenProgram(address: string): boolean {
  return address === TOKEN_PROGRAM_ADDRESS || address === TOKEN_2022
}

function show(processed: Processed, message: Message, { encoding }: TransactionOptions): unknown {
  const { wire } = processed
  if (encoding === 'base64') return [Buffer.from(wire).toString('base64'), encoding]
  if (encoding === 'base58') return [getBase58Decoder().decode(wire), encoding]
  const { header, blockhash, version } = message
  const [numRequiredSignatures, numReadonlySignedAccounts, numReadonlyUnsignedAccounts] = header
  const isParsed = encoding === 'jsonParsed'
  return {
    message: {
      accountKeys: isParsed ? showAccounts(processed, message) : message.accounts,
      ...(version === 0 && {
        addressTableLookups: message.lookups.map(({ table, writable, readonly }) => ({
          accountKey: table,
          readonlyIndexes: readonly,
          writableIndexes: writable,
        })),
      }),
      ...(!isParsed && { header: { numReadonlySignedAccounts, numReadonlyUnsignedAccounts, numRequiredSignatures } }),
      instructions: message.instructions.map((one) =>
        showInstruction({ ...one, height: undefined }, processed, encoding),
      ),
      recentBlockhash: blockhash,
    },
    signatures: Array.from({ length: countSignatures(wire) }, (_, place) =>
      getBase58Decoder().decode(wire.subarray(1 + SIGNATURE * place, 1 + SIGNATURE * (place + 1))),
    ),
  }
}

function showAccounts({ before }: Processed, message: Message): unknown {
  const own = message.accounts.length
  const written = message.lookups.reduce((count, { writable }) => count + writable.length, own)
  const called = new Set(message.instructions.map(({ program }) => program))
  return before.map((account, place) => ({
    pubkey: account.address,
    signer: place < message.header[0],
    source: place < own ? 'transaction' : 'lookupTable',
    writable:
      (place < own ? isWritable(message, place) : place < written) &&
      !called.has(place) &&
      !(account.exists && BUILT_IN.includes(account.programAddress)),
  }))
}

function showInstruction(one: CalledInstruction, { before }: Processed, encoding: TransactionEncoding): unknown {
  const data = getBase58Decoder().decode(one.data)
  const stackHeight = one.height ?? null
  if (encoding !== 'jsonParsed') return { accounts: one.accounts, data, programIdIndex: one.program, stackHeight }
  const accounts = one.accounts.map((place) => before[place]?.address ?? '')
  const programId = before[one.program]?.address ?? ''
  const parsed = parseInstruction(programId, accounts, one.data)
  return parsed === undefined ? { accounts, data, programId, stackHeight } : { ...parsed, programId, stackHeight }
}
