import { KeyObject, sign as signBytes } from 'node:crypto'
import {
  AccountRole,
  type Address,
  address,
  blockhash,
  generateKeyPairSigner,
  getAddressEncoder,
  getBase58Encoder,
  getCompiledTransactionMessageDecoder,
  getCompiledTransactionMessageEncoder,
  type KeyPairSigner,
} from '@solana/kit'
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, isWritable, readMessage, writeCount, writeMessage } from './message.ts'
import { start, withToken } from './test-node.ts'

const SYSTEM = address('11111111111111111111111111111111')
const PROGRAMS = [
  SYSTEM,
  TOKEN_PROGRAM_ADDRESS,
  address('ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL'),
  address('ComputeBudget111111111111111111111111111111'),
  address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr'),
  address('AddressLookupTab1e1111111111111111111111111'),
  address('BPFLoaderUpgradeab1e11111111111111111111111'),
  address('Stake11111111111111111111111111111111111111'),
  address('Vote111111111111111111111111111111111111111'),
]
const ROLES = [
  AccountRole.READONLY,
  AccountRole.WRITABLE,
  AccountRole.READONLY_SIGNER,
  AccountRole.WRITABLE_SIGNER,
] as const

/** What programs read as the number of an instruction and its operands. */
const bytes = fc
  .tuple(fc.nat(25), fc.constantFrom(1, 4), fc.uint8Array({ maxLength: 40 }))
  .map(([number, size, rest]) => Uint8Array.from([number, ...new Uint8Array(size - 1), ...rest]))

describe('a message', () => {
  const [payer = SYSTEM, ...others] = PROGRAMS
  const meta = fc.record({ address: fc.constantFrom(payer, ...others), role: fc.constantFrom(...ROLES) })
  const instruction = fc.record({
    programAddress: fc.constantFrom(...others),
    accounts: fc.array(meta, { maxLength: 6 }),
    data: fc.uint8Array({ maxLength: 200 }),
  })

  test('that is written is read again, by the official client too, with every role at least as it was wished', () => {
    const hash = blockhash('4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM')
    fc.assert(
      fc.property(fc.array(instruction, { maxLength: 5 }), (instructions) => {
        const written = writeMessage(payer, hash, instructions)
        const message = readMessage(written.bytes)
        if (message === undefined) throw new Error('expected what was written to be read')
        const { accounts, header } = message
        expect(accounts[0]).toBe(payer)
        expect(new Set(accounts).size).toBe(accounts.length)
        expect(written.signers).toEqual(accounts.slice(0, header[0]))
        expect(message.instructions.map(({ program }) => accounts[program])).toEqual(
          instructions.map(({ programAddress }) => programAddress),
        )
        for (const [place, { accounts: named, data }] of instructions.entries()) {
          const read = message.instructions[place]
          expect(read?.data).toEqual(data)
          expect(read?.accounts.map((account) => accounts[account])).toEqual(named.map((one) => one.address))
          for (const { address: name, role } of named) {
            const at = accounts.indexOf(name)
            if (role >= AccountRole.READONLY_SIGNER) expect(at).toBeLessThan(header[0])
            if (role === AccountRole.WRITABLE || role === AccountRole.WRITABLE_SIGNER) {
              expect(isWritable(message, at)).toBe(true)
            }
          }
        }
        const decoded = getCompiledTransactionMessageDecoder().decode(written.bytes)
        expect(getCompiledTransactionMessageEncoder().encode(decoded)).toEqual(written.bytes)
        expect(decoded.staticAccounts).toEqual(accounts)
      }),
    )
  })

  test.each([
    ['cut off', (whole: number[]) => whole.slice(0, -1)],
    ['with bytes behind it', (whole: number[]) => [...whole, 0]],
    ['of version 1', (whole: number[]) => [0x81, ...whole.slice(1)]],
    // Three accounts written as 0x83 0x00: LiteSVM ends the process.
    ['with a count in a longer form', (whole: number[]) => [...whole.slice(0, 4), 0x81, 0, ...whole.slice(5)]],
    [
      'with a count of more than 16 bits',
      (whole: number[]) => [...whole.slice(0, 4), 0xff, 0xff, 0x7f, ...whole.slice(5)],
    ],
    ['of nothing', () => []],
  ])('%s is none', (_, change) => {
    const hash = blockhash('4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM')
    const whole = [...writeMessage(payer, hash, []).bytes]
    expect(readMessage(whole)).toBeDefined()
    expect(readMessage(change(whole))).toBe(undefined)
  })
})

/** A message as bytes, whatever it says; places and counts may be wrong. */
interface Draft {
  readonly versioned: boolean
  readonly header: readonly number[]
  readonly accounts: readonly number[]
  readonly instructions: readonly {
    readonly program: number
    readonly accounts: readonly number[]
    readonly data: Uint8Array
  }[]
  readonly lookups: readonly {
    readonly table: number
    readonly writable: readonly number[]
    readonly readonly: readonly number[]
  }[]
}

describe('validly signed and malformed', () => {
  // Most places are within the message, and most messages in themselves as they should be: else no more than the first check is met.
  const place = fc.oneof({ weight: 20, arbitrary: fc.nat(7) }, { weight: 1, arbitrary: fc.nat(255) })
  const places = fc.array(place, { maxLength: 5 })
  const lookup = fc.record({ table: fc.nat(13), writable: places, readonly: places })
  const draft: fc.Arbitrary<Draft> = fc.record({
    versioned: fc.boolean(),
    header: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom([1, 0, 0], [1, 0, 5], [2, 0, 4], [2, 1, 4]) },
      { weight: 1, arbitrary: fc.tuple(fc.nat(4), fc.nat(4), fc.nat(12)) },
    ),
    accounts: fc.oneof(
      {
        weight: 8,
        arbitrary: fc
          .shuffledSubarray([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], { minLength: 6, maxLength: 6 })
          .map((rest) => [1, ...rest]),
      },
      { weight: 1, arbitrary: fc.array(fc.nat(13), { maxLength: 9 }) },
    ),
    instructions: fc.array(fc.record({ program: place, accounts: places, data: bytes }), { maxLength: 3 }),
    lookups: fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(lookup, { maxLength: 2 }) },
    ),
  })

  function write(pool: readonly Address[], hash: string, one: Draft): Uint8Array {
    const { versioned, header, accounts, instructions, lookups } = one
    const key = (at: number) => getAddressEncoder().encode(pool[at] ?? SYSTEM)
    const list = (numbers: readonly number[]) => [writeCount(numbers.length), numbers]
    return concat([
      versioned ? [0x80] : [],
      header,
      writeCount(accounts.length + 1),
      ...[0, ...accounts].map(key),
      getBase58Encoder().encode(hash),
      writeCount(instructions.length),
      ...instructions.flatMap(({ program, accounts: named, data }) => [
        [program],
        ...list(named),
        writeCount(data.length),
        data,
      ]),
      ...(versioned ? [writeCount(lookups.length)] : []),
      ...(versioned
        ? lookups.flatMap(({ table, writable, readonly }) => [key(table), ...list(writable), ...list(readonly)])
        : []),
    ])
  }

  function signAll(signers: readonly KeyPairSigner[], message: Uint8Array): string {
    const { accounts = [], header = [1] } = readMessage(message) ?? {}
    const count = Math.max(1, Math.min(header[0], accounts.length))
    const signatures = Array.from({ length: count }, (_, at) => {
      const signer = signers.find((one) => one.address === accounts[at]) ?? signers[0]
      if (signer === undefined) throw new Error('expected signers')
      return signBytes(null, message, KeyObject.from(signer.keyPair.privateKey))
    })
    return Buffer.from(concat([writeCount(count), ...signatures, message])).toString('base64')
  }

  test('no transaction ends the node, and each is answered as a node would', async () => {
    await using sim = await start({ limits: { calls: 100_000 } })
    const { mint, alice, bob, aliceAccount } = await withToken(sim)
    const stranger = await generateKeyPairSigner(true)
    const signers = [alice, bob, stranger]
    const pool = [alice.address, bob.address, aliceAccount, mint.address, stranger.address, ...PROGRAMS]
    const seen = new Map<string, number>()
    const send = async (wire: string, skipPreflight: boolean) => {
      const answer = await sim.call('sendTransaction', wire, { encoding: 'base64', skipPreflight })
      const what = typeof answer === 'string' ? 'sent' : `${answer.code} ${answer.message}`
      const name = what.replace(/\d+: .*/, '')
      seen.set(name, (seen.get(name) ?? 0) + 1)
      expect(name).toMatch(/^(sent|-32602 (failed to deserialize|invalid transaction|.*too large)|-32002 |-32003 )/)
    }
    const change = fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 255 }))
    await fc.assert(
      fc.asyncProperty(
        draft,
        fc.oneof(
          { weight: 5, arbitrary: fc.constant([]) },
          { weight: 1, arbitrary: fc.array(change, { maxLength: 2 }) },
        ),
        fc.boolean(),
        async (one, changes, skipPreflight) => {
          const message = write(pool, sim.chain.blockhash(sim.chain.slot), one)
          for (const [at, by] of changes) if (at < message.length) message[at] = (message[at] ?? 0) ^ by
          await send(signAll(signers, message), skipPreflight)
        },
      ),
      { numRuns: 300 },
    )
    // Not all end at the first check.
    expect(seen.get('sent')).toBeGreaterThan(0)
    expect(seen.get('-32002 Transaction simulation failed: Error processing Instruction ')).toBeGreaterThan(0)
    expect(await sim.call('getHealth')).toBe('ok')
  })
})
