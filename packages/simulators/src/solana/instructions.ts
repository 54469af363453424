import { getAddressDecoder } from '@solana/kit'
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { showAmount } from './accounts.ts'

interface Parsed {
  readonly program: string
  readonly parsed: unknown
}

type Parse = (accounts: readonly string[], data: Uint8Array) => unknown

const PROGRAMS: Readonly<Record<string, readonly [program: string, Parse]>> = {
  [TOKEN_PROGRAM_ADDRESS]: ['spl-token', parseToken],
  ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL: ['spl-associated-token-account', parseAssociated],
  MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr: ['spl-memo', parseMemo],
  Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo: ['spl-memo', parseMemo],
  '11111111111111111111111111111111': ['system', parseSystem],
}

/** An instruction as `jsonParsed` has it; undefined where it is shown with its bytes. */
export function parseInstruction(programId: string, accounts: readonly string[], data: Uint8Array): Parsed | undefined {
  const [program, parse] = PROGRAMS[programId] ?? []
  const parsed = parse?.(accounts, data)
  return program === undefined || parsed === undefined ? undefined : { program, parsed }
}

/** How an instruction of a program is shown: its type, its accounts by name in their order, and what its data says. */
interface Form {
  readonly type: string
  readonly accounts: readonly string[]
  /** Bytes of data that it has at least, the number of the instruction among them. */
  readonly bytes: number
  /** Whether more signers may follow, for an owner that is several: the last account is then named as `multisig…`. */
  readonly signers?: boolean
  data?(view: DataView): object
}

const amount = (view: DataView) => ({ amount: String(view.getBigUint64(1, true)) })
const tokenAmount = (view: DataView) => ({ tokenAmount: showAmount(view.getBigUint64(1, true), view.getUint8(9)) })
const signers = true

/** By their number, the first byte of the data. */
const TOKEN: Readonly<Record<number, Form>> = {
  3: { type: 'transfer', accounts: ['source', 'destination', 'authority'], bytes: 9, signers, data: amount },
  4: { type: 'approve', accounts: ['source', 'delegate', 'owner'], bytes: 9, signers, data: amount },
  5: { type: 'revoke', accounts: ['source', 'owner'], bytes: 1, signers },
  7: { type: 'mintTo', accounts: ['mint', 'account', 'mintAuthority'], bytes: 9, signers, data: amount },
  8: { type: 'burn', accounts: ['account', 'mint', 'authority'], bytes: 9, signers, data: amount },
  9: { type: 'closeAccount', accounts: ['account', 'destination', 'owner'], bytes: 1, signers },
  10: { type: 'freezeAccount', accounts: ['account', 'mint', 'freezeAuthority'], bytes: 1, signers },
  11: { type: 'thawAccount', accounts: ['account', 'mint', 'freezeAuthority'], bytes: 1, signers },
  12: {
    type: 'transferChecked',
    accounts: ['source', 'mint', 'destination', 'authority'],
    bytes: 10,
    signers,
    data: tokenAmount,
  },
  13: {
    type: 'approveChecked',
    accounts: ['source', 'mint', 'delegate', 'owner'],
    bytes: 10,
    signers,
    data: tokenAmount,
  },
  14: { type: 'mintToChecked', accounts: ['mint', 'account', 'mintAuthority'], bytes: 10, signers, data: tokenAmount },
  15: { type: 'burnChecked', accounts: ['account', 'mint', 'authority'], bytes: 10, signers, data: tokenAmount },
  17: { type: 'syncNative', accounts: ['account'], bytes: 1 },
  18: {
    type: 'initializeAccount3',
    accounts: ['account', 'mint'],
    bytes: 33,
    data: (view) => ({ owner: key(view, 1) }),
  },
  20: {
    type: 'initializeMint2',
    accounts: ['mint'],
    bytes: 35,
    data: (view) => ({
      decimals: view.getUint8(1),
      mintAuthority: key(view, 2),
      ...(view.getUint8(34) === 1 && view.byteLength >= 67 && { freezeAuthority: key(view, 35) }),
    }),
  },
  21: { type: 'getAccountDataSize', accounts: ['mint'], bytes: 1 },
  22: { type: 'initializeImmutableOwner', accounts: ['account'], bytes: 1 },
}

function parseToken(accounts: readonly string[], data: Uint8Array): unknown {
  return fill(TOKEN[data[0] ?? -1], accounts, data)
}

const ASSOCIATED = ['source', 'account', 'wallet', 'mint', 'systemProgram', 'tokenProgram']

function parseAssociated(accounts: readonly string[], data: Uint8Array): unknown {
  // At first the program could do one thing only, and was told nothing.
  const type = ['create', 'createIdempotent'][data[0] ?? 0]
  return type === undefined ? undefined : fill({ type, accounts: ASSOCIATED, bytes: 0 }, accounts, data)
}

/** By their number, 32 bits of the data. */
const SYSTEM: Readonly<Record<number, Form>> = {
  0: {
    type: 'createAccount',
    accounts: ['source', 'newAccount'],
    bytes: 52,
    data: (view) => ({
      lamports: view.getBigUint64(4, true),
      owner: key(view, 20),
      space: view.getBigUint64(12, true),
    }),
  },
  2: {
    type: 'transfer',
    accounts: ['source', 'destination'],
    bytes: 12,
    data: (view) => ({ lamports: view.getBigUint64(4, true) }),
  },
}

function parseSystem(accounts: readonly string[], data: Uint8Array): unknown {
  return data.length < 4 ? undefined : fill(SYSTEM[view(data).getUint32(0, true)], accounts, data)
}

function parseMemo(_: readonly string[], data: Uint8Array): unknown {
  return new TextDecoder().decode(data)
}

function fill(form: Form | undefined, accounts: readonly string[], data: Uint8Array): unknown {
  if (form === undefined || data.length < form.bytes || accounts.length < form.accounts.length) return undefined
  const named = form.accounts.map((name, place) => [name, accounts[place]] as const)
  const more = form.signers === true ? accounts.slice(named.length) : []
  if (more.length > 0) {
    const [name, owner] = named.pop() ?? ['', undefined]
    named.push([`multisig${name.charAt(0).toUpperCase()}${name.slice(1)}`, owner])
  }
  const info = { ...Object.fromEntries(named), ...(more.length > 0 && { signers: more }), ...form.data?.(view(data)) }
  return { info, type: form.type }
}

function view(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength)
}

function key(view: DataView, place: number): string {
  return getAddressDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + place, 32))
}
