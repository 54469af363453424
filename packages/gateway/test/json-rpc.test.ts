import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { startSolana } from '../../simulators/src/solana/index.ts'
import {
  absent,
  anyOf,
  createGateway,
  defineApp,
  feed,
  type JsonRpcCall,
  JsonRpcError,
  type JsonRpcOptions,
  jsonRpc,
  type Limit,
  type Upstream,
  WeirError,
  type WeirEvent,
} from '../src/index.ts'
import { ManualClock } from './manual-clock.ts'
import { failure, type RpcNode, result, rpcNode } from './rpc-node.ts'

const BIG = 18446744073709551615n

type Load = (key: string, call: JsonRpcCall) => Promise<unknown>

function node(name: string, { url }: RpcNode, options: Partial<JsonRpcOptions> = {}): Upstream<JsonRpcCall> {
  return jsonRpc({ name, url, pastUsage: 'none', ...options })
}

/** A gateway with one feed, and what it tells. */
function open(from: Upstream<JsonRpcCall>, load: Load = (key, call) => call('getBalance', [key])) {
  const events: WeirEvent[] = []
  const value = feed('/values/:key', {
    name: 'value',
    key: { key: z.string() },
    value: z.unknown(),
    from,
    load: { one: ({ key }, call) => load(key, call) },
    fresh: '0ms',
    spread: 0,
  })
  const app = defineApp({ name: 'app', use: [value] })
  const gateway = createGateway({ apps: [app], observe: (event) => void events.push(event) })
  return {
    events,
    get: async (key: string) => (await value.get({ key })).value,
    [Symbol.asyncDispose]: () => gateway.close(),
  }
}

function tooSoon(response: ServerResponse, id: number, headers: Record<string, string> = {}): string {
  response.writeHead(429, headers)
  return failure(id, 429, 'Too many requests for a specific RPC call')
}

describe('a JSON-RPC upstream', () => {
  test('has its defaults, and asks without conditions', () => {
    expect(jsonRpc({ name: 'node', url: 'https://rpc.example.com/?api-key=K' })).toMatchObject({
      kind: 'upstream',
      name: 'node',
      settings: {
        ...{ url: 'https://rpc.example.com/', concurrency: 10, timeout: 30_000, conditional: false },
        limits: [{ limit: 100, window: 1000 }],
      },
    })
  })

  test('is another one with another key in its address', () => {
    const [one, other] = ['K1', 'K2'].map((key) =>
      jsonRpc({ name: 'n', url: `https://rpc.example.com/?api-key=${key}` }),
    )
    expect(one?.settings).not.toEqual(other?.settings)
  })

  test.each([
    ['no address', { url: undefined }, 'url'],
    ['no name', { name: '' }, 'name'],
    ['an unknown option', { timeOut: '1s' }, 'timeOut'],
    ['an option that only `http()` has', { statusOf: () => 200 }, 'statusOf'],
    ['a limit without its window', { limits: [{ calls: 1 }] }, 'per'],
    ['a past that is neither', { pastUsage: 'clean' }, 'pastUsage'],
  ])('with %s is refused', (_, given, key) => {
    const options = { name: 'node', url: 'https://rpc.example.com', ...given } as JsonRpcOptions
    expect(() => jsonRpc(options)).toThrow(
      expect.objectContaining({ name: 'ConfigError', key, where: expect.stringMatching(/^jsonRpc "/) }),
    )
  })
})

describe('a call', () => {
  test('goes to the address as it stands, and gives what the schema makes of the result, with all digits', async () => {
    await using upstream = await rpcNode()
    upstream.answer = ({ id }) => `{"jsonrpc":"2.0","result":{"value":{"rentEpoch":${BIG}}},"id":${id}}`
    const Account = z.object({ value: z.object({ rentEpoch: z.bigint() }) })
    const seen: bigint[] = []
    const url = `${upstream.url}/rpc/?api-key=K1`
    await using gateway = open(jsonRpc({ name: 'node', url, pastUsage: 'none' }), async (key, call) => {
      expect(call.caller).toEqual({})
      expect(call.signal.aborted).toBe(false)
      const { value } = await call('getAccountInfo', [key, { encoding: 'base64' }], { answer: Account })
      seen.push(value.rentEpoch)
      return value
    })
    expect(await gateway.get('a')).toEqual({ rentEpoch: BIG })
    expect(seen).toEqual([BIG])
    expect([...upstream.paths]).toEqual(['/rpc/?api-key=K1'])
    expect(upstream.calls).toMatchObject([{ method: 'getAccountInfo', params: ['a', { encoding: 'base64' }] }])
  })

  test.each([
    ['', '/'],
    ['/', '/'],
    ['/v2/k', '/v2/k'],
    ['/v2/k?a=1', '/v2/k?a=1'],
  ])('to an address that ends in "%s" asks for %s', async (end, path) => {
    await using upstream = await rpcNode()
    await using gateway = open(jsonRpc({ name: 'node', url: upstream.url + end, pastUsage: 'none' }))
    await gateway.get('a')
    expect([...upstream.paths]).toEqual([path])
  })

  test('of which many are made at once: each gets its own answer, over ten connections at most', async () => {
    await using upstream = await rpcNode()
    const held: (() => void)[] = []
    upstream.answer = ({ id, params }, response) => {
      held.push(() => response.end(result(id, params)))
      // The last that came is answered first.
      if (held.length === 10) for (const release of held.splice(0).reverse()) release()
      return undefined
    }
    await using gateway = open(node('node', upstream))
    const keys = Array.from({ length: 40 }, (_, index) => `k${index}`)
    expect(await Promise.all(keys.map(gateway.get))).toEqual(keys.map((key) => [key]))
    expect([upstream.calls.length, upstream.most, upstream.connections]).toEqual([40, 10, 10])
  })

  test('whose answer has the id of another is none', async () => {
    await using upstream = await rpcNode()
    upstream.answer = ({ id }) => result(id + 1, 1)
    await using gateway = open(node('node', upstream))
    await expect(gateway.get('a')).rejects.toMatchObject({ code: 'upstream_invalid' })
    expect(upstream.calls).toHaveLength(1)
  })
})

describe('the budget', () => {
  test('counts each method apart, beside all calls together', async () => {
    await using upstream = await rpcNode()
    const limits = [
      { calls: 5, per: '1h' },
      { calls: 2, per: '1h', lane: 'getProgramAccounts' },
    ] as const
    await using gateway = open(node('node', upstream, { limits }), (key, call) =>
      call(key.split('-')[0] ?? '', [key], { repeatable: true }),
    )
    const all = [1, 2, 3, 4].flatMap((n) => [`getProgramAccounts-${n}`, `getSlot-${n}`])
    const outcomes = await Promise.allSettled(all.map(gateway.get))
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(3)
    const methods = upstream.calls.map(({ method }) => method)
    expect(methods.filter((method) => method === 'getProgramAccounts')).toHaveLength(2)
    expect(methods).toHaveLength(5)
  })

  test.each([
    ['with Retry-After', { 'retry-after': '120' }, 120_000],
    ['without', {}, 1000],
    ['with one of a day', { 'retry-after': '86400' }, 300_000],
  ])('rests after a 429 %s', async (_, headers, rest) => {
    await using upstream = await rpcNode()
    upstream.answer = ({ id }, response) => tooSoon(response, id, headers)
    await using gateway = open(node('node', upstream))
    await expect(gateway.get('a')).rejects.toMatchObject({ code: 'upstream_limited', retryAfter: rest })
    expect(gateway.events).toContainEqual(expect.objectContaining({ type: 'budget.closed', for: rest }))
    expect(upstream.calls).toHaveLength(1)
  })

  test('knows credits that are gone, also in an answer of 200, and does not ask again', async () => {
    await using upstream = await rpcNode()
    upstream.answer = () => JSON.stringify({ jsonrpc: '2.0', error: { code: -32429, message: 'max usage reached' } })
    await using gateway = open(node('node', upstream))
    await expect(gateway.get('a')).rejects.toMatchObject({ code: 'upstream_limited' })
    await expect(gateway.get('b')).rejects.toMatchObject({ code: 'upstream_quota_exhausted' })
    expect(upstream.calls).toHaveLength(1)
  })
})

test('a method of which there were too many calls rests as long as the node says, and all others go on', async () => {
  await using upstream = await startSolana({
    latency: 0,
    jitter: 0,
    limits: { calls: 100, methods: { getBalance: 2 } },
  })
  const NOBODY = '11111111111111111111111111111112'
  await using gateway = open(
    jsonRpc({ name: 'node', url: upstream.url, pastUsage: 'none', retries: 0 }),
    (key, call) =>
      key.startsWith('balance')
        ? call('getBalance', [NOBODY])
        : call('getAccountInfo', [NOBODY, { encoding: 'base64' }]),
  )
  const began = performance.now()
  const outcomes = await Promise.allSettled([1, 2, 3].map((n) => gateway.get(`balance${n}`)))
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
  const next = gateway.get('balance4').then(() => performance.now() - began)
  for (let n = 1; n <= 20; n++) await gateway.get(`info${n}`)
  expect(upstream.stats().byPath).toMatchObject({
    getBalance: { served: 2, refused: 1 },
    getAccountInfo: { served: 20, refused: 0 },
  })
  expect(await next).toBeGreaterThanOrEqual(1000)
  expect(upstream.stats().refused).toBe(1)
})

describe('an error', () => {
  test.each([
    [-32005, 'Node is behind by 42 slots', { numSlotsBehind: 42 }],
    [-32005, 'Node is unhealthy', undefined],
    [-32603, 'Internal error', undefined],
  ])('%i "%s" is tried again', async (code, message, data) => {
    await using upstream = await rpcNode()
    upstream.answer = ({ id }) => (upstream.calls.length === 1 ? failure(id, code, message, data) : result(id, 'well'))
    await using gateway = open(node('node', upstream))
    expect(await gateway.get('a')).toBe('well')
    expect(upstream.calls).toHaveLength(2)
  })

  test('of a slot that a node has not reached is asked of the next, and is the caller’s where there is none', async () => {
    await using first = await rpcNode()
    await using second = await rpcNode()
    first.answer = ({ id }) => failure(id, -32016, 'Minimum context slot has not been reached')
    await using many = open(anyOf('nodes', [node('first', first), node('second', second)]))
    expect(await many.get('a')).toMatchObject({ method: 'getBalance' })
    await using one = open(node('alone', first))
    await expect(one.get('a')).rejects.toThrow(/answered -32016: Minimum context slot/)
    expect([first.calls.length, second.calls.length]).toEqual([2, 1])
  })

  test('of one node sends the call to the next at once, and not to the first again', async () => {
    await using first = await rpcNode()
    await using second = await rpcNode()
    const says: ((id: number, response: ServerResponse) => string)[] = [
      (id) => failure(id, -32005, 'Node is behind by 200 slots', { numSlotsBehind: 200 }),
      (id, response) => tooSoon(response, id, { 'retry-after': '1' }),
      (id, response) => {
        response.writeHead(503)
        return failure(id, -32603, 'Internal error')
      },
    ]
    first.answer = ({ id }, response) => says[first.calls.length - 1]?.(id, response) ?? result(id, 'first')
    second.answer = ({ id }) => result(id, 'second')
    await using gateway = open(anyOf('nodes', [node('first', first), node('second', second)]))
    expect(await gateway.get('a')).toBe('second')
    expect(await gateway.get('b')).toBe('second')
    expect([first.calls.length, second.calls.length]).toEqual([2, 2])
  })

  test.each([
    ['the call is wrong', 200, -32602, 'Invalid param: could not find account'],
    ['the method is not there', 200, -32601, 'Method not found'],
    ['the call is wrong, as a failure', 500, -32602, 'Invalid params'],
    ['our key is wrong', 401, -32401, 'invalid api key provided'],
    ['our plan is too small', 403, -32403, 'only available for paid plans'],
  ])('that says that %s is given up, and no other is asked', async (_, status, code, message) => {
    await using first = await rpcNode()
    await using second = await rpcNode()
    first.answer = ({ id }, response) => {
      response.writeHead(status)
      return failure(id, code, message)
    }
    await using gateway = open(anyOf('nodes', [node('first', first), node('second', second)]))
    await expect(gateway.get('a')).rejects.toMatchObject({ code: 'upstream_refused' })
    expect([first.calls.length, second.calls.length]).toEqual([1, 0])
  })

  test('of the call itself can be told from others by a loader', async () => {
    await using upstream = await rpcNode()
    upstream.answer = ({ id }) => failure(id, -32602, 'Invalid param: could not find account')
    await using gateway = open(node('node', upstream), (key, call) =>
      call('getTokenAccountBalance', [key]).catch((error: unknown) => {
        if (error instanceof JsonRpcError && error.rpcMessage.endsWith('could not find account')) return absent('none')
        throw error
      }),
    )
    await expect(gateway.get('a')).rejects.toMatchObject({ code: 'absent' })
  })

  test('sends nothing twice that changes something', async () => {
    await using upstream = await rpcNode()
    upstream.answer = ({ id }) => failure(id, -32603, 'Internal error')
    await using gateway = open(node('node', upstream), (key, call) => call('sendTransaction', [key]))
    await expect(gateway.get('a')).rejects.toMatchObject({ code: 'upstream_failed' })
    expect(upstream.calls).toHaveLength(1)
  })
})

describe('what is secret in an address', () => {
  const KEY = '0f9c1e52-7d5b-4e0a-9f5e-2b1f6f1f4c11'

  test.each([
    ['in its query', `/?api-key=${KEY}`],
    ['in its path', `/v2/${KEY}`],
  ])('%s is in no error, event or document, though the upstream repeats it', async (_, end) => {
    await using upstream = await rpcNode()
    const answers: ((id: number) => readonly [status: number, body: string])[] = [
      (id) => [401, failure(id, -32401, `invalid api key ${KEY}`)],
      (id) => [200, failure(id, -32602, `bad request to ${end}`)],
      () => [500, `<h1>POST ${end}</h1>`],
      () => [404, `nothing at ${end}`],
      () => [200, `"${end}"`],
      () => [200, `${end} is no JSON`],
    ]
    for (const answer of answers) {
      upstream.answer = ({ id }, response) => {
        const [status, body] = answer(id)
        response.writeHead(status)
        return body
      }
      const declared = jsonRpc({ name: 'node', url: upstream.url + end, pastUsage: 'none', retries: 0 })
      await using gateway = open(declared)
      const error: unknown = await gateway.get('a').catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(Error)
      const told = [String(error), JSON.stringify(error), JSON.stringify(gateway.events)].join('\n')
      expect(told).not.toContain(KEY)
    }
  })

  test('is not in what a declaration is refused with', () => {
    expect(() => jsonRpc({ name: 'node', url: `rpc.example.com/?api-key=${KEY}` })).toThrow(
      'jsonRpc "node": url: expected a URL that begins with http:// or https://, got "rpc.example.com"',
    )
  })
})

test('a hundred accounts that are asked for within 100 ms are one call, and each gets its own', async () => {
  await using upstream = await rpcNode()
  upstream.answer = ({ id, params: [keys] }) => {
    if (!Array.isArray(keys) || keys.length > 100) return failure(id, -32602, 'Too many inputs provided; max 100')
    const value = keys.map((key) => (key === 'k7' ? null : { owner: key }))
    return result(id, { context: { slot: 1 }, value })
  }
  const Accounts = z.object({ value: z.array(z.object({ owner: z.string() }).nullable()) })
  const account = feed('/accounts/:key', {
    name: 'account',
    key: { key: z.string() },
    value: z.object({ owner: z.string() }),
    from: node('node', upstream),
    load: {
      batch: 100,
      within: '100ms',
      many: async (keys, call) => {
        const params = [keys.map(({ key }) => key), { encoding: 'base64' }]
        const { value } = await call('getMultipleAccounts', params, { answer: Accounts })
        return keys.map((_, index) => value[index] ?? absent('no such account'))
      },
    },
  })
  await using _gateway = disposable(createGateway({ apps: [defineApp({ name: 'app', use: [account] })] }))
  const keys = Array.from({ length: 150 }, (_, index) => `k${index}`)
  const outcomes = await Promise.allSettled(keys.map((key) => account.get({ key })))
  for (const [index, outcome] of outcomes.entries()) {
    if (index === 7) expect(outcome).toMatchObject({ reason: { code: 'absent' } })
    else expect(outcome).toMatchObject({ value: { value: { owner: `k${index}` } } })
  }
  expect(upstream.calls.map(({ params: [asked] }) => (asked as unknown[]).length)).toEqual([100, 50])
})

/** The lamports of accounts, a hundred in one call, as an app of many wallets would have them. */
function wallets(url: string, limit: Limit) {
  const Accounts = z.object({ value: z.array(z.object({ lamports: z.number() }).nullable()) })
  return feed('/wallets/:key', {
    name: 'wallet',
    key: { key: z.string() },
    value: z.number(),
    from: jsonRpc({ name: 'node', url, pastUsage: 'none', concurrency: 10, limits: [limit] }),
    load: {
      batch: 100,
      within: '100ms',
      many: async (keys, call) => {
        const params = [keys.map(({ key }) => key), { encoding: 'base64' }]
        const { value } = await call('getMultipleAccounts', params, { answer: Accounts })
        return keys.map((_, index) => value[index]?.lamports ?? 0)
      },
    },
    deadline: '3s',
    fresh: '1m',
  })
}

const DIGITS = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
/** Addresses of accounts that nobody has. */
const addresses = (count: number) =>
  Array.from({ length: count }, (_, index) => {
    // Three digits that are three bytes, after 29 of zero.
    const digits = [20 + Math.floor(index / 2500), Math.floor(index / 50) % 50, index % 50].map(
      (value) => DIGITS[value],
    )
    return `${'1'.repeat(29)}${digits.join('')}`
  })

test('a thousand wallets that two hundred clients ask for at once are ten calls', async () => {
  await using upstream = await startSolana({ limits: { calls: 100 } })
  const wallet = wallets(upstream.url, { calls: 100, per: '1s' })
  // Its clock stands still: however long this machine takes, no call is late, and so none is asked for by halves.
  const clock = new ManualClock()
  await using _gateway = disposable(createGateway({ apps: [defineApp({ name: 'app', use: [wallet] })], clock }))
  const keys = addresses(1000)
  expect(new Set(keys).size).toBe(1000)
  const clients = Array.from({ length: 200 }, (_, client) =>
    Promise.all(keys.filter((_, index) => index % 20 === client % 20).map((key) => wallet.get({ key }))),
  )
  const answers = await Promise.all(clients)
  expect(answers.flat().every(({ value }) => value === 0)).toBe(true)
  expect(upstream.stats()).toMatchObject({ refused: 0, byPath: { getMultipleAccounts: { asked: 10 } } })
})

test('more wallets than there are calls for before the deadline: the rest is refused at once, and may come when that says', async () => {
  const CALLS = 5
  await using upstream = await startSolana({ limits: { calls: CALLS } })
  const wallet = wallets(upstream.url, { calls: CALLS, per: '4s' })
  await using _gateway = disposable(createGateway({ apps: [defineApp({ name: 'app', use: [wallet] })] }))
  const began = performance.now()
  const refused: { readonly retryAfter: number; readonly after: number }[] = []
  const ask = async (key: string) => {
    try {
      return (await wallet.get({ key })).value
    } catch (error) {
      if (!(error instanceof WeirError) || error.code !== 'over_budget' || error.retryAfter === undefined) throw error
      refused.push({ retryAfter: error.retryAfter, after: performance.now() - began })
      return undefined
    }
  }
  const keys = addresses(2000)
  const answers = await Promise.all(keys.map(ask))
  const lost = keys.filter((_, index) => answers[index] === undefined)
  expect(answers.length - lost.length).toBe(CALLS * 100)
  const asked = upstream.stats().byPath.getMultipleAccounts?.asked
  expect(asked).toBe(CALLS)
  // And not when the deadline is over.
  expect(Math.max(...refused.map(({ after }) => after))).toBeLessThan(3000)
  const wait = Math.min(...refused.map(({ retryAfter }) => retryAfter))
  await new Promise((resolve) => setTimeout(resolve, wait))
  expect(await ask(lost[0] ?? '')).toBe(0)
  expect(upstream.stats().refused).toBe(0)
})

function disposable(gateway: { close(): Promise<void> }): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => gateway.close() }
}

describe('an array', () => {
  const KEYS = Array.from({ length: 8 }, (_, index) => `k${index}`)

  test('carries calls that start at once, each charged by itself, and its answers are told apart by their ids alone', async () => {
    await using upstream = await rpcNode()
    const limits = [{ calls: 8, per: '1h' }] as const
    upstream.answerAll = (calls) => {
      const answers = calls.map(({ id, params: [key] }) => {
        if (key === 'k1') return ''
        if (key === 'k2') return `${result(id, 'one')},${result(id, 'other')}`
        if (key === 'k3') return failure(id, -32602, 'Invalid param')
        return `{"jsonrpc":"2.0","result":{"key":"${key}","n":${BIG}},"id":${id}}`
      })
      return `[${[result(-1, 'foreign'), failure(null, -32600, 'nobody'), ...answers.reverse()].filter(Boolean).join()}]`
    }
    await using gateway = open(node('node', upstream, { batch: 5, limits }))
    const outcomes = await Promise.allSettled(KEYS.map(gateway.get))
    expect(upstream.arrays).toEqual([5, 3])
    for (const [index, outcome] of outcomes.entries()) {
      if (index === 1 || index === 2) expect(outcome).toMatchObject({ reason: { code: 'upstream_invalid' } })
      else if (index === 3) expect(outcome).toMatchObject({ reason: { code: 'upstream_refused' } })
      else expect(outcome).toMatchObject({ value: { key: `k${index}`, n: BIG } })
    }
    await expect(gateway.get('k9')).rejects.toMatchObject({ code: 'over_budget' })
  })

  test.each([
    ['a status', 403, () => failure(undefined, -32403, 'paid plans')],
    ['an object', 200, () => failure(null, -32600, 'Batch requests are not supported')],
    ['a failure', 500, () => 'Internal Server Error'],
    ['something else', 200, () => '"no"'],
  ])(
    'that is refused by %s is sent again call by call, charged again, and never tried again',
    async (_, status, refuse) => {
      await using upstream = await rpcNode()
      upstream.answerAll = (_, response) => {
        response.writeHead(status)
        return refuse()
      }
      const limits = [{ calls: 18, per: '1h' }] as const
      await using gateway = open(node('node', upstream, { batch: 10, limits, retries: 0 }))
      expect(await Promise.all(KEYS.map(gateway.get))).toEqual(
        KEYS.map((key) => ({ method: 'getBalance', params: [key] })),
      )
      expect(upstream.arrays).toEqual([8, 0, 0, 0, 0, 0, 0, 0, 0])
      await Promise.all(['a', 'b'].map(gateway.get))
      expect(upstream.arrays.slice(9)).toEqual([0, 0])
      await expect(gateway.get('c')).rejects.toMatchObject({ code: 'over_budget' })
    },
  )

  test('that comes too soon is a refusal of its calls and says nothing of arrays', async () => {
    await using upstream = await rpcNode()
    let limited = true
    const { answerAll } = upstream
    upstream.answerAll = (calls, response) => {
      if (!limited) return answerAll(calls, response)
      response.writeHead(429, { 'retry-after': '1' })
      return failure(null, 429, 'Too many requests')
    }
    await using gateway = open(node('node', upstream, { batch: 10 }))
    const outcomes = await Promise.allSettled(KEYS.map(gateway.get))
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'upstream_limited' } })
    limited = false
    // The budget opens again after the second that was asked for.
    await Promise.all(['a', 'b'].map(gateway.get))
    expect(upstream.arrays).toEqual([8, 2])
  })

  test('has no calls that change something', async () => {
    await using upstream = await rpcNode()
    await using gateway = open(node('node', upstream, { batch: 10 }), (key, call) => call('sendTransaction', [key]))
    await Promise.all(['a', 'b'].map(gateway.get))
    expect(upstream.arrays).toEqual([0, 0])
  })
})
