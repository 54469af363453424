import {
  AccountRole,
  type Address,
  type Blockhash,
  getBase58Decoder,
  getBase58Encoder,
  type Instruction,
  type MaybeEncodedAccount,
  mergeRoles,
} from '@solana/kit'
import { toAddress, toKey } from './keys.ts'

/** What was signed: the legacy form, and version 0 that may name accounts by lookup tables. */
export interface Message {
  readonly version: 'legacy' | 0
  /** How many accounts must sign, how many of these are read only, and how many of the others are. */
  readonly header: readonly [signers: number, readonlySigners: number, readonlyOthers: number]
  readonly accounts: readonly Address[]
  readonly blockhash: string
  readonly instructions: readonly Compiled[]
  readonly lookups: readonly Lookup[]
}

interface Compiled {
  /** Places among the accounts. */
  readonly program: number
  readonly accounts: readonly number[]
  readonly data: Uint8Array
}

interface Lookup {
  readonly table: Address
  /** Places in the table. */
  readonly writable: readonly number[]
  readonly readonly: readonly number[]
}

const LOOKUP_TABLES = 'AddressLookupTab1e1111111111111111111111111'
/** Bytes of a lookup table before its addresses. */
const TABLE_HEAD = 56

/**
 * Reads a message as strictly as validators do: undefined when it can't be read, or not to its last byte. Counts may be
 * written in one way only, since LiteSVM ends the process where it can't read a transaction.
 */
export function readMessage(bytes: ArrayLike<number>): Message | undefined {
  const reader = new Reader(Uint8Array.from(bytes))
  try {
    const message = reader.message()
    return reader.left === 0 ? message : undefined
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

export interface Unsigned {
  readonly bytes: Uint8Array
  /** Who must sign, in the order of their signatures. */
  readonly signers: readonly Address[]
}

/** In which order a message has its accounts. */
const ROLES = [
  AccountRole.WRITABLE_SIGNER,
  AccountRole.READONLY_SIGNER,
  AccountRole.WRITABLE,
  AccountRole.READONLY,
] as const

/** A message of version 0 without lookup tables: what the client's own compiler makes, in a tenth of the time. */
export function writeMessage(payer: Address, blockhash: Blockhash, instructions: readonly Instruction[]): Unsigned {
  const roles = new Map<Address, AccountRole>([[payer, AccountRole.WRITABLE_SIGNER]])
  const name = (address: Address, role: AccountRole) =>
    roles.set(address, mergeRoles(roles.get(address) ?? AccountRole.READONLY, role))
  for (const { programAddress, accounts = [] } of instructions) {
    for (const { address, role } of accounts) name(address, role)
    name(programAddress, AccountRole.READONLY)
  }
  const places = ROLES.map((wanted) => [...roles].filter(([, role]) => role === wanted).map(([address]) => address))
  const accounts = places.flat()
  const [signing = 0, readonlySigners = 0, , readonlyOthers = 0] = places.map(({ length }) => length)
  const parts = instructions.map(({ programAddress, accounts: named = [], data = new Uint8Array() }) => [
    [accounts.indexOf(programAddress)],
    writeCount(named.length),
    named.map(({ address }) => accounts.indexOf(address)),
    writeCount(data.length),
    data,
  ])
  const bytes = concat([
    [0x80, signing + readonlySigners, readonlySigners, readonlyOthers],
    writeCount(accounts.length),
    ...accounts.map(toKey),
    getBase58Encoder().encode(blockhash),
    writeCount(instructions.length),
    ...parts.flat(),
    writeCount(0),
  ])
  return { bytes, signers: accounts.slice(0, signing + readonlySigners) }
}

export function writeCount(count: number): readonly number[] {
  return count < 0x80 ? [count] : [(count & 0x7f) | 0x80, ...writeCount(count >> 7)]
}

export function concat(parts: readonly ArrayLike<number>[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Whether the message lets an account of its own be changed, by its place. */
export function isWritable({ header, accounts }: Message, place: number): boolean {
  const [signers, readonlySigners, readonlyOthers] = header
  return place < signers ? place < signers - readonlySigners : place < accounts.length - readonlyOthers
}

/** The addresses of a lookup table; none when the account is no such table. */
export function readTable(account: MaybeEncodedAccount): readonly Address[] {
  if (!account.exists || account.programAddress !== LOOKUP_TABLES) return []
  const reader = new Reader(Uint8Array.from(account.data.subarray(TABLE_HEAD)))
  return Array.from({ length: Math.floor(reader.left / 32) }, () => reader.address())
}

/** Throws a `RangeError` where the bytes end too early, or say what nobody writes. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  message(): Message {
    const isVersioned = (this.#bytes[0] ?? 0) >= 0x80
    if (isVersioned && this.#byte() !== 0x80) throw new RangeError('expected version 0')
    return {
      version: isVersioned ? 0 : 'legacy',
      header: [this.#byte(), this.#byte(), this.#byte()],
      accounts: this.#list(() => this.address()),
      blockhash: getBase58Decoder().decode(this.#take(32)),
      instructions: this.#list(() => ({
        program: this.#byte(),
        accounts: this.#places(),
        data: this.#take(this.#count()),
      })),
      lookups: isVersioned
        ? this.#list(() => ({ table: this.address(), writable: this.#places(), readonly: this.#places() }))
        : [],
    }
  }

  address(): Address {
    return toAddress(this.#take(32))
  }

  #places(): readonly number[] {
    return this.#list(() => this.#byte())
  }

  #list<Item>(item: () => Item): readonly Item[] {
    return Array.from({ length: this.#count() }, item)
  }

  /** A count of at most 16 bits, seven in each byte, the lowest first. */
  #count(): number {
    let count = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#byte()
      count |= (byte & 0x7f) << shift
      if ((byte === 0 && shift > 0) || count > 0xffff || shift > 14) throw new RangeError('expected a count')
      if (byte < 0x80) return count
    }
  }

  #byte(): number {
    return this.#take(1)[0] ?? 0
  }

  #take(length: number): Uint8Array {
    if (length > this.left) throw new RangeError('expected more bytes')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}
