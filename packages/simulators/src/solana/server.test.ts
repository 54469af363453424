import { once } from 'node:events'
import { zstdDecompressSync } from 'node:zlib'
import { getBase64EncodedWireTransaction } from '@solana/kit'
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sign } from './sign.ts'
import { connect, start, withToken } from './test-node.ts'

const NOBODY = '11111111111111111111111111111112'

const processed = { commitment: 'processed' }
const parsed = { commitment: 'processed', encoding: 'jsonParsed' }

describe('accounts', () => {
  test('on the wire an account is as Agave writes it, with a rentEpoch beyond 2^53 unharmed', async () => {
    await using sim = await start()
    const { alice } = await withToken(sim)
    const params = [alice.address, { encoding: 'base64', commitment: 'processed' }]
    const { status, text } = await sim.post({ jsonrpc: '2.0', id: 7, method: 'getAccountInfo', params })
    expect(status).toBe(200)
    expect(text).toBe(
      `{"jsonrpc":"2.0","result":{"context":{"apiVersion":"2.0.15","slot":10000},"value":{"lamports":100000000000,` +
        `"owner":"11111111111111111111111111111111","data":["","base64"],"executable":false,` +
        `"rentEpoch":18446744073709551615,"space":0}},"id":7}`,
    )
  })

  test('a real transfer moves the balances, and jsonParsed shows the token account', async () => {
    await using sim = await start()
    const { mint, alice, bob, pay } = await withToken(sim)
    await pay(9_864n)
    const { value } = await sim.call('getTokenAccountsByOwner', bob.address, { mint: mint.address }, parsed)
    expect(value).toEqual([
      {
        pubkey: await mint.accountOf(bob.address),
        account: {
          lamports: 2_039_280,
          owner: TOKEN_PROGRAM_ADDRESS,
          data: {
            program: 'spl-token',
            parsed: {
              type: 'account',
              info: {
                isNative: false,
                mint: mint.address,
                owner: bob.address,
                state: 'initialized',
                tokenAmount: { amount: '9864', decimals: 2, uiAmount: 98.64, uiAmountString: '98.64' },
              },
            },
            space: 165,
          },
          executable: false,
          rentEpoch: Number(2n ** 64n - 1n),
          space: 165,
        },
      },
    ])
    const left = await sim.call('getTokenAccountBalance', await mint.accountOf(alice.address), processed)
    expect(left.value.uiAmountString).toBe('901.36')
    const { data } = (await sim.call('getAccountInfo', mint.address, parsed)).value
    expect(data.parsed).toMatchObject({ type: 'mint', info: { decimals: 2, supply: '100000', isInitialized: true } })
  })

  test('a token that is paid without cover is refused by the token program itself', async () => {
    await using sim = await start()
    const { pay } = await withToken(sim)
    await expect(pay(100_001n)).rejects.toThrow('custom program error: 0x1')
  })

  test('several accounts keep their order, the missing are null, and 101 are too many', async () => {
    await using sim = await start()
    const { alice, bob } = await withToken(sim)
    const asked = [bob.address, NOBODY, alice.address, bob.address]
    const { value } = await sim.call('getMultipleAccounts', asked, processed)
    expect(value.map((account: { lamports: number } | null) => account?.lamports)).toEqual([
      1e11,
      undefined,
      1e11,
      1e11,
    ])
    expect(value[0].data).toEqual(['', 'base64'])
    expect((await sim.call('getMultipleAccounts', Array(100).fill(NOBODY))).value).toHaveLength(100)
    expect(await sim.call('getMultipleAccounts', Array(101).fill(NOBODY))).toEqual({
      code: -32602,
      message: 'Too many inputs provided; max 100',
    })
    expect((await sim.call('getBalance', NOBODY)).value).toBe(0)
  })

  test('program accounts are a bare array, filtered by size and content, and with context when asked', async () => {
    await using sim = await start()
    const { mint, alice, bob, pay } = await withToken(sim)
    await pay(1n)
    const owned = (owner: string) => ({ memcmp: { offset: 32, bytes: owner } })
    const options = { ...processed, encoding: 'base64', filters: [{ dataSize: 165 }, owned(alice.address)] }
    const found = await sim.call('getProgramAccounts', TOKEN_PROGRAM_ADDRESS, options)
    expect(found.map(({ pubkey }: { pubkey: string }) => pubkey)).toEqual([await mint.accountOf(alice.address)])
    const all = await sim.call('getProgramAccounts', TOKEN_PROGRAM_ADDRESS, {
      ...options,
      filters: [{ dataSize: 165 }],
    })
    expect(all).toHaveLength(2)
    const withContext = { ...options, filters: [owned(bob.address)], withContext: true }
    expect(await sim.call('getProgramAccounts', TOKEN_PROGRAM_ADDRESS, withContext)).toMatchObject({
      context: { slot: 10_000 },
      value: [{ pubkey: await mint.accountOf(bob.address) }],
    })
  })

  test('encodings: base58 up to 128 bytes, a part of the data, zstd', async () => {
    await using sim = await start()
    const { mint, aliceAccount } = await withToken(sim)
    expect(await sim.call('getAccountInfo', aliceAccount, processed)).toEqual({
      code: -32600,
      message: 'Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.',
    })
    const part = { ...processed, dataSlice: { offset: 0, length: 32 } }
    expect((await sim.call('getAccountInfo', aliceAccount, part)).value.data).toBe(mint.address)
    const base58 = await sim.call('getAccountInfo', aliceAccount, { ...part, encoding: 'base58' })
    expect(base58.value.data).toEqual([mint.address, 'base58'])
    const packed = await sim.call('getAccountInfo', aliceAccount, { ...processed, encoding: 'base64+zstd' })
    expect(zstdDecompressSync(Buffer.from(packed.value.data[0], 'base64'))).toHaveLength(165)
  })

  test('a commitment shows the past as it was', async () => {
    await using sim = await start()
    const { mint, bob, pay, aliceAccount } = await withToken(sim)
    sim.pass(32)
    await pay(100n)
    const amount = async (commitment: string) => {
      const { context, value } = await sim.call('getTokenAccountBalance', aliceAccount, { commitment })
      return [context.slot, value.amount]
    }
    expect(await amount('processed')).toEqual([10_032, '99900'])
    expect(await amount('confirmed')).toEqual([10_030, '100000'])
    sim.pass(2)
    expect(await amount('confirmed')).toEqual([10_032, '99900'])
    expect(await amount('finalized')).toEqual([10_002, '100000'])
    const owned = async (commitment: string) =>
      (await sim.call('getTokenAccountsByOwner', bob.address, { mint: mint.address }, { ...parsed, commitment })).value
    expect([await owned('confirmed'), await owned('finalized')].map((list) => list.length)).toEqual([1, 0])
    sim.pass(30)
    expect(await amount('finalized')).toEqual([10_032, '99900'])
  })

  test.each([
    ['getTokenAccountBalance', [NOBODY], -32602, 'Invalid param: could not find account'],
    ['getAccountInfo', [], -32602, '`params` should have at least 1 argument(s)'],
    ['getAccountInfo', ['0x'], -32602, 'Invalid param: Invalid'],
    ['getAccountInfo', ['abc'], -32602, 'Invalid param: WrongSize'],
    [
      'getSlot',
      [{ commitment: 'processed', minContextSlot: 10_001 }],
      -32016,
      'Minimum context slot has not been reached',
    ],
    ['getBlocks', [1], -32601, 'Method not found'],
  ])('%s of %j: %d', async (method, params, code, message) => {
    await using sim = await start()
    expect(await sim.call(method, ...params)).toMatchObject({ code, message })
  })
})

describe('transactions', () => {
  test('what is sent is executed once, and its status grows from processed to finalized', async () => {
    await using sim = await start()
    const { alice, bob, mint } = await withToken(sim)
    sim.pass(1)
    const signed = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 5n))
    const wire = getBase64EncodedWireTransaction(signed)
    const signature = await sim.call('sendTransaction', wire, { encoding: 'base64' })
    const status = async () => (await sim.call('getSignatureStatuses', [signature])).value[0]
    expect(await status()).toMatchObject({ slot: 10_001, confirmations: 0, err: null, confirmationStatus: 'processed' })
    sim.pass(2)
    expect((await status()).confirmationStatus).toBe('confirmed')
    sim.pass(30)
    expect(await status()).toMatchObject({ confirmations: null, confirmationStatus: 'finalized' })
    expect(await sim.call('sendTransaction', wire, { encoding: 'base64' })).toMatchObject({
      code: -32002,
      message: 'Transaction simulation failed: This transaction has already been processed',
      data: { err: 'AlreadyProcessed' },
    })
  })

  test('a blockhash is good for 150 slots', async () => {
    await using sim = await start()
    const { alice, bob, mint } = await withToken(sim)
    const young = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 1n))
    const old = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 2n))
    sim.pass(150)
    const send = (signed: typeof old) =>
      sim.call('sendTransaction', getBase64EncodedWireTransaction(signed), { encoding: 'base64' })
    expect(await send(young)).toBeTypeOf('string')
    sim.pass(1)
    expect(await send(old)).toMatchObject({ code: -32002, data: { err: 'BlockhashNotFound' } })
  })

  test('preflight says why; without it the failure is in the status, and the fee is paid', async () => {
    await using sim = await start()
    const { alice, bob, mint } = await withToken(sim)
    const signed = sign(sim.chain, bob, await mint.transfer(bob, alice.address, 1n))
    const wire = getBase64EncodedWireTransaction(signed)
    const failure = await sim.call('sendTransaction', wire, { encoding: 'base64' })
    expect(failure.code).toBe(-32002)
    expect(failure.message).toMatch(/^Transaction simulation failed: Error processing Instruction 1: /)
    expect(failure.data.logs).not.toHaveLength(0)
    const before = sim.chain.account(bob.address)
    const signature = await sim.call('sendTransaction', wire, { encoding: 'base64', skipPreflight: true })
    const [status] = (await sim.call('getSignatureStatuses', [signature])).value
    expect(status.err).toEqual(failure.data.err)
    const after = sim.chain.account(bob.address)
    expect(before.exists && after.exists && before.lamports - after.lamports).toBe(5_000n)
  })

  test('a signature that is wrong is refused', async () => {
    await using sim = await start()
    const { alice, bob, mint } = await withToken(sim)
    const signed = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 1n))
    const bytes = Buffer.from(getBase64EncodedWireTransaction(signed), 'base64')
    bytes[5] = (bytes[5] ?? 0) ^ 1
    expect(await sim.call('sendTransaction', bytes.toString('base64'), { encoding: 'base64' })).toEqual({
      code: -32003,
      message: 'Transaction signature verification failure',
    })
    expect(await sim.call('sendTransaction', 'AAAA', { encoding: 'base64' })).toMatchObject({ code: -32602 })
    const unsigned = bytes.fill(0, 1, 65).toString('base64')
    for (const skipPreflight of [true, false]) {
      const answer = await sim.call('sendTransaction', unsigned, { encoding: 'base64', skipPreflight })
      expect(answer).toMatchObject({ code: -32003 })
    }
    const long = Buffer.alloc(1_233).toString('base64')
    expect(await sim.call('sendTransaction', long, { encoding: 'base64' })).toMatchObject({
      code: -32602,
      message: expect.stringContaining('too large: 1233 bytes (max: 1232 bytes)'),
    })
  })

  test('what would become of a transaction, signed and young or not, and nothing comes of it', async () => {
    await using sim = await start()
    const { alice, bob, mint, aliceAccount } = await withToken(sim)
    const signed = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 5n))
    const wire = getBase64EncodedWireTransaction(signed)
    const unsigned = Buffer.from(wire, 'base64').fill(0, 1, 65).toString('base64')
    const simulate = (text: string, options: object = {}) =>
      sim.call('simulateTransaction', text, { encoding: 'base64', commitment: 'processed', ...options })
    expect((await simulate(unsigned)).value).toMatchObject({ err: null, accounts: null, replacementBlockhash: null })
    expect((await simulate(wire, { sigVerify: true })).value.logs).not.toHaveLength(0)
    expect(await simulate(unsigned, { sigVerify: true })).toMatchObject({ code: -32003 })
    expect(await simulate(wire, { sigVerify: true, replaceRecentBlockhash: true })).toMatchObject({ code: -32602 })
    const tooMuch = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 200_000n))
    expect((await simulate(getBase64EncodedWireTransaction(tooMuch))).value.err).toEqual({
      InstructionError: [1, { Custom: 1 }],
    })
    sim.pass(151)
    expect((await simulate(wire)).value.err).toBe('BlockhashNotFound')
    const { value } = await simulate(wire, { replaceRecentBlockhash: true })
    expect(value).toMatchObject({ err: null, replacementBlockhash: { lastValidBlockHeight: 10_301 } })
    const { value: left } = await sim.call('getTokenAccountBalance', aliceAccount, processed)
    expect(left.amount).toBe('100000')
  })

  test('what a mint has given out, and which epoch it is', async () => {
    await using sim = await start()
    const { mint, aliceAccount } = await withToken(sim)
    const { value } = await sim.call('getTokenSupply', mint.address, processed)
    expect(value).toEqual({ amount: '100000', decimals: 2, uiAmount: 1_000, uiAmountString: '1000' })
    for (const [account, message] of [
      [NOBODY, 'Invalid param: could not find account'],
      [TOKEN_PROGRAM_ADDRESS, 'Invalid param: not a Token mint'],
      [aliceAccount, 'Invalid param: not a Token mint'],
    ]) {
      expect(await sim.call('getTokenSupply', account, processed)).toEqual({ code: -32602, message })
    }
    expect(await sim.call('getEpochInfo', processed)).toEqual({
      absoluteSlot: 10_000,
      blockHeight: 10_000,
      epoch: 0,
      slotIndex: 10_000,
      slotsInEpoch: 432_000,
      transactionCount: 2,
    })
  })

  test('no bytes end the node', async () => {
    await using sim = await start({ limits: { calls: 1_000 } })
    const { alice, bob, mint } = await withToken(sim)
    const signed = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 1n))
    const whole = Buffer.from(getBase64EncodedWireTransaction(signed), 'base64')
    const place = fc.nat({ max: whole.length - 1 })
    const change = fc.tuple(place, fc.integer({ min: 1, max: 255 }))
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(change, { minLength: 1, maxLength: 3, selector: ([at]) => at }),
        fc.option(place),
        fc.boolean(),
        async (changes, cut, skipPreflight) => {
          const bytes = Buffer.from(whole)
          for (const [at, by] of changes) bytes[at] = (bytes[at] ?? 0) ^ by
          const wire = bytes.subarray(0, cut ?? bytes.length).toString('base64')
          const answer = await sim.call('sendTransaction', wire, { encoding: 'base64', skipPreflight })
          if (!skipPreflight) expect([-32602, -32003]).toContain(answer.code)
        },
      ),
      { numRuns: 300 },
    )
    expect(
      (await sim.call('getTokenAccountBalance', await mint.accountOf(alice.address), processed)).value.amount,
    ).toBe('100000')
  })

  test('an airdrop is lamports out of nothing', async () => {
    await using sim = await start()
    expect(await sim.call('requestAirdrop', NOBODY, 5_000_000)).toBeTypeOf('string')
    expect((await sim.call('getBalance', NOBODY, processed)).value).toBe(5_000_000)
  })
})

const SLOT_CALL = { jsonrpc: '2.0', id: 1, method: 'getSlot' }
const HEALTH_CALL = { jsonrpc: '2.0', id: 2, method: 'getHealth' }

describe('limits', () => {
  test('100 calls in any second, each item of a batch one of them, and no more until the oldest leave', async () => {
    await using sim = await start()
    expect((await sim.post(Array(60).fill(SLOT_CALL))).status).toBe(200)
    sim.clock.now = 500
    for (let call = 0; call < 40; call++) expect((await sim.post(SLOT_CALL)).status).toBe(200)
    const refused = await sim.post(SLOT_CALL)
    expect(refused.status).toBe(429)
    expect(refused.text).toBe(
      '{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests for a specific RPC call"},"id":1}',
    )
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(refused.headers.get('x-ratelimit-rps-limit')).toBe('100')
    expect(refused.headers.get('x-ratelimit-rps-remaining')).toBe('-1')
    sim.clock.now = 999
    expect((await sim.post(SLOT_CALL)).status).toBe(429)
    sim.clock.now = 1_000
    expect((await sim.post(Array(61).fill(SLOT_CALL))).status).toBe(429)
    expect((await sim.post(Array(60).fill(SLOT_CALL))).status).toBe(200)
    expect(sim.solana.stats()).toMatchObject({ asked: 223, served: 160, refused: 63, mostIn1s: 103 + 60 })
  })

  test('a method has a limit of its own beside the total', async () => {
    await using sim = await start({ limits: { calls: 10, methods: { getHealth: 2 } } })
    expect((await sim.post([HEALTH_CALL, HEALTH_CALL, SLOT_CALL])).status).toBe(200)
    const refused = await sim.post(HEALTH_CALL)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('x-ratelimit-method-remaining')).toBe('-1')
    expect((await sim.post(SLOT_CALL)).status).toBe(200)
    expect(sim.solana.stats().byPath).toEqual({
      getHealth: { asked: 3, served: 2, refused: 1, faulted: 0 },
      getSlot: { asked: 2, served: 2, refused: 0, faulted: 0 },
    })
  })

  test('helius refuses in its own words, and wants its key', async () => {
    await using sim = await start({ provider: 'helius', keys: ['k'], limits: { calls: 1 } })
    const wrong = await sim.post(SLOT_CALL, '/?api-key=x')
    expect([wrong.status, wrong.text]).toEqual([
      401,
      '{"jsonrpc":"2.0","error":{"code":-32401,"message":"invalid api key provided"}}',
    ])
    expect((await sim.post(SLOT_CALL, '/?api-key=k')).status).toBe(200)
    const refused = await sim.post(SLOT_CALL, '/?api-key=k')
    expect([refused.status, refused.text, refused.headers.get('retry-after')]).toEqual([
      429,
      '{"jsonrpc":"2.0","error":{"code":-32429,"message":"rate limited"}}',
      null,
    ])
  })
})

describe('batches', () => {
  test('an array is answered by an array, notifications and what is no call as JSON-RPC has it', async () => {
    await using sim = await start()
    const notification = { jsonrpc: '2.0', method: 'getSlot' }
    const { text } = await sim.post([HEALTH_CALL, notification, 5, { ...SLOT_CALL, method: 'getCake', id: 'a' }])
    expect(JSON.parse(text)).toEqual([
      { jsonrpc: '2.0', result: 'ok', id: 2 },
      { jsonrpc: '2.0', error: { code: -32600, message: 'Invalid request' }, id: null },
      { jsonrpc: '2.0', error: { code: -32601, message: 'Method not found' }, id: 'a' },
    ])
    expect((await sim.post(notification)).text).toBe('')
    for (const [body, code] of [['[]', -32600] as const, ['{', -32700] as const]) {
      expect(JSON.parse((await sim.post(body)).text)).toMatchObject({ id: null, error: { code } })
    }
  })

  test('refused by a switch: one object for more than one call, and an answer for one', async () => {
    await using sim = await start({ batches: 'refuse' })
    const refused = await sim.post([SLOT_CALL, HEALTH_CALL])
    expect(refused.status).toBe(403)
    expect(JSON.parse(refused.text)).toMatchObject({ error: { code: -32403 } })
    expect(JSON.parse((await sim.post([HEALTH_CALL])).text)).toEqual([{ jsonrpc: '2.0', result: 'ok', id: 2 }])
  })
})

describe('faults', () => {
  test('a node that is behind shows the past, says so to who asks for its health, and takes no transaction', async () => {
    await using sim = await start()
    const { alice, bob, mint, pay, aliceAccount } = await withToken(sim)
    sim.pass(300)
    await pay(100n)
    sim.solana.fault({ kind: 'behind', slots: 200, for: 1_000 })
    expect(await sim.call('getHealth')).toEqual({
      code: -32005,
      message: 'Node is behind by 200 slots',
      data: { numSlotsBehind: 200 },
    })
    const { context, value } = await sim.call('getTokenAccountBalance', aliceAccount, processed)
    expect([context.slot, value.amount]).toEqual([10_100, '100000'])
    const signed = sign(sim.chain, alice, await mint.transfer(alice, bob.address, 1n))
    const wire = getBase64EncodedWireTransaction(signed)
    expect(await sim.call('sendTransaction', wire, { encoding: 'base64' })).toMatchObject({ code: -32005 })
    sim.clock.now += 1_000
    expect(await sim.call('getHealth')).toBe('ok')
    expect((await sim.call('getTokenAccountBalance', aliceAccount, processed)).value.amount).toBe('99900')
  })

  test('the slot goes back for one call, of a node that thinks itself well', async () => {
    await using sim = await start()
    sim.solana.fault({ kind: 'slot-back', count: 1, path: '/getSlot' })
    expect(await sim.call('getHealth')).toBe('ok')
    expect(await sim.call('getSlot', processed)).toBe(9_958)
    expect(await sim.call('getSlot', processed)).toBe(10_000)
  })

  test('429 for one method says so of that method, also when it is one item of a batch', async () => {
    await using sim = await start({ limits: { calls: 60, methods: { getHealth: 20 } } })
    sim.solana.fault({ kind: '429', path: '/getHealth' })
    sim.solana.fault({ kind: '429', path: '/getTransaction', count: 1 })
    const said = ({ status, headers }: Awaited<ReturnType<typeof sim.post>>) => [
      status,
      ...['rps', 'method'].flatMap((name) =>
        ['limit', 'remaining'].map((what) => headers.get(`x-ratelimit-${name}-${what}`)),
      ),
    ]
    expect(said(await sim.post(SLOT_CALL))).toEqual([200, '60', '59', null, null])
    expect(said(await sim.post(HEALTH_CALL))).toEqual([429, '60', '58', '20', '-1'])
    const refused = await sim.post([SLOT_CALL, HEALTH_CALL])
    expect(said(refused)).toEqual([429, '60', '56', '20', '-1'])
    // Refused whole, with one object.
    expect(JSON.parse(refused.text).error.code).toBe(429)
    const call = { jsonrpc: '2.0', id: 1, method: 'getTransaction', params: ['5'.repeat(87)] }
    expect(said(await sim.post(call))).toEqual([429, '60', '55', '60', '-1'])
    expect((await sim.post(call)).status).toBe(200)
    const { byPath } = sim.solana.stats()
    expect(byPath.getHealth).toEqual({ asked: 2, served: 0, refused: 0, faulted: 2 })
    expect(byPath.getSlot).toEqual({ asked: 2, served: 1, refused: 0, faulted: 1 })
  })

  test('429 with and without Retry-After, and credits that are used up', async () => {
    await using sim = await start()
    for (const [kind, wait, code] of [
      ['429', null, 429],
      ['429-retry-after', '60', 429],
      ['max-usage', null, -32429],
    ] as const) {
      sim.solana.clearFaults()
      sim.solana.fault({ kind, for: 60_000 })
      const { status, headers, text } = await sim.post(SLOT_CALL)
      expect([kind, status, headers.get('retry-after'), JSON.parse(text).error.code]).toEqual([kind, 429, wait, code])
    }
    expect(sim.solana.stats()).toMatchObject({ faulted: 3, served: 0 })
  })

  test('batches refused, by the control address, and unhealthy in each call', async () => {
    await using sim = await start()
    expect((await sim.post({ kind: 'batch-refused', count: 1 }, '/__faults')).status).toBe(200)
    expect((await sim.post(SLOT_CALL)).status).toBe(200)
    expect((await sim.post([SLOT_CALL, HEALTH_CALL])).status).toBe(403)
    expect((await sim.post([SLOT_CALL, HEALTH_CALL])).status).toBe(200)
    sim.solana.fault({ kind: 'unhealthy' })
    expect(await sim.call('getSlot')).toMatchObject({ code: -32005, message: 'Node is unhealthy' })
  })

  test('reset is an empty chain', async () => {
    await using sim = await start()
    const { alice } = await withToken(sim)
    sim.pass(10)
    sim.solana.reset()
    expect((await sim.call('getAccountInfo', alice.address, processed)).value).toBe(null)
    expect(await sim.call('getSlot', processed)).toBe(10_000)
  })
})

describe('subscriptions', () => {
  test('an account is told at its commitment, once it has changed, until it is unsubscribed', async () => {
    await using sim = await start()
    const { pay, aliceAccount } = await withToken(sim)
    using client = await connect(sim.solana.socketUrl)
    expect(await client.call('accountSubscribe', aliceAccount, parsed)).toMatchObject({ result: 0 })
    expect(await client.call('accountSubscribe', aliceAccount, { ...parsed, commitment: 'confirmed' })).toMatchObject({
      result: 1,
    })
    await pay(1n)
    await pay(2n)
    await client.call('ping')
    const amounts = () =>
      client.told.map((message) => {
        const { params } = JSON.parse(JSON.stringify(message))
        const { context, value } = params.result
        return [params.subscription, context.slot, value.data.parsed.info.tokenAmount.amount]
      })
    expect(amounts()).toEqual([
      [0, 10_000, '99999'],
      [0, 10_000, '99997'],
    ])
    sim.pass(1)
    await client.call('ping')
    expect(amounts()).toHaveLength(2)
    sim.pass(1)
    await client.call('ping')
    expect(amounts().slice(2)).toEqual([[1, 10_000, '99997']])
    expect(await client.call('accountUnsubscribe', 0)).toMatchObject({ result: true })
    expect(await client.call('accountUnsubscribe', 0)).toMatchObject({ error: { code: -32602 } })
    await pay(3n)
    await client.call('ping')
    expect(client.told).toHaveLength(3)
    expect(sim.solana.stats().gauges).toMatchObject({ sockets: 1, subscriptions: 1, notifications: 3 })
  })

  test('a program is told of its accounts that pass the filters', async () => {
    await using sim = await start()
    const { mint, bob, pay } = await withToken(sim)
    using client = await connect(sim.solana.socketUrl)
    const filters = [{ dataSize: 165 }, { memcmp: { offset: 32, bytes: bob.address } }]
    await client.call('programSubscribe', TOKEN_PROGRAM_ADDRESS, { ...parsed, filters })
    await pay(7n)
    await client.call('ping')
    expect(client.told).toMatchObject([
      {
        method: 'programNotification',
        params: { subscription: 0, result: { value: { pubkey: await mint.accountOf(bob.address) } } },
      },
    ])
  })

  test('slots are told one by one', async () => {
    await using sim = await start()
    using client = await connect(sim.solana.socketUrl)
    await client.call('slotSubscribe')
    sim.pass(2)
    await client.call('slotUnsubscribe', 0)
    sim.pass(1)
    await client.call('ping')
    expect(client.told).toEqual(
      [10_001, 10_002].map((slot) => ({
        jsonrpc: '2.0',
        method: 'slotNotification',
        params: { result: { parent: slot - 1, root: slot - 32, slot }, subscription: 0 },
      })),
    )
  })

  test.each(['behind', 'slot-back'] as const)('%s: what is told lies back, until the node has got on', async (kind) => {
    await using sim = await start()
    const { pay, aliceAccount } = await withToken(sim)
    using client = await connect(sim.solana.socketUrl)
    await client.call('accountSubscribe', aliceAccount, parsed)
    await client.call('slotSubscribe')
    await client.call('logsSubscribe', 'all', processed)
    const told = async () => {
      await client.call('ping')
      return client.told.splice(0).map((message) => {
        const { method, params } = JSON.parse(JSON.stringify(message))
        return [method, params.result.slot ?? params.result.context.slot]
      })
    }
    sim.pass(1)
    expect(await told()).toEqual([['slotNotification', 10_001]])
    sim.solana.fault({ kind, slots: 3 })
    await pay(1n)
    sim.pass(2)
    expect(await told()).toEqual([])
    sim.pass(1)
    expect(await told()).toEqual([
      ['accountNotification', 10_001],
      ['logsNotification', 10_001],
    ])
    sim.pass(1)
    expect(await told()).toEqual([['slotNotification', 10_002]])
    await pay(2n)
    sim.solana.clearFaults()
    sim.pass(1)
    expect(await told()).toEqual([
      ['slotNotification', 10_006],
      ['accountNotification', 10_005],
      ['logsNotification', 10_005],
    ])
    await pay(3n)
    expect(await told()).toHaveLength(2)
  })

  test('a dropped socket is cut at once, and none is let in while that lasts', async () => {
    await using sim = await start()
    using client = await connect(sim.solana.socketUrl)
    sim.solana.fault({ kind: 'socket-drop', for: 1_000 })
    expect((await once(client.socket, 'close'))[0]).toBe(1006)
    await expect(connect(sim.solana.socketUrl)).rejects.toThrow()
    expect(await sim.call('getHealth')).toBe('ok')
    sim.clock.now += 1_000
    using again = await connect(sim.solana.socketUrl)
    expect(await again.call('slotSubscribe')).toMatchObject({ result: 0 })
  })
})
