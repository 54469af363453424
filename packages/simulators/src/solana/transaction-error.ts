/** As the wire has it: a name such as `BlockhashNotFound`, or what went wrong in which instruction. */
export type TransactionError =
  | string
  | { readonly InstructionError: readonly [number, InstructionError] }
  | { readonly InsufficientFundsForRent: { readonly account_index: number } }

type InstructionError = string | { readonly Custom: number }

/** Reads what LiteSVM says of a failure, such as `err: InstructionError(0, Custom(1))`. */
export function readFailure(said: string): TransactionError {
  const rent = /err: InsufficientFundsForRent \{ account_index: (\d+) \}/.exec(said)
  if (rent !== null) return { InsufficientFundsForRent: { account_index: Number(rent[1]) } }
  const match = /err: (\w+)(?:\((\d+), (\w+)(?:\((\d+)\))?)?/.exec(said)
  if (match === null) throw new Error(`expected LiteSVM to name the error of a transaction, got ${said}`)
  const [, name = '', instruction, inner = '', custom] = match
  if (name !== 'InstructionError') return name
  return { InstructionError: [Number(instruction), custom === undefined ? inner : { Custom: Number(custom) }] }
}

const WORDS: Readonly<Record<string, string>> = {
  AccountLoadedTwice: 'Account loaded twice',
  AccountNotFound: 'Attempt to debit an account but found no record of a prior credit.',
  AlreadyProcessed: 'This transaction has already been processed',
  AddressLookupTableNotFound: "Transaction loads an address table account that doesn't exist",
  BlockhashNotFound: 'Blockhash not found',
  InvalidAddressLookupTableData: 'Transaction loads an address table account with invalid data',
  InvalidAddressLookupTableIndex: 'Transaction address table lookup uses an invalid index',
  InvalidAddressLookupTableOwner: 'Transaction loads an address table account with an invalid owner',
  SanitizeFailure: 'Transaction failed to sanitize accounts offsets correctly',
}

/** The error as Agave's sentence; where that is not known, its name. */
export function describe(error: TransactionError): string {
  if (typeof error === 'string') return WORDS[error] ?? error
  if ('InsufficientFundsForRent' in error) {
    const { account_index: index } = error.InsufficientFundsForRent
    return `Transaction results in an account (${index}) with insufficient funds for rent`
  }
  const [index, inner] = error.InstructionError
  const what = typeof inner === 'string' ? inner : `custom program error: 0x${inner.Custom.toString(16)}`
  return `Error processing Instruction ${index}: ${what}`
}
