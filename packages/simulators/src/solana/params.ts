import { type Address, getBase58Encoder, isAddress, isSignature, type Signature } from '@solana/kit'
import type { Commitment } from './chain.ts'
import { invalidParams } from './rpc-error.ts'

/** `legacy` is base58 where nobody asked for it. */
export type Encoding = 'legacy' | 'base58' | 'base64' | 'base64+zstd' | 'jsonParsed'

export interface AccountOptions {
  readonly encoding: Encoding
  /** A part of the data, in bytes. */
  readonly slice: { readonly offset: number; readonly length: number } | undefined
}

export type TransactionEncoding = 'json' | 'jsonParsed' | 'base58' | 'base64'

export interface TransactionOptions {
  readonly encoding: TransactionEncoding
  /** The newest version that the client says it reads; undefined for the legacy form only. */
  readonly newest: number | undefined
}

/** Whether an account's data is asked for. */
export type Filter = (data: Uint8Array) => boolean

const COMMITMENTS: readonly Commitment[] = ['processed', 'confirmed', 'finalized']
const ENCODINGS: readonly Encoding[] = ['base58', 'base64', 'base64+zstd', 'jsonParsed']
const TRANSACTION_ENCODINGS: readonly TransactionEncoding[] = ['json', 'jsonParsed', 'base58', 'base64']
/** Most filters of one call, as Agave has it. */
const MOST_FILTERS = 4

/** The parameters of a call, read by their places; what is wrong is -32602. */
export class Params {
  readonly #list: readonly unknown[]

  constructor(params: unknown) {
    if (params !== undefined && !Array.isArray(params)) throw invalidParams('`params` should be an array')
    this.#list = params ?? []
  }

  has(place: number): boolean {
    return this.#list[place] !== undefined && this.#list[place] !== null
  }

  value(place: number): unknown {
    return this.#need(place)
  }

  text(place: number): string {
    return toText(this.#need(place))
  }

  address(place: number): Address {
    return toAddress(this.#need(place))
  }

  list(place: number): readonly unknown[] {
    const value = this.#need(place)
    if (!Array.isArray(value)) throw invalidParams('Invalid params: invalid type, expected a sequence.')
    return value
  }

  /** A whole number from 0. */
  number(place: number): number {
    return toNumber(this.#need(place), 'a whole number')
  }

  /** The object at a place; an empty one when there is none. */
  fields(place: number): Readonly<Record<string, unknown>> {
    const value = this.#list[place]
    if (value === undefined || value === null) return {}
    if (typeof value !== 'object' || Array.isArray(value)) {
      throw invalidParams('Invalid params: invalid type, expected an object.')
    }
    return { ...value }
  }

  commitment(place: number): Commitment {
    const { commitment } = this.fields(place)
    return commitment === undefined || commitment === null ? 'finalized' : oneOf(commitment, COMMITMENTS)
  }

  accountOptions(place: number, usual: Encoding): AccountOptions {
    const { encoding, dataSlice } = this.fields(place)
    return {
      encoding: encoding === undefined || encoding === null ? usual : oneOf(encoding, ENCODINGS),
      slice: dataSlice === undefined || dataSlice === null ? undefined : toSlice(dataSlice),
    }
  }

  transactionOptions(place: number): TransactionOptions {
    // An encoding alone may stand where its options do: the older form.
    const alone = this.#list[place]
    const { encoding, maxSupportedTransactionVersion: newest } =
      typeof alone === 'string' ? { encoding: alone } : this.fields(place)
    return {
      encoding: encoding === undefined || encoding === null ? 'json' : oneOf(encoding, TRANSACTION_ENCODINGS),
      newest: newest === undefined || newest === null ? undefined : toNumber(newest, 'u8'),
    }
  }

  /** How many, from 1 to `most`, which it is unless told. */
  limit(place: number, most: number): number {
    const { limit } = this.fields(place)
    if (limit === undefined || limit === null) return most
    const asked = toNumber(limit, 'usize')
    if (asked >= 1 && asked <= most) return asked
    throw invalidParams(`Invalid limit; max ${most}`)
  }

  /** A signature among the options, if it is there. */
  signature(place: number, name: string): Signature | undefined {
    const value = this.fields(place)[name]
    return value === undefined || value === null ? undefined : toSignature(value)
  }

  filters(place: number): Filter {
    const { filters = [] } = this.fields(place)
    if (!Array.isArray(filters)) throw invalidParams('Invalid params: invalid type, expected a sequence.')
    if (filters.length > MOST_FILTERS) {
      throw invalidParams(`Too many filters provided; max ${MOST_FILTERS}`)
    }
    const all = filters.map(toFilter)
    return (data) => all.every((filter) => filter(data))
  }

  #need(place: number): unknown {
    if (this.#list.length <= place) throw invalidParams(`\`params\` should have at least ${place + 1} argument(s)`)
    return this.#list[place]
  }
}

/** An address in base58. */
export function toAddress(value: unknown): Address {
  const text = toText(value)
  if (isAddress(text)) return text
  throw wrong(text)
}

/** A signature in base58. */
export function toSignature(value: unknown): Signature {
  const text = toText(value)
  if (isSignature(text)) return text
  throw wrong(text)
}

export function toText(value: unknown): string {
  if (typeof value === 'string') return value
  throw invalidParams('Invalid params: invalid type, expected a string.')
}

function wrong(text: string) {
  return invalidParams(`Invalid param: ${/^[1-9A-HJ-NP-Za-km-z]+$/.test(text) ? 'WrongSize' : 'Invalid'}`)
}

function toNumber(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value
  throw invalidParams(`Invalid params: invalid type, expected ${what}.`)
}

function toSlice(value: unknown) {
  const { offset, length }: Record<string, unknown> = { ...Object(value) }
  return { offset: toNumber(offset, 'an offset'), length: toNumber(length, 'a length') }
}

function toFilter(value: unknown): Filter {
  const { dataSize, memcmp }: Record<string, unknown> = { ...Object(value) }
  if (dataSize !== undefined) {
    const size = toNumber(dataSize, 'a size')
    return (data) => data.length === size
  }
  if (memcmp === undefined) throw invalidParams('Invalid params: unknown filter, expected `dataSize` or `memcmp`.')
  const { offset, bytes, encoding = 'base58' }: Record<string, unknown> = { ...Object(memcmp) }
  const from = toNumber(offset, 'an offset')
  const wanted = toBytes(toText(bytes), oneOf(encoding, ['base58', 'base64']))
  return (data) => Buffer.compare(data.subarray(from, from + wanted.length), wanted) === 0
}

/** Bytes that came as text. */
export function toBytes(text: string, encoding: 'base58' | 'base64'): Uint8Array {
  if (encoding === 'base64') return Buffer.from(text, 'base64')
  try {
    return new Uint8Array(getBase58Encoder().encode(text))
  } catch {
    throw invalidParams('Invalid param: Invalid base58')
  }
}

export function oneOf<Name extends string>(value: unknown, names: readonly Name[]): Name {
  const name = names.find((known) => known === value)
  if (name !== undefined) return name
  const expected = names.map((known) => `\`${known}\``).join(', ')
  throw invalidParams(`Invalid params: unknown variant \`${String(value)}\`, expected one of ${expected}.`)
}
