import {
  AccountRole,
  address,
  appendTransactionMessageInstruction,
  appendTransactionMessageInstructions,
  compileTransaction,
  compressTransactionMessageUsingAddressLookupTables,
  createSolanaRpc,
  createTransactionMessage,
  getAddressEncoder,
  getBase58Decoder,
  getBase58Encoder,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  type Instruction,
  lamports,
  pipe,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  signature,
  signTransaction,
} from '@solana/kit'
import { getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { describe, expect, test } from 'vitest'
import { History } from './history.ts'
import { execute } from './index.ts'
import { sign } from './sign.ts'
import { connect, start, withToken } from './test-node.ts'

const confirmed = { commitment: 'confirmed' }
const NOBODY = '11111111111111111111111111111112'
const MEMO = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')

function memo(text: string): Instruction {
  return { programAddress: MEMO, data: new TextEncoder().encode(text) }
}

const signaturesOf = (list: readonly { signature: string }[]) => list.map(({ signature }) => signature)

describe('getSignaturesForAddress', () => {
  test('the newest come first, each once it is confirmed, and pages meet without a gap', async () => {
    await using sim = await start()
    const { aliceAccount, pay } = await withToken(sim)
    const sent: string[] = []
    for (let amount = 1n; amount <= 5n; amount++) {
      sent.unshift((await pay(amount)).signature)
      sim.pass(1)
    }
    const list = async (options: object) =>
      signaturesOf(await sim.call('getSignaturesForAddress', aliceAccount, { ...confirmed, ...options }))
    // The newest is not confirmed yet; the oldest of all gave Alice her tokens.
    expect((await list({})).slice(0, -1)).toEqual(sent.slice(1))
    sim.pass(1)
    const all = await list({})
    expect(all.slice(0, -1)).toEqual(sent)
    expect(await list({ limit: 2 })).toEqual(sent.slice(0, 2))
    expect(await list({ before: sent[1], limit: 2 })).toEqual(sent.slice(2, 4))
    expect(await list({ until: sent[2] })).toEqual(sent.slice(0, 2))
    expect(await list({ before: sent[0], until: sent[3] })).toEqual(sent.slice(1, 3))
    const unknown = '5'.repeat(87)
    expect(await list({ before: unknown })).toEqual([])
    expect(await list({ until: unknown })).toEqual(all)
    expect(await sim.call('getSignaturesForAddress', aliceAccount)).toEqual([])
    sim.pass(29)
    expect(signaturesOf(await sim.call('getSignaturesForAddress', aliceAccount))).toEqual(all.slice(1))
  })

  test('an entry says when and how it ended, and what the memo program was given', async () => {
    await using sim = await start()
    const { alice, bob, mint, aliceAccount } = await withToken(sim)
    const transfer = await mint.transfer(alice, bob.address, 1n)
    const { signature } = execute(sim.chain, alice, [...transfer, memo('ticket')])
    const tooMuch = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 200_000n))
    const wire = getBase64EncodedWireTransaction(tooMuch)
    const failed = await sim.call('sendTransaction', wire, { encoding: 'base64', skipPreflight: true })
    sim.pass(2)
    const [newest, older] = await sim.call('getSignaturesForAddress', aliceAccount, { ...confirmed, limit: 2 })
    const at = { blockTime: 1_800_000_000, confirmationStatus: 'confirmed', slot: 10_000 }
    expect(newest).toEqual({ ...at, err: { InstructionError: [1, { Custom: 1 }] }, memo: null, signature: failed })
    expect(older).toEqual({ ...at, err: null, memo: '[6] ticket', signature })
    sim.pass(30)
    const [final] = await sim.call('getSignaturesForAddress', aliceAccount, { ...confirmed, limit: 1 })
    expect(final.confirmationStatus).toBe('finalized')
  })

  test('who only mentions an account is listed too', async () => {
    await using sim = await start()
    const { bob, mint, aliceAccount } = await withToken(sim)
    await mint.give(bob.address, 1n)
    sim.pass(1)
    const [, pay] = await mint.transfer(bob, bob.address, 1n)
    if (pay === undefined) throw new Error('expected a transfer')
    const mentioning = {
      ...pay,
      accounts: [...(pay.accounts ?? []), { address: aliceAccount, role: AccountRole.READONLY }],
    }
    const { signature } = execute(sim.chain, bob, [mentioning])
    sim.pass(2)
    const [newest] = await sim.call('getSignaturesForAddress', aliceAccount, confirmed)
    expect(newest).toMatchObject({ signature, err: null })
  })

  test('who names an account through a lookup table is listed too, and the table is shown', async () => {
    await using sim = await start()
    const { bob, mint, aliceAccount } = await withToken(sim)
    await mint.give(bob.address, 10n)
    const table = address('4wTQ6pVPTVRDYsQCZ7nDFbXxvfW7w8oq3YYqXz7nEMbk')
    const data = Buffer.alloc(56 + 64)
    data.writeUInt32LE(1)
    data.writeBigUInt64LE(2n ** 64n - 1n, 4)
    data.set(getAddressEncoder().encode(aliceAccount), 56)
    data.set(getAddressEncoder().encode(mint.address), 88)
    sim.chain.put({
      address: table,
      programAddress: address('AddressLookupTab1e1111111111111111111111111'),
      data,
      lamports: lamports(1_000_000_000n),
      executable: false,
      space: BigInt(data.length),
    })
    sim.pass(1)
    const instruction = getTransferCheckedInstruction({
      source: await mint.accountOf(bob.address),
      mint: mint.address,
      destination: aliceAccount,
      authority: bob,
      amount: 3n,
      decimals: 2,
    })
    const lifetime = { blockhash: sim.chain.blockhash(sim.chain.slot), lastValidBlockHeight: 10_151n }
    const message = pipe(
      createTransactionMessage({ version: 0 }),
      (empty) => setTransactionMessageFeePayer(bob.address, empty),
      (paid) => setTransactionMessageLifetimeUsingBlockhash(lifetime, paid),
      (timed) => appendTransactionMessageInstruction(instruction, timed),
      (whole) => compressTransactionMessageUsingAddressLookupTables(whole, { [table]: [aliceAccount, mint.address] }),
      (small) => compileTransaction(small),
    )
    const sent = sim.chain.send(await signTransaction([bob.keyPair], message))
    expect(sent.error).toBe(null)
    const { signature } = sent
    sim.pass(2)
    const [newest] = await sim.call('getSignaturesForAddress', aliceAccount, confirmed)
    expect(newest).toMatchObject({ signature, err: null })
    const options = { ...confirmed, maxSupportedTransactionVersion: 0 }
    const { meta, transaction } = await sim.call('getTransaction', signature, options)
    expect(meta.loadedAddresses).toEqual({ readonly: [mint.address], writable: [aliceAccount] })
    const { accountKeys, addressTableLookups } = transaction.message
    expect(addressTableLookups).toEqual([{ accountKey: table, readonlyIndexes: [1], writableIndexes: [0] }])
    expect(accountKeys).not.toContain(aliceAccount)
    const { uiTokenAmount } = meta.postTokenBalances.find(
      ({ accountIndex }: { accountIndex: number }) => accountIndex === accountKeys.length,
    )
    expect(uiTokenAmount.amount).toBe('100003')
    const parsed = await sim.call('getTransaction', signature, { ...options, encoding: 'jsonParsed' })
    expect(parsed.transaction.message.accountKeys.slice(-2)).toEqual([
      { pubkey: aliceAccount, signer: false, source: 'lookupTable', writable: true },
      { pubkey: mint.address, signer: false, source: 'lookupTable', writable: false },
    ])
  })

  test.each([
    [[NOBODY, { commitment: 'processed' }], 'Method does not support commitment below `confirmed`'],
    [[NOBODY, { limit: 0 }], 'Invalid limit; max 1000'],
    [[NOBODY, { limit: 1_001 }], 'Invalid limit; max 1000'],
    [[NOBODY, { before: 'abc' }], 'Invalid param: WrongSize'],
    [[NOBODY, { until: '0' }], 'Invalid param: Invalid'],
    [['abc'], 'Invalid param: WrongSize'],
  ])('of %j: -32602', async (params, message) => {
    await using sim = await start()
    expect(await sim.call('getSignaturesForAddress', ...params)).toEqual({ code: -32602, message })
    expect(await sim.call('getSignaturesForAddress', NOBODY, { minContextSlot: 10_000 })).toMatchObject({
      code: -32016,
    })
    expect(await sim.call('getSignaturesForAddress', NOBODY)).toEqual([])
  })
})

describe('getTransaction', () => {
  const readable = { ...confirmed, maxSupportedTransactionVersion: 0 }

  test('a transfer as Agave shows it: balances before and after, logs, and where it went', async () => {
    await using sim = await start()
    const { alice, bob, mint, aliceAccount } = await withToken(sim)
    const bobAccount = await mint.accountOf(bob.address)
    const { signature, logs, units } = execute(sim.chain, alice, await mint.transfer(alice, bob.address, 9_864n))
    expect(await sim.call('getTransaction', signature, readable)).toBe(null)
    sim.pass(2)
    expect(await sim.call('getTransaction', signature, { maxSupportedTransactionVersion: 0 })).toBe(null)
    const shown = await sim.call('getTransaction', signature, readable)
    expect(shown).toMatchObject({ blockTime: 1_800_000_000, slot: 10_000, version: 0 })
    const { message, signatures } = shown.transaction
    expect(signatures).toEqual([signature])
    expect(message.header).toEqual({
      numReadonlySignedAccounts: 0,
      numReadonlyUnsignedAccounts: 5,
      numRequiredSignatures: 1,
    })
    const { accountKeys } = message
    expect(accountKeys.slice(0, 3).sort()).toEqual([alice.address, aliceAccount, bobAccount].sort())
    expect(message.addressTableLookups).toEqual([])
    const place = (account: string) => accountKeys.indexOf(account)
    const balance = (
      account: string,
      owner: string,
      amount: string,
      uiAmount: number | null,
      uiAmountString: string,
    ) => ({
      accountIndex: place(account),
      mint: mint.address,
      owner,
      programId: TOKEN_PROGRAM_ADDRESS,
      uiTokenAmount: { amount, decimals: 2, uiAmount, uiAmountString },
    })
    const { meta } = shown
    expect(meta).toMatchObject({
      computeUnitsConsumed: Number(units),
      err: null,
      fee: 5_000,
      loadedAddresses: { readonly: [], writable: [] },
      logMessages: logs,
      preTokenBalances: [balance(aliceAccount, alice.address, '100000', 1_000, '1000')],
      rewards: [],
      status: { Ok: null },
    })
    expect(meta.postTokenBalances).toHaveLength(2)
    expect(meta.postTokenBalances).toContainEqual(balance(aliceAccount, alice.address, '90136', 901.36, '901.36'))
    expect(meta.postTokenBalances).toContainEqual(balance(bobAccount, bob.address, '9864', 98.64, '98.64'))
    expect(meta.preBalances[0] - meta.postBalances[0]).toBe(5_000 + 2_039_280)
    expect(meta.postBalances[place(bobAccount)]).toBe(2_039_280)
    // The account was opened by what the first instruction called in its turn.
    expect(meta.innerInstructions).toMatchObject([{ index: 0, instructions: { length: 4 } }])
    expect(meta.innerInstructions[0].instructions[0]).toMatchObject({ stackHeight: 2 })
    expect(message.instructions[1]).toMatchObject({ programIdIndex: place(TOKEN_PROGRAM_ADDRESS), stackHeight: null })
    expect(message.instructions[1].accounts[0]).toBe(place(aliceAccount))
  })

  test('jsonParsed, read by the official client: what is transferred, by whom, in which role', async () => {
    await using sim = await start()
    const { alice, bob, mint, aliceAccount } = await withToken(sim)
    const bobAccount = await mint.accountOf(bob.address)
    const instructions = [...(await mint.transfer(alice, bob.address, 9_864n)), memo('ticket')]
    const { signature } = execute(sim.chain, alice, instructions)
    sim.pass(32)
    const rpc = createSolanaRpc(sim.solana.url)
    const [entry] = await rpc.getSignaturesForAddress(bobAccount, { limit: 1 }).send()
    expect(entry).toMatchObject({ signature, memo: '[6] ticket', confirmationStatus: 'finalized' })
    const options = { encoding: 'jsonParsed', maxSupportedTransactionVersion: 0 } as const
    const shown = await rpc.getTransaction(signature, options).send()
    expect(shown?.blockTime).toBe(1_800_000_000n)
    expect(shown?.transaction.message.accountKeys[0]).toEqual({
      pubkey: alice.address,
      signer: true,
      source: 'transaction',
      writable: true,
    })
    const token = shown?.transaction.message.accountKeys.find(({ pubkey }) => pubkey === TOKEN_PROGRAM_ADDRESS)
    expect(token).toMatchObject({ signer: false, writable: false })
    const [create, transfer, text] = shown?.transaction.message.instructions ?? []
    expect(create).toMatchObject({ program: 'spl-associated-token-account', parsed: { type: 'createIdempotent' } })
    expect(transfer).toEqual({
      parsed: {
        info: {
          authority: alice.address,
          destination: bobAccount,
          mint: mint.address,
          source: aliceAccount,
          tokenAmount: { amount: '9864', decimals: 2n, uiAmount: 98.64, uiAmountString: '98.64' },
        },
        type: 'transferChecked',
      },
      program: 'spl-token',
      programId: TOKEN_PROGRAM_ADDRESS,
      stackHeight: null,
    })
    expect(text).toMatchObject({ parsed: 'ticket', program: 'spl-memo' })
    expect(shown?.meta).not.toHaveProperty('loadedAddresses')
    const types = shown?.meta?.innerInstructions?.[0]?.instructions.map((one) => 'parsed' in one && one.parsed.type)
    expect(types).toEqual(['getAccountDataSize', 'createAccount', 'initializeImmutableOwner', 'initializeAccount3'])
  })

  test('the bytes as they came, in base64 and base58', async () => {
    await using sim = await start()
    const { alice, bob, mint } = await withToken(sim)
    const signed = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 1n))
    const wire = getBase64EncodedWireTransaction(signed)
    const { signature } = sim.chain.send(signed)
    sim.pass(2)
    const shown = await sim.call('getTransaction', signature, { ...readable, encoding: 'base64' })
    expect(shown.transaction).toEqual([wire, 'base64'])
    const base58 = await sim.call('getTransaction', signature, { ...readable, encoding: 'base58' })
    expect(Buffer.from(getBase58Encoder().encode(base58.transaction[0])).toString('base64')).toBe(wire)
  })

  test('a version that the client does not know is refused, and what is unknown is null', async () => {
    await using sim = await start()
    const { pay } = await withToken(sim)
    const { signature } = await pay(1n)
    sim.pass(2)
    expect(await sim.call('getTransaction', signature, confirmed)).toEqual({
      code: -32015,
      message:
        'Transaction version (0) is not supported by the requesting client. Please try the request again with the ' +
        'following configuration parameter: "maxSupportedTransactionVersion": 0',
    })
    expect(await sim.call('getTransaction', '5'.repeat(87))).toBe(null)
    expect(await sim.call('getTransaction', 'abc')).toMatchObject({ code: -32602, message: 'Invalid param: WrongSize' })
    expect(await sim.call('getTransaction', signature, { commitment: 'processed' })).toMatchObject({ code: -32602 })
    expect(await sim.call('getTransaction', signature, 'xml')).toMatchObject({ code: -32602 })
  })

  test('the legacy form is read by every client, and has its version only for who knows of versions', async () => {
    await using sim = await start()
    const { alice, bob, mint, aliceAccount } = await withToken(sim)
    const instructions = await mint.transfer(alice, bob.address, 100_000n)
    const lifetime = { blockhash: sim.chain.blockhash(sim.chain.slot), lastValidBlockHeight: 10_150n }
    const message = pipe(
      createTransactionMessage({ version: 'legacy' }),
      (empty) => setTransactionMessageFeePayer(alice.address, empty),
      (paid) => setTransactionMessageLifetimeUsingBlockhash(lifetime, paid),
      (timed) => appendTransactionMessageInstructions(instructions, timed),
      (whole) => compileTransaction(whole),
    )
    const { signature } = sim.chain.send(await signTransaction([alice.keyPair], message))
    sim.pass(2)
    const shown = await sim.call('getTransaction', signature, confirmed)
    expect(shown).not.toHaveProperty('version')
    expect(shown.transaction.message).not.toHaveProperty('addressTableLookups')
    expect(await sim.call('getTransaction', signature, readable)).toMatchObject({ version: 'legacy' })
    // Nothing is left, which is shown as no number.
    const place = shown.transaction.message.accountKeys.indexOf(aliceAccount)
    const left = shown.meta.postTokenBalances.find((one: { accountIndex: number }) => one.accountIndex === place)
    expect(left.uiTokenAmount).toEqual({ amount: '0', decimals: 2, uiAmount: null, uiAmountString: '0' })
  })

  test('one that failed is shown with its error, the fee and no change of tokens', async () => {
    await using sim = await start()
    const { alice, bob, mint } = await withToken(sim)
    const { signature } = sim.chain.send(sign(sim.chain, alice, await mint.transfer(alice, bob.address, 200_000n)))
    sim.pass(2)
    const { meta } = await sim.call('getTransaction', signature, readable)
    const err = { InstructionError: [1, { Custom: 1 }] }
    expect(meta).toMatchObject({ err, fee: 5_000, status: { Err: err } })
    expect(meta.postTokenBalances).toEqual(meta.preTokenBalances)
    expect(meta.preBalances[0] - meta.postBalances[0]).toBe(5_000)
  })
})

test('of too many transactions the oldest are forgotten', () => {
  const history = new History(2)
  const [pot, alice, bob] = [NOBODY, MEMO, TOKEN_PROGRAM_ADDRESS].map((text) => address(text))
  if (pot === undefined || alice === undefined || bob === undefined) throw new Error('expected three')
  const add = (byte: number, ...accounts: (typeof pot)[]) => {
    const before = accounts.map((account) => ({ address: account, exists: false }) as const)
    const rest = { slot: 1, error: null, logs: [], units: 0n, inner: [], wire: new Uint8Array(), after: before }
    return history.add({
      signature: signature(getBase58Decoder().decode(new Uint8Array(64).fill(byte))),
      before,
      ...rest,
    })
  }
  const [first, second, third] = [add(1, pot, alice), add(2, pot, bob), add(3, pot, bob)]
  expect(history.get(first.signature)).toBe(undefined)
  expect(history.naming(pot)).toEqual([second, third])
  expect(history.naming(alice)).toEqual([])
  expect(history.size).toBe(2)
})

describe('subscriptions', () => {
  test('a signature is told once, at its commitment or at once, and then the subscription is over', async () => {
    await using sim = await start()
    const { alice, bob, mint, pay } = await withToken(sim)
    using client = await connect(sim.solana.socketUrl)
    const signed = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 200_000n))
    const awaited = getSignatureFromTransaction(signed)
    expect(await client.call('signatureSubscribe', awaited, confirmed)).toMatchObject({ result: 0 })
    sim.chain.send(signed)
    await pay(1n)
    sim.pass(1)
    await client.call('ping')
    expect(client.told).toEqual([])
    sim.pass(1)
    await client.call('ping')
    const value = { err: { InstructionError: [1, { Custom: 1 }] } }
    const notification = (subscription: number) => ({
      jsonrpc: '2.0',
      method: 'signatureNotification',
      params: { result: { context: { slot: 10_000 }, value }, subscription },
    })
    expect(client.told).toEqual([notification(0)])
    expect(await client.call('signatureUnsubscribe', 0)).toMatchObject({ error: { code: -32602 } })
    // What is known already is told too, after the answer.
    expect(await client.call('signatureSubscribe', awaited, confirmed)).toMatchObject({ result: 1 })
    await expect.poll(() => client.told).toEqual([notification(0), notification(1)])
  })

  test('logs: of all, or of those that mention an account', async () => {
    await using sim = await start()
    const { aliceAccount, alice, bob, pay, mint } = await withToken(sim)
    await pay(5n)
    using client = await connect(sim.solana.socketUrl)
    await client.call('logsSubscribe', { mentions: [aliceAccount] }, { commitment: 'processed' })
    await client.call('logsSubscribe', 'all', { commitment: 'processed' })
    const { signature, logs } = await pay(2n)
    const other = execute(sim.chain, bob, [memo('nobody is mentioned')])
    await client.call('ping')
    const told = client.told.map((message) => {
      const { method, params } = JSON.parse(JSON.stringify(message))
      return [method, params.subscription, params.result.value]
    })
    const mine = { signature, err: null, logs }
    expect(told).toEqual([
      ['logsNotification', 0, mine],
      ['logsNotification', 1, mine],
      ['logsNotification', 1, { signature: other.signature, err: null, logs: other.logs }],
    ])
    for (const wrong of [{ mentions: [alice.address, mint.address] }, { mentions: [] }, 'none']) {
      expect(await client.call('logsSubscribe', wrong)).toMatchObject({ error: { code: -32602 } })
    }
  })
})
