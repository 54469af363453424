import {
  type Address,
  address,
  getAddressDecoder,
  getAddressEncoder,
  getProgramDerivedAddress,
  isAddress,
} from '@solana/kit'
import { z } from 'zod'
import type { Account } from './solana.ts'

export const TOKEN_PROGRAM = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA'
const TOKEN_2022 = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb'
const ASSOCIATED = address('ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL')

/** Limit of cached associated accounts, each of which takes a millisecond to derive. */
const REMEMBERED = 100_000

/** Cache of valid addresses, since a check takes ten microseconds and the same wallets recur. */
const valid = new Set<string>()

function isPubkey(text: string): boolean {
  if (valid.has(text)) return true
  if (!isAddress(text)) return false
  if (valid.size >= REMEMBERED) valid.clear()
  valid.add(text)
  return true
}

export const Pubkey = z.string().refine(isPubkey, 'expected an address of Solana, 32 bytes in base58')

const encoder = getAddressEncoder()
const decoder = getAddressDecoder()

/** Whether an account belongs to the token program or its successor. Both share the layout of the fields read here. */
export function isOfTokens(account: Account): account is NonNullable<Account> {
  return account !== null && (account.owner === TOKEN_PROGRAM || account.owner === TOKEN_2022)
}

/** Parses a token account: mint at 0, owner at 32, amount at 64, state at 108. Undefined for any other account. */
export function tokensIn(
  account: Account,
): { readonly mint: string; readonly owner: string; readonly amount: bigint } | undefined {
  if (!isOfTokens(account) || account.data.length < 165 || account.data[108] === 0) return undefined
  const { data } = account
  return { mint: decoder.decode(data), owner: decoder.decode(data, 32), amount: data.readBigUInt64LE(64) }
}

/** Parses a mint: supply at 36, decimals at 44, initialized flag at 45. Undefined for any other account. */
export function mintIn(account: Account): { readonly supply: bigint; readonly decimals: number } | undefined {
  if (!isOfTokens(account) || account.data.length < 82 || account.data[45] !== 1) return undefined
  // In extended accounts, the byte after the 165 base bytes is the type: 1 is a mint.
  if (account.data.length >= 165 && account.data[165] !== 1) return undefined
  const { data } = account
  return { supply: data.readBigUInt64LE(36), decimals: data.readUInt8(44) }
}

/** Converts to whole tokens. Above 2^53 of the smallest unit, the last digits are lost. */
export function whole(amount: bigint, decimals: number): number {
  return Number(amount) / 10 ** decimals
}

const accountOf = new Map<string, Address>()
const walletOf = new Map<string, string>()

/** Derives the associated account of a wallet. */
export async function associated(wallet: string, mint: string, program: string): Promise<Address> {
  const name = `${wallet} ${mint} ${program}`
  const known = accountOf.get(name)
  if (known !== undefined) return known
  const seeds = [wallet, program, mint].map((one) => encoder.encode(address(one)))
  const [account] = await getProgramDerivedAddress({ programAddress: ASSOCIATED, seeds })
  accountOf.set(name, account)
  walletOf.set(account, wallet)
  const [oldest] = accountOf
  if (accountOf.size > REMEMBERED && oldest !== undefined) {
    accountOf.delete(oldest[0])
    walletOf.delete(oldest[1])
  }
  return account
}

/** The wallet of an associated account, if it was derived before. */
export function walletAt(account: string): string | undefined {
  return walletOf.get(account)
}
