import { isAddress } from '@solana/kit'

/** The result of parsing a Solana address. */
export type WalletText =
  | { readonly state: 'empty' | 'short' }
  | { readonly state: 'wrong'; readonly why: string }
  | { readonly state: 'wallet'; readonly wallet: string }

const NOT_BASE58 = /[^1-9A-HJ-NP-Za-km-z]/

/** Parses an address while the user types it, ignoring blanks. `short`: incomplete, but valid so far. */
export function readWallet(typed: string): WalletText {
  const text = typed.replace(/\s+/g, '')
  if (text === '') return { state: 'empty' }
  const [stranger] = NOT_BASE58.exec(text) ?? []
  if (stranger !== undefined) return { state: 'wrong', why: `An address has no “${stranger}” in it.` }
  if (isAddress(text)) return { state: 'wallet', wallet: text }
  if (text.length < 32) return { state: 'short' }
  if (text.length > 44)
    return { state: 'wrong', why: `An address has 44 characters at most, and this has ${text.length}.` }
  return {
    state: 'wrong',
    why: 'This is no address: it is not 32 bytes long. A character is missing, or one too many.',
  }
}
