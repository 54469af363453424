import { zstdCompressSync } from 'node:zlib'
import { type Address, getBase58Decoder, type MaybeEncodedAccount, unwrapOption } from '@solana/kit'
import {
  AccountState,
  getMintDecoder,
  getMintSize,
  getTokenDecoder,
  getTokenSize,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'
import type { AccountOptions } from './params.ts'
import { RpcError } from './rpc-error.ts'

export const TOKEN_2022 = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb'

export type Existing = MaybeEncodedAccount & { exists: true }

/** Finds a mint's account at the slot that is answered for. */
export type Lookup = (address: Address) => MaybeEncodedAccount

/** What is exempt from rent is collected from in no epoch: all that LiteSVM keeps. */
const NEVER = 18_446_744_073_709_551_615n
/** Most bytes that are shown as base58. */
const BASE58_LIMIT = 128

/** An account as `getAccountInfo` shows it. `legacy` is how base58 looks where nobody asked for it: a bare string. */
export function showAccount(account: Existing, options: AccountOptions, lookup: Lookup): unknown {
  return {
    lamports: account.lamports,
    owner: account.programAddress,
    data: showData(account, options, lookup),
    executable: account.executable,
    rentEpoch: NEVER,
    space: account.space,
  }
}

function showData(account: Existing, { encoding, slice }: AccountOptions, lookup: Lookup): unknown {
  if (encoding === 'jsonParsed') {
    const parsed = parse(account, lookup)
    if (parsed !== undefined) return { program: 'spl-token', parsed, space: account.space }
  }
  const bytes = slice === undefined ? account.data : account.data.slice(slice.offset, slice.offset + slice.length)
  switch (encoding) {
    case 'legacy':
    case 'base58': {
      if (bytes.length > BASE58_LIMIT) {
        throw new RpcError(
          -32600,
          'Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.',
        )
      }
      const text = getBase58Decoder().decode(bytes)
      return encoding === 'legacy' ? text : [text, 'base58']
    }
    case 'base64+zstd':
      return [zstdCompressSync(bytes).toString('base64'), encoding]
    default:
      return [Buffer.from(bytes).toString('base64'), 'base64']
  }
}

const STATES: Readonly<Record<AccountState, string>> = {
  [AccountState.Uninitialized]: 'uninitialized',
  [AccountState.Initialized]: 'initialized',
  [AccountState.Frozen]: 'frozen',
}

/** Accounts of the SPL token program, as `jsonParsed` has them; undefined for all others. */
function parse(account: Existing, lookup: Lookup): unknown {
  if (account.programAddress !== TOKEN_PROGRAM_ADDRESS) return undefined
  if (account.data.length === getMintSize()) {
    const { decimals, isInitialized, supply, mintAuthority, freezeAuthority } = getMintDecoder().decode(account.data)
    const info = {
      decimals,
      freezeAuthority: unwrapOption(freezeAuthority),
      isInitialized,
      mintAuthority: unwrapOption(mintAuthority),
      supply: String(supply),
    }
    return { type: 'mint', info }
  }
  const token = readToken(account)
  const decimals = token === undefined ? undefined : readMint(lookup(token.mint))?.decimals
  if (token === undefined || decimals === undefined) return undefined
  const delegate = unwrapOption(token.delegate)
  const reserve = unwrapOption(token.isNative)
  const closeAuthority = unwrapOption(token.closeAuthority)
  const info = {
    ...(closeAuthority !== null && { closeAuthority }),
    ...(delegate !== null && { delegate, delegatedAmount: showAmount(token.delegatedAmount, decimals) }),
    isNative: reserve !== null,
    mint: token.mint,
    owner: token.owner,
    ...(reserve !== null && { rentExemptReserve: showAmount(reserve, decimals) }),
    state: STATES[token.state],
    tokenAmount: showAmount(token.amount, decimals),
  }
  return { type: 'account', info }
}

/** A token account's fields; undefined when it is none. Extended accounts of Token-2022 begin alike. */
export function readToken(account: MaybeEncodedAccount) {
  if (!account.exists || account.data.length < getTokenSize()) return undefined
  return getTokenDecoder().decode(account.data)
}

/** A mint's fields; undefined when it is none. One with extensions, of Token-2022, says so behind where an account ends. */
export function readMint(account: MaybeEncodedAccount) {
  if (!account.exists) return undefined
  const isMint = account.data.length === getMintSize() || account.data[getTokenSize()] === 1
  if (!isMint) return undefined
  return getMintDecoder().decode(account.data)
}

/** An amount in the four ways it is shown; `uiAmountString` has no zeros at its end. */
export function showAmount(amount: bigint, decimals: number): object {
  const digits = String(amount).padStart(decimals + 1, '0')
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '')
  const whole = digits.slice(0, digits.length - decimals)
  const text = decimals === 0 || fraction === '' ? whole : `${whole}.${fraction}`
  return { amount: String(amount), decimals, uiAmount: Number(text), uiAmountString: text }
}
