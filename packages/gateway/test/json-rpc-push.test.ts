import { compareVersions, parseVersion } from '@weir/protocol'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { Mint, newSigner, type Solana, startSolana } from '../../simulators/src/solana/index.ts'
import {
  absent,
  ConfigError,
  createGateway,
  type Duration,
  defineApp,
  type Feed,
  feed,
  type JsonRpcPushOptions,
  jsonRpc,
  jsonRpcPush,
  type WeirEvent,
} from '../src/index.ts'

const TOKENS = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA'
const AT_ONCE = { commitment: 'processed' } as const
const SELDOM = { every: '1h', revalidateEvery: '1h', linger: '0ms', silenceTimeout: '10s' } as const
const PATIENT = { timeout: 10_000 }

const start = () => startSolana({ latency: 0, jitter: 0, slotTime: 50 })

/** A node's word on an account. */
const Told = z.object({
  context: z.object({ slot: z.number() }),
  value: z.object({ lamports: z.number() }).nullable(),
})

type Key = { readonly address: string }

/** The lamports of accounts. They are asked for seldom, so that what moves was pushed. */
function lamports(solana: Pick<Solana, 'url' | 'socketUrl'>, given: Partial<JsonRpcPushOptions<Key, number>> = {}) {
  return feed('/lamports/:address', {
    name: 'lamports',
    key: { address: z.string() },
    value: z.number(),
    from: jsonRpc({ name: 'solana', url: solana.url, pastUsage: 'none', retries: 0 }),
    load: {
      one: async ({ address }, call) =>
        (await call('getAccountInfo', [address, AT_ONCE], { answer: Told })).value?.lamports ?? 0,
    },
    fresh: '10ms',
    live: jsonRpcPush({
      url: solana.socketUrl,
      subscribe: ({ address }) => ['accountSubscribe', [address, { ...AT_ONCE, encoding: 'base64' }]],
      unsubscribe: 'accountUnsubscribe',
      value: (result) => Told.parse(result).value?.lamports ?? 0,
      ...SELDOM,
      ...given,
    }),
  })
}

async function serve(declared: Feed<never>) {
  const events: WeirEvent[] = []
  const app = defineApp({ name: 'app', use: [declared] })
  const gateway = createGateway({ apps: [app], observe: (event) => void events.push(event), heartbeat: '50ms' })
  const [url] = await gateway.listen({ port: 0 })
  return {
    events,
    follow: async (path: string) => new EventStream(await fetch(`${url}${path}?as=sse`)),
    [Symbol.asyncDispose]: () => gateway.close(1000),
  }
}

const sees = (stream: EventStream, value: unknown) => stream.until('snapshot', ({ data }) => data.value === value)
const subscribed = (solana: Solana, count: number) =>
  expect.poll(() => solana.stats().gauges?.subscriptions, PATIENT).toBe(count)
const asked = (solana: Solana) => solana.stats().byPath.getAccountInfo?.served

describe('a feed whose node pushes', () => {
  test('hears each change by one subscription, of which the first has the id 0', async () => {
    await using solana = await start()
    const { address } = await newSigner(solana.chain, 1_000_000n)
    await using site = await serve(lamports(solana))
    await using a = await site.follow(`/lamports/${address}`)
    await using b = await site.follow(`/lamports/${address}`)
    await subscribed(solana, 1)
    // Once when it was first watched, and once when the subscription had begun.
    await expect.poll(() => asked(solana)).toBe(2)
    for (let have = 2_000_000; have < 6_000_000; have += 1_000_000) {
      solana.chain.airdrop(address, 1_000_000n)
      await sees(a, have)
      await sees(b, have)
    }
    expect(asked(solana)).toBe(2)
  })

  test('ends a subscription when nobody watches its key, and goes on with the others', async () => {
    await using solana = await start()
    const [{ address: one }, { address: other }] = [await newSigner(solana.chain), await newSigner(solana.chain)]
    await using site = await serve(lamports(solana, { every: '20ms' }))
    const a = await site.follow(`/lamports/${one}`)
    const b = await site.follow(`/lamports/${other}`)
    await subscribed(solana, 2)
    await b[Symbol.asyncDispose]()
    await subscribed(solana, 1)
    expect(solana.stats().gauges?.sockets).toBe(1)
    solana.chain.airdrop(one, 5n)
    await sees(a, 100_000_000_005)
    await a[Symbol.asyncDispose]()
    await subscribed(solana, 0)
  })

  test('asks for what a notification only says has changed', async () => {
    await using solana = await start()
    const { address } = await newSigner(solana.chain, 1_000_000n)
    await using site = await serve(lamports(solana, { value: undefined as never }))
    await using a = await site.follow(`/lamports/${address}`)
    await subscribed(solana, 1)
    solana.chain.airdrop(address, 1_000_000n)
    await sees(a, 2_000_000)
  })

  test('after a break subscribes and asks again, and no version goes back', async () => {
    await using solana = await start()
    const { address } = await newSigner(solana.chain, 1_000_000n)
    await using site = await serve(lamports(solana))
    await using a = await site.follow(`/lamports/${address}`)
    await subscribed(solana, 1)
    solana.chain.airdrop(address, 1_000_000n)
    const before = await sees(a, 2_000_000)
    solana.fault({ kind: 'socket-drop', count: 1 })
    // Nobody is told of this.
    solana.chain.airdrop(address, 1_000_000n)
    const after = await sees(a, 3_000_000)
    const [older, newer] = [parseVersion(before.id ?? ''), parseVersion(after.id ?? '')]
    expect(older && newer && compareVersions(newer, older)).toBeGreaterThan(0)
    await subscribed(solana, 1)
    solana.chain.airdrop(address, 1_000_000n)
    await sees(a, 4_000_000)
  })

  test('polls what the node refuses to push, and says why', async () => {
    await using solana = await start()
    const { address } = await newSigner(solana.chain, 1_000_000n)
    await using site = await serve(lamports(solana, { subscribe: () => ['logsOfAllSubscribe'], every: '20ms' }))
    await using a = await site.follow(`/lamports/${address}`)
    await expect
      .poll(() => site.events.find(({ type }) => type === 'push.refused'))
      .toMatchObject({ topic: `/lamports/${address}`, reason: '-32601: Method not found' })
    solana.chain.airdrop(address, 1_000_000n)
    await sees(a, 2_000_000)
  })
})

/** What a mint's token accounts say, as `jsonParsed`. */
const Token = z.object({
  account: z.object({
    data: z.object({
      parsed: z.object({ info: z.object({ owner: z.string(), tokenAmount: z.object({ amount: z.string() }) }) }),
    }),
  }),
})
const Tokens = z.object({ value: z.array(Token) })
const OfTokens = z.object({ value: Token })

/** What owners have of a mint, by one subscription to all token accounts of it. */
function balances(
  solana: Solana,
  mint: string,
  {
    decoded = [],
    fresh = '10ms',
    every = '20ms',
  }: { readonly decoded?: string[]; readonly fresh?: Duration; readonly every?: Duration } = {},
) {
  return feed('/balances/:owner', {
    name: 'balance',
    key: { owner: z.string() },
    value: z.string(),
    from: jsonRpc({ name: 'solana', url: solana.url, pastUsage: 'none', retries: 0 }),
    load: {
      one: async ({ owner }, call) => {
        const params = [owner, { mint }, { ...AT_ONCE, encoding: 'jsonParsed' }]
        const { value } = await call('getTokenAccountsByOwner', params, { answer: Tokens })
        return value[0]?.account.data.parsed.info.tokenAmount.amount ?? absent('no token account')
      },
    },
    fresh,
    live: jsonRpcPush({
      url: solana.socketUrl,
      subscribe: () => [
        'programSubscribe',
        [
          TOKENS,
          { ...AT_ONCE, encoding: 'jsonParsed', filters: [{ memcmp: { offset: 0, bytes: mint } }, { dataSize: 165 }] },
        ],
      ],
      unsubscribe: 'programUnsubscribe',
      keyOf: (result) => ({ owner: OfTokens.parse(result).value.account.data.parsed.info.owner }),
      value: (result, { owner }) => {
        decoded.push(owner)
        return OfTokens.parse(result).value.account.data.parsed.info.tokenAmount.amount
      },
      ...SELDOM,
      every,
    }),
  })
}

describe('a subscription that is for many keys', () => {
  test('is made once, tells each key its own, and nothing is made of what nobody watches', async () => {
    await using solana = await start()
    const mint = await Mint.create(solana.chain, 2)
    const owners = await Promise.all([1, 2, 3].map(() => newSigner(solana.chain)))
    const [a, b, other] = owners.map(({ address }) => address) as [
      typeof mint.address,
      typeof mint.address,
      typeof mint.address,
    ]
    for (const owner of [a, b, other]) await mint.give(owner, 100n)
    const decoded: string[] = []
    await using site = await serve(balances(solana, mint.address, { decoded }))
    await using one = await site.follow(`/balances/${a}`)
    await subscribed(solana, 1)
    await using two = await site.follow(`/balances/${b}`)
    await sees(one, '100')
    await sees(two, '100')
    for (let have = 101n, more = 1n; more < 5n; more++, have += more) {
      for (const owner of [other, a, b]) await mint.give(owner, more)
      await sees(one, String(have))
      await sees(two, String(have))
    }
    expect(solana.stats().gauges).toMatchObject({ subscriptions: 1, sockets: 1 })
    expect(decoded.filter((owner) => owner === a)).toHaveLength(4)
    expect(decoded).not.toContain(other)
  })

  test('asks for a key that comes to it later, since it was told nothing of that one before', async () => {
    await using solana = await start()
    const mint = await Mint.create(solana.chain, 2)
    const [a, b] = [(await newSigner(solana.chain)).address, (await newSigner(solana.chain)).address]
    const declared = balances(solana, mint.address, { fresh: '1h', every: '1h' })
    await mint.give(b, 1n)
    await using site = await serve(declared)
    await using _one = await site.follow(`/balances/${a}`)
    await subscribed(solana, 1)
    // Fresh from a read, and another by now.
    expect(await declared.get({ owner: b })).toMatchObject({ value: '1' })
    await mint.give(b, 2n)
    await using two = await site.follow(`/balances/${b}`)
    await sees(two, '3')
  })

  test('is ended when the last of its keys is left, and all are asked for again after a break', async () => {
    await using solana = await start()
    const mint = await Mint.create(solana.chain, 2)
    const [a, b] = [(await newSigner(solana.chain)).address, (await newSigner(solana.chain)).address]
    await using site = await serve(balances(solana, mint.address))
    const one = await site.follow(`/balances/${a}`)
    const two = await site.follow(`/balances/${b}`)
    await subscribed(solana, 1)
    await one[Symbol.asyncDispose]()
    await mint.give(b, 1n)
    await sees(two, '1')
    solana.fault({ kind: 'socket-drop', count: 1 })
    await mint.give(b, 2n)
    await sees(two, '3')
    await subscribed(solana, 1)
    await two[Symbol.asyncDispose]()
    await subscribed(solana, 0)
  })

  test('without names in it is for all of its keys', async () => {
    await using solana = await start()
    const slot = feed('/slots/:name', {
      name: 'slot',
      key: { name: z.string() },
      value: z.string(),
      from: jsonRpc({ name: 'solana', url: solana.url, pastUsage: 'none' }),
      load: { one: async ({ name }, call) => `${name} ${await call('getSlot', [AT_ONCE])}` },
      live: jsonRpcPush({
        url: solana.socketUrl,
        subscribe: () => ['slotSubscribe'],
        unsubscribe: 'slotUnsubscribe',
        value: (result, { name }: { readonly name: string }) =>
          `${name} ${z.object({ slot: z.number() }).parse(result).slot}`,
        ...SELDOM,
      }),
    })
    await using site = await serve(slot)
    await using a = await site.follow('/slots/a')
    await using b = await site.follow('/slots/b')
    await subscribed(solana, 1)
    const beyond = solana.chain.slot + 3
    for (const [name, stream] of [
      ['a', a],
      ['b', b],
    ] as const) {
      const { data } = await stream.until('snapshot', ({ data }) => Number(String(data.value).slice(2)) > beyond)
      expect(data.value).toMatch(name)
    }
    expect(solana.stats().gauges?.subscriptions).toBe(1)
  })
})

/** A node that only has a WebSocket, and answers there what it is told to. */
async function socketNode(
  answer: (call: { readonly id: number; readonly method: string; readonly params: unknown }) => string,
) {
  const heard: string[] = []
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (peer) =>
    peer.on('message', (text) => {
      heard.push(String(text))
      peer.send(answer(JSON.parse(String(text))))
    }),
  )
  await new Promise((resolve) => server.on('listening', resolve))
  const { port } = server.address() as { port: number }
  return {
    heard,
    socketUrl: `ws://127.0.0.1:${port}`,
    say(text: string) {
      for (const peer of server.clients) peer.send(text)
    },
    async [Symbol.asyncDispose]() {
      for (const peer of server.clients) peer.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('ids of subscriptions', () => {
  test.each([
    ['a text, as Ethereum has them', '"0x9ce59a13059e417087c02d3236a0b1cc"'],
    ['beyond 2^53', '18446744073709551615'],
    ['zero', '0'],
  ])('may be %s', async (_, id) => {
    await using solana = await start()
    const { address } = await newSigner(solana.chain, 1_000_000n)
    await using node = await socketNode(({ id: call, method }) => {
      const result = method.endsWith('Unsubscribe') ? 'true' : call === 1 ? id : '5'
      return `{"jsonrpc":"2.0","id":${call},"result":${result}}`
    })
    const seen: unknown[] = []
    const declared = lamports(
      { socketUrl: node.socketUrl, url: solana.url },
      { value: (result) => seen.push((result as { rentEpoch: bigint }).rentEpoch), every: '20ms' },
    )
    await using site = await serve(declared)
    const a = await site.follow(`/lamports/${address}`)
    await expect.poll(() => node.heard.length).toBe(1)
    await using _b = await site.follow('/lamports/11111111111111111111111111111112')
    await expect.poll(() => node.heard.length).toBe(2)
    await sees(a, 1_000_000)
    node.say(
      `{"jsonrpc":"2.0","method":"any","params":{"result":{"rentEpoch":18446744073709551615},"subscription":${id}}}`,
    )
    await sees(a, 1)
    expect(seen).toEqual([18446744073709551615n])
    await a[Symbol.asyncDispose]()
    await expect.poll(() => node.heard.at(-1)).toContain(`"method":"accountUnsubscribe","params":[${id}]`)
  })
})

describe('a secret in the address of a WebSocket', () => {
  const KEY = '0f9c1e52-7d5b-4e0a-9f5e-2b1f6f1f4c11'

  test.each([
    ['no address', (_: string) => `node.example/?api-key=${KEY}`],
    ['another kind of address', (_: string) => `https://node.example/${KEY}`],
    ['an address with a fragment', (_: string) => `wss://node.example/#${KEY}`],
    ['an address where nobody listens', (_: string) => `ws://127.0.0.1:1/?api-key=${KEY}`],
    [
      'an error',
      (_: string) => {
        throw new Error(`no ticket at https://node.example/tickets?key=${KEY}`)
      },
    ],
    ['a node that repeats it in a refusal', (url: string) => `${url}/?api-key=${KEY}`],
  ])('is in no event, where it is %s', async (_, url) => {
    await using solana = await start()
    await using node = await socketNode(({ id }) =>
      JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32401, message: `bad key ${KEY}` } }),
    )
    const declared = lamports({ socketUrl: '', url: solana.url }, { url: () => url(node.socketUrl), every: '20ms' })
    await using site = await serve(declared)
    await using _a = await site.follow('/lamports/11111111111111111111111111111112')
    const told = () => site.events.filter(({ type }) => type === 'push.lost' || type === 'push.refused')
    await expect.poll(() => told().length).toBeGreaterThan(0)
    expect(JSON.stringify(told())).not.toContain(KEY)
    expect(JSON.stringify(site.events.map((event) => ('error' in event ? String(event.error) : event)))).not.toContain(
      KEY,
    )
  })

  test('is not in what is said of a message that can not be read', async () => {
    await using solana = await start()
    await using node = await socketNode(() => JSON.stringify({ error: { code: 1, message: `bad key ${KEY}` } }))
    const declared = lamports({ socketUrl: `${node.socketUrl}/${KEY}`, url: solana.url })
    await using site = await serve(declared)
    await using _a = await site.follow('/lamports/11111111111111111111111111111112')
    const failed = () => site.events.flatMap((event) => (event.type === 'failed' ? [String(event.error)] : []))
    await expect
      .poll(failed)
      .toEqual([expect.stringMatching(/^TypeError: expected a notification, got 1: bad key \*+$/)])
  })
})

describe('jsonRpcPush()', () => {
  const good = { url: 'ws://127.0.0.1:1', subscribe: () => ['slotSubscribe'] as const, unsubscribe: 'slotUnsubscribe' }

  test.each([
    [{ ...good, url: 'http://127.0.0.1' }, /url: expected a ws: or wss: address/],
    [{ ...good, subscribe: 'slotSubscribe' }, /subscribe: expected a function, got "slotSubscribe"/],
    [{ ...good, unsubscribe: undefined }, /unsubscribe: expected/],
    [{ ...good, keyOf: 'owner' }, /keyOf: expected a function/],
    [{ ...good, value: 1 }, /value: expected a function/],
    [{ ...good, revalidateEvery: 5 }, /revalidateEvery: expected/],
    [{ ...good, acknowledges: true }, /acknowledges/],
  ])('%# names what is wrong with its options', (options, said) => {
    expect(() => jsonRpcPush(options as never)).toThrow(ConfigError)
    expect(() => jsonRpcPush(options as never)).toThrow(said)
  })
})
