import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ConfigError,
  createGateway,
  defineApp,
  type GatewayOptions,
  type JsonRpcOptions,
  jsonRpc,
  type RpcOptions,
  rpc,
  type WeirEvent,
} from '../src/index.ts'
import { ManualClock } from './manual-clock.ts'
import { failure, type RpcNode, result, rpcNode } from './rpc-node.ts'
import { RUNTIMES, type Served } from './served.ts'

const ADDRESS = 'So11111111111111111111111111111111111111112'

const METHODS: RpcOptions['methods'] = {
  getSlot: { fresh: '1m' },
  getBalance: { fresh: '1m' },
  getMultipleAccounts: { fresh: '1m' },
  getTransaction: { fresh: '1h', missing: '2s' },
}
/** Of that method, in milliseconds. */
const MISSING = 2000

interface Given {
  readonly node?: Partial<JsonRpcOptions>
  readonly route?: Partial<RpcOptions>
}

function appOf({ url }: Pick<RpcNode, 'url'>, { node, route }: Given = {}) {
  const to = jsonRpc({ name: 'solana', url, pastUsage: 'none', retries: 0, ...node })
  return defineApp({ name: 'app', use: [rpc('/api/rpc', { name: 'rpc', to, methods: METHODS, ...route })] })
}

/** A gateway over real sockets, and what it tells. */
async function open(
  upstream: Pick<RpcNode, 'url'>,
  { gateway: options, ...given }: Given & { readonly gateway?: Partial<GatewayOptions> } = {},
) {
  const events: WeirEvent[] = []
  const gateway = createGateway({
    apps: [appOf(upstream, given)],
    observe: (event) => void events.push(event),
    ...options,
  })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    url,
    events,
    gateway,
    fetch: (path: string, init?: RequestInit) => fetch(url + path, init),
    [Symbol.asyncDispose]: () => gateway.close(1000),
  }
}

type Site = Pick<Served, 'fetch'>

function send(
  site: Site,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return site.fetch('/api/rpc', { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })
}

async function text(site: Site, body: string): Promise<string> {
  const answer = await send(site, body)
  expect(answer.status).toBe(200)
  return answer.text()
}

function call(method: string, params: unknown = [], id: unknown = 1): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params })
}

/** Undefined for what is no JSON. */
function parsed(body: string | Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body as string).toString())
  } catch {
    return undefined
  }
}

const said = (code: number, message: unknown = expect.any(String)) => ({ code, message })

describe.each(RUNTIMES)('a JSON-RPC route, on runtime $name', ({ serve }) => {
  test('answers each caller with his own id, as it came', async () => {
    await using node = await rpcNode()
    await using site = await serve({ apps: [appOf(node)] })
    for (const id of [
      '1',
      '"1"',
      'null',
      '12345678901234567890',
      '-1.50',
      '1e3',
      '-0',
      '"a\\u00e9\\ud83d\\ude00"',
      '""',
    ]) {
      const answer = await text(site, `{"jsonrpc":"2.0","id":${id},"method":"getSlot"}`)
      expect(answer).toMatch(/^\{"jsonrpc":"2\.0","result":\{"method":"getSlot","params":\[\]\},"id":.*\}$/)
      const given = answer.slice(answer.lastIndexOf('"id":') + 5, -1)
      expect(id.startsWith('"') ? JSON.parse(given) : given).toBe(id.startsWith('"') ? JSON.parse(id) : id)
    }
    expect(node.calls).toHaveLength(1)
  })

  test('answers an array in its order, and nothing for what has no id', async () => {
    await using node = await rpcNode()
    await using site = await serve({ apps: [appOf(node)] })
    const calls = [
      call('getSlot', [], 'a'),
      '{"jsonrpc":"2.0","method":"getSlot"}',
      call('sendTransaction', ['AQ=='], 'b'),
      '7',
      call('getBalance', [ADDRESS], 'a'),
      '{"jsonrpc":"2.0","method":"sendTransaction","params":["AQ=="]}',
    ]
    expect(JSON.parse(await text(site, `[${calls.join()}]`))).toEqual([
      { jsonrpc: '2.0', id: 'a', result: { method: 'getSlot', params: [] } },
      {
        jsonrpc: '2.0',
        id: 'b',
        error: said(-32601, expect.stringContaining('getSlot, getBalance, getMultipleAccounts')),
      },
      { jsonrpc: '2.0', id: null, error: said(-32600) },
      { jsonrpc: '2.0', id: 'a', result: { method: 'getBalance', params: [ADDRESS] } },
    ])
    expect(node.calls.map(({ method }) => method).sort()).toEqual(['getBalance', 'getSlot'])
    for (const silent of [calls[1] ?? '', `[${calls[1]},${calls[5]}]`]) {
      const answer = await send(site, silent)
      expect([answer.status, await answer.text()]).toEqual([204, ''])
    }
    expect(node.calls).toHaveLength(2)
  })

  test.each([
    ['no JSON', '{"jsonrpc":', -32700, null],
    ['nothing', '', -32700, null],
    ['no UTF-8', new Uint8Array([0x22, 0xff, 0x22]), -32700, null],
    ['what lies too deep to be read', '['.repeat(50_000), -32700, null],
    ['a number', '7.5', -32600, null],
    ['an empty list', '[]', -32600, null],
    ['too many calls', `[${Array(101).fill(call('getSlot')).join()}]`, -32600, null],
    ['another version', '{"jsonrpc":"1.0","id":7,"method":"getSlot"}', -32600, 7],
    ['no method', '{"jsonrpc":"2.0","id":7}', -32600, 7],
    ['an id that is none', '{"jsonrpc":"2.0","id":{},"method":"getSlot"}', -32600, null],
    ['a method that is not listed', call('toString'), -32601, 1],
    ['params that are none', call('getSlot', 'finalized'), -32602, 1],
    ['params that are a number', '{"jsonrpc":"2.0","id":1,"method":"getSlot","params":1.50}', -32602, 1],
    [
      'params that lie too deep',
      `{"jsonrpc":"2.0","id":1,"method":"getSlot","params":${'['.repeat(40_000)}${']'.repeat(40_000)}}`,
      -32602,
      1,
    ],
    ['params that are too long', call('getSlot', ['x'.repeat(25_000)]), -32602, 1],
  ])('refuses %s', async (_, body, code, id) => {
    await using node = await rpcNode()
    await using site = await serve({ apps: [appOf(node)] })
    const answer = await send(site, body)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(await answer.json()).toMatchObject({ jsonrpc: '2.0', id, error: said(code) })
    expect(node.calls).toEqual([])
  })

  test.each([
    ['a method of HTTP other than POST', 405, 'method_not_allowed', { method: 'PUT', body: call('getSlot') }],
    [
      'a type that pages of other sites may send',
      415,
      'unsupported_type',
      { headers: { 'content-type': 'text/plain' } },
    ],
    [
      'a body that is packed',
      415,
      'unsupported_type',
      { headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } },
    ],
    ['a body that is too large', 413, 'body_too_large', { body: call('getSlot', ['x'.repeat(102_400)]) }],
  ])('refuses %s as HTTP does', async (_, status, code, init) => {
    await using node = await rpcNode()
    await using site = await serve({ apps: [appOf(node)] })
    const headers = { 'content-type': 'application/json' }
    const answer = await site.fetch('/api/rpc', { method: 'POST', body: call('getSlot'), headers, ...init })
    expect([answer.status, await answer.json()]).toEqual([status, expect.objectContaining({ code })])
  })
})

describe('a JSON-RPC route', () => {
  test('makes one call for ten thousand callers with ten thousand ids', async () => {
    await using node = await rpcNode()
    const held = Promise.withResolvers<void>()
    node.answer = ({ id }, response) => {
      void held.promise.then(() => response.end(result(id, 341197053)))
      return undefined
    }
    let waiting = 1
    await using site = await open(node, {
      gateway: {
        observe: (event) => {
          if (event.type === 'flight.joined') waiting += 1
          if (waiting === 10_000) held.resolve()
        },
      },
    })
    const ids = Array.from({ length: 10_000 }, (_, id) => id)
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, part) => {
        const own = ids.slice(part * 100, part * 100 + 100)
        const answer = await send(site, `[${own.map((id) => call('getBalance', [ADDRESS], id)).join()}]`)
        return answer.json() as Promise<readonly { readonly id: number; readonly result: number }[]>
      }),
    )
    expect(answers.flat().map(({ id }) => id)).toEqual(ids)
    expect(new Set(answers.flat().map(({ result }) => result))).toEqual(new Set([341197053]))
    expect(node.calls).toHaveLength(1)
  })

  test('takes params for the same however they are written, and for others when they say something else', async () => {
    await using node = await rpcNode()
    await using site = await open(node)
    const ask = (params: string) => text(site, `{"jsonrpc":"2.0","id":1,"method":"getBalance","params":${params}}`)
    const same = ['["é",{"a":1,"b":[2]}]', '[ "\\u00e9", {"b":[2],"a":1} ]']
    const others = [
      '["e\\u0301",{"a":1,"b":[2]}]',
      '["é",{"a":1.0,"b":[2]}]',
      '["é",{"a":"1","b":[2]}]',
      '[{"a":1,"b":[2]},"é"]',
    ]
    for (const params of [...same, ...others]) await ask(params)
    expect(node.calls).toHaveLength(1 + others.length)
    await ask('[18446744073709551615,1e400,{"__proto__":{"x":1}}]')
    expect(node.calls).toHaveLength(2 + others.length)
  })

  test('hands params on with all their digits', async () => {
    let came = ''
    const node = createServer((request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => {
        came += text
        response.setHeader('content-type', 'application/json')
        response.end(result(JSON.parse(text).id, 1))
      })
    })
    await using _ended = { [Symbol.asyncDispose]: async () => void node.close() }
    await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve))
    await using site = await open({ url: `http://127.0.0.1:${(node.address() as AddressInfo).port}` })
    const params = '["é",18446744073709551615,1.50,{"__proto__":{"x":-0}}]'
    await text(site, `{"jsonrpc":"2.0","id":1,"method":"getBalance","params":${params}}`)
    expect(came).toContain(`"params":${params}`)
  })

  test('hands numbers on with all their digits, also when it has them from memory', async () => {
    await using node = await rpcNode()
    node.answer = ({ id }) =>
      `{"jsonrpc":"2.0","result":{"rentEpoch":18446744073709551615,"n":-9007199254740993},"id":${id}}`
    await using site = await open(node)
    for (const id of [1, 2]) {
      expect(await text(site, call('getBalance', [ADDRESS], id))).toBe(
        `{"jsonrpc":"2.0","result":{"rentEpoch":18446744073709551615,"n":-9007199254740993},"id":${id}}`,
      )
    }
    expect(node.calls).toHaveLength(1)
  })

  test('packs what is large for those who can read that, and says the same', async () => {
    await using node = await rpcNode()
    await using site = await open(node)
    // Not over a socket: clients unpack by themselves, and not all of them look at the checksum.
    const bytesOf = async (body: string, accepted: string) => {
      const headers = { 'content-type': 'application/json', 'accept-encoding': accepted }
      const request = new Request('http://localhost/api/rpc', { method: 'POST', headers, body })
      const answer = await site.gateway.sites[0]?.fetch(request)
      const bytes = Buffer.from((await answer?.bytes()) ?? [])
      return { encoding: answer?.headers.get('content-encoding'), bytes }
    }
    const asked = call('getBalance', ['é'.repeat(2000)])
    for (const body of [asked, `[${asked},${call('getSlot')},${call('getNothing', [], 'x'.repeat(70_000))}]`]) {
      const [plain, packed] = [await bytesOf(body, 'identity'), await bytesOf(body, 'br, gzip')]
      expect([plain.encoding, packed.encoding]).toEqual([null, 'gzip'])
      expect(gunzipSync(packed.bytes).equals(plain.bytes)).toBe(true)
      expect(packed.bytes.length).toBeLessThan(plain.bytes.length / 5)
      expect(await text(site, body)).toBe(plain.bytes.toString())
    }
    expect((await bytesOf(call('getSlot'), 'gzip')).encoding).toBeNull()
  })

  test('says of one call how old its answer is and where it came from', async () => {
    await using node = await rpcNode()
    const clock = new ManualClock()
    await using site = await open(node, { gateway: { clock } })
    const first = await send(site, call('getSlot'))
    await clock.advance(5000)
    const again = await send(site, call('getSlot'))
    const both = await send(site, `[${call('getSlot')},${call('getSlot')}]`)
    const of = (answer: Response) => ['age', 'cache-status', 'cache-control'].map((name) => answer.headers.get(name))
    expect(of(first)).toEqual(['0', 'weir; fwd=miss; stored', 'no-store'])
    expect(of(again)).toEqual(['5', expect.stringMatching(/^weir; hit; ttl=\d+$/), 'no-store'])
    expect(of(both)).toEqual([null, null, 'no-store'])
  })

  test('hands on what the node refuses, word for word, once for all and only for a while', async () => {
    await using node = await rpcNode()
    const data = { n: 7, of: ['accounts'] }
    node.answer = ({ id }) => failure(id, -32602, 'Invalid param: could not find account', data)
    const clock = new ManualClock()
    await using site = await open(node, { gateway: { clock } })
    const error = { code: -32602, message: 'Invalid param: could not find account', data }
    for (const id of ['a', 'b']) {
      expect(JSON.parse(await text(site, call('getTransaction', [], id)))).toEqual({ jsonrpc: '2.0', error, id })
    }
    expect(node.calls).toHaveLength(1)
    node.answer = ({ id }) => result(id, 5)
    await clock.advance(MISSING)
    expect(JSON.parse(await text(site, call('getTransaction')))).toMatchObject({ result: 5 })
  })

  test('believes that there is nothing yet only for a while, and a result for long', async () => {
    await using node = await rpcNode()
    node.answer = ({ id }) => result(id, null)
    const clock = new ManualClock()
    await using site = await open(node, { gateway: { clock } })
    for (let time = 0; time < 2; time++)
      expect(await text(site, call('getTransaction'))).toBe('{"jsonrpc":"2.0","result":null,"id":1}')
    expect(node.calls).toHaveLength(1)
    node.answer = ({ id }) => result(id, { slot: 5 })
    for (let time = 0; time < 3; time++) {
      await clock.advance(MISSING)
      expect(await text(site, call('getTransaction'))).toBe('{"jsonrpc":"2.0","result":{"slot":5},"id":1}')
    }
    expect(node.calls).toHaveLength(2)
  })

  test('asks together for what it lacks of an array, and never splits a call', async () => {
    await using node = await rpcNode()
    await using site = await open(node, { node: { batch: 10 } })
    await text(site, call('getBalance', ['kept']))
    const many = Array.from({ length: 100 }, (_, index) => `${ADDRESS}${index}`)
    const calls = [
      call('getBalance', ['kept']),
      call('getSlot'),
      call('getMultipleAccounts', [many]),
      call('getBalance', ['new']),
    ]
    await text(site, `[${calls.join()}]`)
    expect(node.arrays).toEqual([0, 3])
    expect(node.calls.find(({ method }) => method === 'getMultipleAccounts')?.params).toEqual([many])
  })

  test.each([
    ['limits us', 429, 429, 'upstream_limited', true],
    ['refuses our key', 401, -32401, 'upstream_refused', false],
  ] as const)(
    'says in words of its own when the node %s: that is between the two',
    async (_, status, code, own, retry) => {
      await using node = await rpcNode()
      node.answer = ({ id }, response) => {
        response.statusCode = status
        return failure(id, code, 'your key abc')
      }
      await using site = await open(node)
      const answer = await send(site, call('getSlot', [], 'x'))
      expect(answer.status).toBe(200)
      expect(await answer.json()).toMatchObject({ id: 'x', error: { data: { code: own, retry } } })
    },
  )

  test.each([
    [200, -32005, 'Node is behind by 42 slots', { numSlotsBehind: 42 }],
    [502, -32603, 'Internal error', undefined],
    [200, -32016, 'Minimum context slot has not been reached', { contextSlot: 7 }],
    [200, -32002, 'Transaction simulation failed', { err: { InstructionError: [0, 'Custom'] }, logs: [] }],
    [500, -32000, 'execution reverted', '0x08c379a0'],
    [500, 3, 'execution reverted: no', { big: 1 }],
    [400, -32602, 'Invalid params', null],
  ])('hands on what a node answers with %i and %i, word for word', async (status, code, message, data) => {
    await using node = await rpcNode()
    node.answer = ({ id }, response) => {
      response.statusCode = status
      return failure(id, code, message, data)
    }
    await using site = await open(node)
    for (const id of [1, 2]) {
      const answer = await send(site, call('getSlot', [], id))
      expect([answer.status, await answer.text()]).toEqual([200, failure(id, code, message, data)])
    }
  })

  test('serves an older result in place of what a node can not answer now', async () => {
    await using node = await rpcNode()
    await using site = await open(node, { route: { methods: { getSlot: { fresh: '0ms' } } } })
    const before = await text(site, call('getSlot'))
    node.answer = ({ id }) => failure(id, -32005, 'Node is unhealthy')
    expect(await text(site, call('getSlot'))).toBe(before)
  })

  test('says when to come again, where the budget leaves no room', async () => {
    await using node = await rpcNode()
    await using site = await open(node, { node: { limits: [{ calls: 1, per: '1m' }] }, route: { deadline: '100ms' } })
    await text(site, call('getSlot'))
    const answer = await send(site, `[${call('getSlot')},${call('getBalance', [ADDRESS], 2)}]`)
    const [slot, balance] = await answer.json()
    expect(slot).toHaveProperty('result')
    expect(balance).toMatchObject({ id: 2, error: { code: -32005, data: { code: 'over_budget', retry: true } } })
    const { retryAfter } = balance.error.data
    expect(retryAfter).toBeGreaterThan(30)
    expect(answer.headers.get('retry-after')).toBe(String(retryAfter))
    expect(node.calls).toHaveLength(1)
  })

  test('says what it has while the node fails', async () => {
    await using node = await rpcNode()
    await using site = await open(node, { route: { methods: { getSlot: { fresh: '1ms' } } } })
    const first = await text(site, call('getSlot'))
    node.answer = ({ id }) => failure(id, -32005, 'Node is unhealthy')
    const asked = async () => {
      await send(site, call('getSlot'))
      return node.calls.length
    }
    await expect.poll(asked).toBeGreaterThan(1)
    expect(await text(site, call('getSlot'))).toBe(first)
  })

  test('does not wait for who has left', async () => {
    await using node = await rpcNode()
    const asked = Promise.withResolvers<void>()
    const left = Promise.withResolvers<void>()
    node.answer = (_call, response) => {
      response.on('close', left.resolve)
      asked.resolve()
      return undefined
    }
    await using site = await open(node, { node: { timeout: '10m' }, route: { deadline: '10m' } })
    const controller = new AbortController()
    const body = `[${call('getSlot')},${call('getBalance', [ADDRESS])}]`
    const headers = { 'content-type': 'application/json' }
    const answer = site.fetch('/api/rpc', { method: 'POST', headers, body, signal: controller.signal })
    await asked.promise
    controller.abort()
    await expect(answer).rejects.toThrow('aborted')
    await left.promise
    expect(site.events.filter(({ type }) => type === 'failed')).toEqual([])
  })

  test('has the value of each method as a feed too', async () => {
    await using node = await rpcNode()
    await using site = await open(node)
    await text(site, call('getBalance', [{ b: 1, a: 'é' }]))
    const query = (params: string) => `/api/rpc/getBalance?params=${encodeURIComponent(params)}`
    const answer = await site.fetch(query('[{"a":"é", "b":1}]'))
    expect(await answer.json()).toEqual({ method: 'getBalance', params: [{ a: 'é', b: 1 }] })
    const several = await site.fetch(`/weir/values?topic=${encodeURIComponent('/api/rpc/getSlot')}`)
    expect((await several.json()).values).toMatchObject([
      { topic: '/api/rpc/getSlot?params=%5B%5D', value: { method: 'getSlot' } },
    ])
    expect(node.calls).toHaveLength(2)
    const bad = await site.fetch(query('7'))
    expect([bad.status, await bad.json()]).toMatchObject([400, { code: 'bad_key' }])
  })

  test('is the same in a region, which asks its origin alone', async () => {
    await using node = await rpcNode()
    node.answer = ({ id, method }) => {
      if (method === 'getSlot') return `{"jsonrpc":"2.0","result":18446744073709551615,"id":${id}}`
      return method === 'getTransaction' ? result(id, null) : failure(id, -32602, 'no such account', { n: 7 })
    }
    const route = { methods: { ...METHODS, getBalance: { missing: '1m' }, getTransaction: { missing: '1m' } } } as const
    await using origin = await open(node, { route })
    await using region = await open({ url: 'http://127.0.0.1:1' }, { route, gateway: { origin: origin.url } })
    for (const site of [region, origin]) {
      const calls = [
        call('getSlot'),
        call('getTransaction', ['x'], 2),
        call('getBalance', [ADDRESS], 3),
        call('getFee', [], 4),
      ]
      expect(await text(site, `[${calls.join()}]`)).toBe(
        '[{"jsonrpc":"2.0","result":18446744073709551615,"id":1},{"jsonrpc":"2.0","result":null,"id":2},' +
          '{"jsonrpc":"2.0","error":{"code":-32602,"message":"no such account","data":{"n":7}},"id":3},' +
          `{"jsonrpc":"2.0","error":${JSON.stringify(said(-32601, 'Method not found: expected one of getSlot, getBalance, getMultipleAccounts, getTransaction, got "getFee"'))},"id":4}]`,
      )
    }
    expect(node.calls).toHaveLength(3)
  })

  test('is listed among what the app serves', async () => {
    await using node = await rpcNode()
    await using site = await open(node)
    const { paths } = await (await site.fetch('/weir/openapi.json')).json()
    expect(paths['/api/rpc'].post.summary).toContain('getSlot, getBalance, getMultipleAccounts, getTransaction')
    expect(paths['/api/rpc/getSlot'].get.parameters[0]).toMatchObject({ name: 'params', required: false })
  })

  test('answers whatever it is sent, and never fails', async () => {
    await using node = await rpcNode()
    await using site = await open(node)
    const Id = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.double(),
      fc.constant(null),
      fc.constant(undefined),
      fc.jsonValue(),
    )
    const Call = fc.record(
      {
        jsonrpc: fc.oneof({ weight: 5, arbitrary: fc.constant('2.0') }, fc.jsonValue()),
        id: Id,
        method: fc.oneof(
          fc.constantFrom('getSlot', 'getBalance', '__proto__', 'constructor', 'sendTransaction'),
          fc.jsonValue(),
        ),
        params: fc.oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()),
      },
      { requiredKeys: [] },
    )
    const Whole = fc
      .oneof(Call, fc.array(fc.oneof(Call, fc.jsonValue()), { maxLength: 5 }))
      .map((value) => JSON.stringify(value))
    const Cut = fc
      .tuple(Whole, fc.nat(), fc.string())
      .map(([text, at, more]) => text.slice(0, at % (text.length + 1)) + more)
    const Bytes = fc.uint8Array({ maxLength: 200 })
    await fc.assert(
      fc.asyncProperty(fc.oneof(Whole, Cut, Bytes), async (body) => {
        const answer = await send(site, typeof body === 'string' ? body : Uint8Array.from(body))
        const given = await answer.text()
        if (answer.status === 204) {
          expect(given).toBe('')
          return
        }
        expect(answer.status).toBe(200)
        const asked = parsed(body)
        const replies: unknown = JSON.parse(given)
        expect(Array.isArray(replies)).toBe(Array.isArray(asked) && asked.length > 0)
        for (const reply of [replies].flat()) {
          expect(reply).toMatchObject({ jsonrpc: '2.0' })
          expect(reply).toHaveProperty('id')
          expect(Object.keys(reply as object).filter((name) => name === 'result' || name === 'error')).toHaveLength(1)
        }
      }),
      { numRuns: 500 },
    )
    expect(site.events.filter(({ type }) => type === 'failed')).toEqual([])
  })

  test.each([
    ['a path with a parameter', '/rpc/:id', {}, 'path'],
    ['no upstream', '/rpc', { to: undefined }, 'to'],
    ['what is no upstream', '/rpc', { to: 'http://node' }, 'to'],
    ['no methods', '/rpc', { methods: {} }, 'methods'],
    ['a method that changes something', '/rpc', { methods: { sendTransaction: {} } }, 'methods'],
    ['another', '/rpc', { methods: { eth_sendRawTransaction: {} } }, 'methods'],
    ['a third', '/rpc', { methods: { requestAirdrop: {} } }, 'methods'],
    ['a subscription', '/rpc', { methods: { accountSubscribe: {} } }, 'methods'],
    ['an unknown option of a method', '/rpc', { methods: { getSlot: { frehs: '1s' } } }, 'frehs'],
    ['an unknown option', '/rpc', { bodies: '1kb' }, 'bodies'],
  ])('with %s is refused', (_, path, given, key) => {
    const options = { to: jsonRpc({ name: 'n', url: 'http://127.0.0.1:1' }), methods: { getSlot: {} }, ...given }
    expect(() => rpc(path, options as RpcOptions)).toThrow(expect.objectContaining({ name: ConfigError.name, key }))
  })
})
