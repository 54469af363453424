import { spawnSync } from 'node:child_process'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { queryObjects } from 'node:v8'
import fc from 'fast-check'
import { serverAudits } from 'graphql-http'
import { createClient as createSseClient } from 'graphql-sse'
import { createClient as createSocketClient } from 'graphql-ws'
import { describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import {
  absent,
  type Caller,
  defineApp,
  ERRORS,
  feed,
  type GatewayOptions,
  type GraphqlOptions,
  http,
  type Identity,
  type WeirEvent,
} from '../src/index.ts'
import { SharedSubscription } from '../src/transport/graphql/shared-subscription.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { RawSocket } from './raw-socket.ts'
import { RUNTIMES, type Served } from './served.ts'

const Price = z.object({
  usdPrice: z.number(),
  decimals: z.int().min(0).max(30),
  supply: z.int(),
  note: z.string().nullable().optional(),
  markets: z.array(z.object({ name: z.string(), 'last-trade': z.number() })),
  raw: z.unknown(),
})

const PRICE = { usdPrice: 1.5, decimals: 9, supply: 5_000_000_000, markets: [{ name: 'a', 'last-trade': 7 }], raw: [1] }

function identify({ header }: Caller): Identity | undefined {
  const user = header('authorization')
  return user === undefined ? undefined : { user }
}

/** A batched feed, one of single keys with a key in the query, and one of each user's own, with what the upstream says now. */
async function open(
  serve: (typeof RUNTIMES)[number]['serve'],
  graphql: boolean | GraphqlOptions = true,
  heartbeat: '10s' | '100ms' = '10s',
  options: Partial<GatewayOptions> = {},
  fresh: '2s' | '10m' = '2s',
) {
  const upstream = await countingUpstream()
  const now = { price: PRICE as unknown }
  upstream.answer = (path, response) => {
    if (path.startsWith('/down')) json(response, {}, 500)
    else json(response, now.price)
  }
  const source = http({ name: 'source', url: upstream.url, pastUsage: 'none', timeout: '2s', retries: 0 })
  const price = feed('/prices/:mint', {
    name: 'price',
    key: { mint: z.string().max(10) },
    value: Price,
    from: source,
    load: {
      within: '20ms',
      many: async (keys, call) => {
        const found = await call.get('/prices', { query: { ids: keys.map(({ mint }) => mint).join() } })
        return keys.map(({ mint }) => (mint === 'gone' ? absent('not priced', { for: '1m' }) : (found as never)))
      },
    },
    fresh,
    live: { every: '20ms', linger: '50ms' },
  })
  const slot = feed('/slots/:id', {
    name: 'big-slot',
    key: { id: z.string(), depth: z.coerce.number().int().default(10) },
    value: z.unknown(),
    from: source,
    load: { one: ({ id, depth }, call) => call.get(`/${id}/${depth}`) },
    fresh: '1m',
  })
  const mine = feed('/mine/:id', {
    name: 'mine',
    key: { id: z.string() },
    value: z.object({ id: z.string(), user: z.string() }),
    from: source,
    scope: 'user',
    load: { one: async ({ id }, call) => ({ id, user: call.caller?.user ?? '' }) },
    fresh: '1m',
  })
  const told: WeirEvent[] = []
  const app = defineApp({ name: 'test', use: [price, slot, mine], identify, graphql })
  const site = await serve({ apps: [app], heartbeat, observe: (event) => told.push(event), ...options })
  const ask = async (query: string, variables: unknown = {}, headers: Readonly<Record<string, string>> = {}) => {
    const answer = await site.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    })
    return (await answer.json()) as { data?: Record<string, unknown>; errors?: { extensions: { code: string } }[] }
  }
  return {
    ...site,
    upstream,
    now,
    ask,
    told,
    get executions() {
      return told.filter(({ type }) => type === 'graphql.executed').length
    },
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

const [NODE, WEB] = RUNTIMES as [(typeof RUNTIMES)[number], (typeof RUNTIMES)[number]]

async function followed(site: Pick<Served, 'fetch'>, query: string, variables: unknown = {}, headers = {}) {
  const address = new URLSearchParams({ query, variables: JSON.stringify(variables) })
  const accept = { accept: 'text/event-stream', ...headers }
  return new EventStream(await site.fetch(`/graphql?${address}`, { headers: accept }))
}

async function openNode(
  graphql: boolean | GraphqlOptions = true,
  heartbeat: '10s' | '100ms' = '10s',
  fresh: '2s' | '10m' = '2s',
) {
  const site = await open(NODE.serve, graphql, heartbeat, {}, fresh)
  const [url = ''] = await site.gateway.listen({ port: 0 })
  return Object.assign(site, { url: `${url}/graphql` })
}

describe.each(RUNTIMES)('GraphQL on runtime $name', ({ serve }) => {
  test('has the feeds as fields, their keys as arguments and their values as types', async () => {
    await using site = await open(serve)
    const query = `query ($mint: String!) {
      price(mint: $mint) { usdPrice decimals supply note markets { name last_trade } raw }
      priceState(mint: $mint) { value { usdPrice } version age stale reason changedAt checkedAt }
    }`
    const { markets, ...rest } = PRICE
    expect(await site.ask(query, { mint: 'SOL' })).toEqual({
      data: {
        price: { ...rest, note: null, markets: [{ name: 'a', last_trade: 7 }] },
        priceState: {
          value: { usdPrice: 1.5 },
          version: expect.stringMatching(/^\d+:1$/),
          age: expect.any(Number),
          stale: false,
          reason: null,
          changedAt: expect.any(Number),
          checkedAt: expect.any(Number),
        },
      },
    })
    expect(markets).toHaveLength(1)
  })

  test('leaves every digit of a large number, also among what has no type', async () => {
    await using site = await open(serve)
    const text = '{"epoch":18446744073709551615}'
    site.upstream.answer = (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(text)
    const answer = await site.fetch(`/graphql?query=${encodeURIComponent('{ big_slot(id: "a") }')}`)
    expect(await answer.text()).toBe(`{"data":{"big_slot":${text}}}`)
  })

  test('asks for all feeds and keys of a document together: they share calls', async () => {
    await using site = await open(serve)
    const fields = Array.from({ length: 20 }, (_, id) => `p${id}: price(mint: "m${id}") { usdPrice }`)
    const { data } = await site.ask(`{ ${fields.join(' ')} big_slot(id: "x") }`)
    expect(Object.keys(data ?? {})).toHaveLength(21)
    expect([...site.upstream.asked.keys()].map((path) => path.slice(0, 7)).sort()).toEqual(['/prices', '/x/10'])
  })

  test('says with our codes what is wrong, field by field', async () => {
    await using site = await open(serve)
    const query = `{
      gone: price(mint: "gone") { usdPrice } state: priceState(mint: "gone") { value { usdPrice } reason }
      long: price(mint: "01234567890") { usdPrice } down: big_slot(id: "down") mine(id: "a") { user }
    }`
    const { data, errors } = await site.ask(query)
    const state = { value: null, reason: 'not priced' }
    expect(data).toEqual({ gone: null, state, long: null, down: null, mine: null })
    const told = Object.fromEntries((errors ?? []).map((error) => [String((error as never as Path).path[0]), error]))
    expect(told).toMatchObject({
      gone: { message: '/prices/gone: not priced', extensions: { code: 'absent', retry: true, retryAfter: 60 } },
      long: { extensions: { code: 'bad_key', retry: false } },
      down: { extensions: { code: 'upstream_failed' } },
      mine: { extensions: { code: 'unauthenticated' } },
    })
  })

  test('of each user are his own', async () => {
    await using site = await open(serve)
    for (const user of ['ann', 'bob']) {
      const answer = await site.ask('{ mine(id: "a") { id user } }', {}, { authorization: user })
      expect(answer).toEqual({ data: { mine: { id: 'a', user } } })
    }
  })

  test.each([
    ['{ price(', 'bad_document', /^Syntax Error/],
    ['{ prise }', 'bad_document', /^Cannot query field "prise" on type "Query"\.$/],
    ['{ price { usdPrice } }', 'bad_document', /Argument "Query.price\(mint:\)"/],
    ['{ __schema { types { name } } }', 'bad_document', /introspection/],
    [
      `{ ${'price(mint:"a") { usdPrice } '.repeat(101)} }`,
      'query_too_complex',
      /^maxCost: expected at most 1000, got 1\d\d\d$/,
    ],
    [
      `{ ${Array.from({ length: 101 }, (_, id) => `a${id}: __typename`).join(' ')} }`,
      'query_too_complex',
      /^maxAliases: /,
    ],
    [`{ price(mint: "a") ${'{ markets '.repeat(11)}{ name }${' }'.repeat(11)} }`, 'query_too_complex', /^maxDepth: /],
    [`{ ${'big_slot(id: "a") '.repeat(2000)} }`, 'bad_document', /tokens/],
  ])('refuses with a reason %#', async (query, code, message) => {
    await using site = await open(serve)
    const { data, errors } = await site.ask(query)
    expect(data).toBeUndefined()
    expect(errors).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(message), extensions: { code, retry: false } }),
    )
    expect(site.upstream.calls).toBe(0)
  })

  test('measures a fragment once, however often it is spread', async () => {
    await using site = await open(serve)
    const doubling = Array.from({ length: 60 }, (_, id) => `fragment f${id} on Query { ...f${id + 1} ...f${id + 1} }`)
    const { errors } = await site.ask(`{ ...f0 } ${doubling.join(' ')} fragment f60 on Query { __typename }`)
    expect(errors?.map(({ extensions }) => extensions.code)).toContain('query_too_complex')
  })

  test('refuses batches, and bodies that are too large', async () => {
    await using site = await open(serve)
    const headers = { 'content-type': 'application/json' }
    const batch = JSON.stringify([{ query: '{ __typename }' }, { query: '{ __typename }' }])
    expect((await site.fetch('/graphql', { method: 'POST', headers, body: batch })).status).toBe(400)
    const body = JSON.stringify({ query: '{ __typename }', padding: 'x'.repeat(200_000) })
    const large = await site.fetch('/graphql', { method: 'POST', headers, body })
    expect([large.status, await large.json()]).toEqual([413, expect.objectContaining({ code: 'body_too_large' })])
  })

  test('shows its schema and GraphiQL only to those who asked for them', async () => {
    const page = { headers: { accept: 'text/html' } }
    await using plain = await open(serve)
    expect(await (await plain.fetch('/graphql', page)).text()).not.toContain('<html')
    await using site = await open(serve, { graphiql: true })
    const html = await (await site.fetch('/graphql', page)).text()
    expect(html).toContain('<html')
    expect(html).not.toMatch(/(src|href)=["']?https?:/)
    const { data } = await site.ask('{ __schema { queryType { fields { name } } } }')
    const names = ['price', 'priceState', 'big_slot', 'big_slotState', 'mine', 'mineState']
    expect(data).toEqual({ __schema: { queryType: { fields: names.map((name) => ({ name })) } } })
    expect((await site.ask('{ prise }')).errors).toMatchObject([{ message: expect.stringContaining('Did you mean') }])
  })

  test('shows both in development, unless told not to', async () => {
    vi.stubEnv('NODE_ENV', 'development')
    try {
      for (const [given, shown] of [
        [true, true],
        [{ graphiql: false }, false],
      ] as const) {
        await using site = await open(serve, given)
        const html = await (await site.fetch('/graphql', { headers: { accept: 'text/html' } })).text()
        const { data } = await site.ask('{ __schema { queryType { name } } }')
        expect([html.includes('<html'), data !== undefined]).toEqual([shown, shown])
      }
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test('streams a subscription: the value of now, and then each change', async () => {
    await using site = await open(serve)
    const controller = new AbortController()
    const answer = await site.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: 'subscription { price(mint: "SOL") { usdPrice } }' }),
      signal: controller.signal,
    })
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    let text = ''
    for await (const chunk of answer.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (text.includes('1.5')) site.now.price = { ...PRICE, usdPrice: 2.5 }
      if (text.includes('2.5')) break
    }
    controller.abort()
    expect(text.match(/event: next\ndata: .*\n\n/g)).toEqual(
      [1.5, 2.5].map((usdPrice) => `event: next\ndata: ${JSON.stringify({ data: { price: { usdPrice } } })}\n\n`),
    )
  })

  test('answers a subscription whose key is refused with the reason', async () => {
    await using site = await open(serve)
    for (const [field, code] of [
      ['price(mint: "01234567890") { usdPrice }', 'bad_key'],
      ['mine(id: "a") { user }', 'unauthenticated'],
    ]) {
      const answer = await site.fetch(`/graphql?query=${encodeURIComponent(`subscription { ${field} }`)}`, {
        headers: { accept: 'text/event-stream' },
      })
      const text = await answer.text()
      expect(text).toContain(`"code":"${code}"`)
      expect(text).toContain('event: complete')
    }
  })
})

interface Path {
  readonly path: readonly string[]
}

test('passes every audit of GraphQL over HTTP', async () => {
  await using site = await openNode({ introspection: true })
  const results = await Promise.all(serverAudits({ url: site.url, fetchFn: fetch }).map((audit) => audit.fn()))
  expect(
    results
      .filter(({ status }) => status !== 'ok')
      .map((result) => [result.id, result.name, 'reason' in result && result.reason]),
  ).toEqual([])
  expect(results.length).toBeGreaterThan(60)
})

const PRICES = 'subscription ($mint: String!) { price(mint: $mint) { usdPrice } }'

describe.each([
  [
    'graphql-sse',
    (url: string, headers: Readonly<Record<string, string>>) => createSseClient({ url, headers, retryAttempts: 0 }),
  ],
  [
    'graphql-ws',
    (url: string, headers: Readonly<Record<string, string>>) =>
      createSocketClient({
        url: url.replace('http', 'ws'),
        retryAttempts: 0,
        webSocketImpl: class extends WebSocket {
          constructor(url: string, protocols: string) {
            super(url, protocols, { headers })
          }
        },
      }),
  ],
] as const)('the client of %s', (_name, connect) => {
  test('follows a value, and is let go of when it leaves', async () => {
    await using site = await openNode()
    const client = connect(site.url, {})
    const results = client.iterate({ query: PRICES, variables: { mint: 'SOL' } })
    expect((await results.next()).value).toEqual({ data: { price: { usdPrice: 1.5 } } })
    site.now.price = { ...PRICE, usdPrice: 2 }
    expect((await results.next()).value).toEqual({ data: { price: { usdPrice: 2 } } })
    await results.return?.()
    client.dispose()
    const joined = () => site.told.filter(({ type }) => type === 'hub.joined').length
    await expect.poll(() => site.told.filter(({ type }) => type === 'hub.left').length).toBe(joined())
  })

  test('asks a query', async () => {
    await using site = await openNode()
    const client = connect(site.url, { authorization: 'ann' })
    const results = client.iterate({ query: '{ mine(id: "a") { user } }' })
    expect(await results.next()).toEqual({ value: { data: { mine: { user: 'ann' } } }, done: false })
    expect(await results.next()).toMatchObject({ done: true })
    client.dispose()
  })

  test('is told that there is no value, and then what there is', async () => {
    await using site = await openNode()
    site.upstream.answer = (_, response) => json(response, {}, 500)
    const client = connect(site.url, {})
    const results = client.iterate({ query: PRICES, variables: { mint: 'SOL' } })
    expect((await results.next()).value).toMatchObject({
      data: { price: null },
      errors: [{ path: ['price'], extensions: { code: 'upstream_failed' } }],
    })
    site.upstream.answer = (_, response) => json(response, PRICE)
    await expect.poll(async () => (await results.next()).value).toEqual({ data: { price: { usdPrice: 1.5 } } })
    client.dispose()
  })

  test('gets the values of its user, and of no other', async () => {
    await using site = await openNode()
    for (const user of ['ann', 'bob']) {
      const client = connect(site.url, { authorization: user })
      const results = client.iterate({ query: 'subscription { mine(id: "a") { user } }' })
      expect((await results.next()).value).toEqual({ data: { mine: { user } } })
      client.dispose()
    }
  })
})

test('1,000 who follow the same by SSE and WebSocket are one execution for each version', async () => {
  await using site = await openNode(true, '10s', '10m')
  const socket = createSocketClient({ url: site.url.replace('http', 'ws'), webSocketImpl: WebSocket })
  const bodies = { heard: 0 }
  const agent = new Agent({ maxSockets: 1000 })
  const path = `${site.url}?query=${encodeURIComponent(PRICES)}&variables=${encodeURIComponent('{"mint":"SOL"}')}`
  for (let client = 0; client < 900; client++) {
    const request = get(path, { agent, headers: { accept: 'text/event-stream' } }, (response) => {
      response.on('error', () => {})
      response.on('data', (chunk: Buffer) => {
        bodies.heard += chunk.toString().match(/event: next/g)?.length ?? 0
      })
    })
    request.on('error', () => {})
  }
  for (let client = 0; client < 100; client++) {
    socket.subscribe(
      { query: PRICES, variables: { mint: 'SOL' } },
      { next: () => bodies.heard++, error() {}, complete() {} },
    )
  }
  await expect.poll(() => bodies.heard, { timeout: 20_000 }).toBe(1000)
  expect(site.executions).toBe(1)
  for (const version of [2, 3, 4]) {
    site.now.price = { ...PRICE, usdPrice: version }
    await expect.poll(() => bodies.heard, { timeout: 20_000 }).toBe(1000 * version)
    expect(site.executions).toBe(version)
  }
  await socket.dispose()
  agent.destroy()
}, 60_000)

test('a client that offers another protocol, as curl does, is answered in this one', async () => {
  await using site = await openNode()
  const status = await new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABk' }
    get(`${site.url}?query={__typename}`, { headers }, (response) => resolve(response.resume().statusCode)).on(
      'error',
      reject,
    )
  })
  expect(status).toBe(200)
})

test('what could change a result makes it another execution, and nothing else does', async () => {
  await using site = await open(WEB.serve)
  const query = `subscription Q($mint: String! = "SOL", $full: Boolean = true) {
    price(mint: $mint) { usdPrice decimals @include(if: $full) }
  }`
  const small = { data: { price: { usdPrice: 1.5 } } }
  const full = { data: { price: { usdPrice: 1.5, decimals: 9 } } }
  for (const [variables, result, executions] of [
    [{ mint: 'SOL', full: true }, full, 1],
    [{ full: true, mint: 'SOL' }, full, 1],
    [{ unknown: 1 }, full, 1],
    [{ full: false }, small, 2],
    [{ mint: 'JUP' }, full, 3],
  ] as const) {
    await using stream = await followed(site, query, variables)
    expect((await stream.until('next')).data).toEqual(result)
    expect(site.executions).toBe(executions)
  }
})

test('a document is kept as long as anybody follows it, however often memory is swept, and no longer', async () => {
  // Counting stops the process for seconds, and a value that grew stale meanwhile is said again to all.
  await using site = await open(WEB.serve, true, '10s', {}, '10m')
  const documents = Array.from({ length: 20 }, (_, id) => PRICES.replace('{ usdPrice', `{ a${id}: usdPrice`))
  const streams = await Promise.all(documents.map((query) => followed(site, query, { mint: 'SOL' })))
  for (const stream of streams) await stream.until('next')
  // Counting sweeps the memory; what earlier tests left may need more than one sweep.
  await expect.poll(() => queryObjects(SharedSubscription, { format: 'count' })).toBe(20)
  const others = await Promise.all(documents.map((query) => followed(site, query, { mint: 'SOL' })))
  for (const stream of others) await stream.until('next')
  expect(site.executions).toBe(20)
  site.now.price = { ...PRICE, usdPrice: 2 }
  for (const stream of [...streams, ...others]) await stream.until('next')
  expect(site.executions).toBe(40)
  for (const stream of [...streams, ...others]) await stream[Symbol.asyncDispose]()
  await expect.poll(() => queryObjects(SharedSubscription, { format: 'count' })).toBe(0)
})

test('a slow reader delays no other, and receives the latest value when it reads again', async () => {
  await using site = await openNode()
  await using raw = await RawSocket.open(site.url, '/graphql', ['sec-websocket-protocol: graphql-transport-ws'])
  const query = 'subscription { priceState(mint: "SOL") { version value { raw } } }'
  for (const message of [{ type: 'connection_init' }, { id: 'a', type: 'subscribe', payload: { query } }])
    raw.say(JSON.stringify(message))
  await raw.until(() => raw.texts.length >= 2)
  raw.socket.pause()
  await using quick = await followed(site, query)
  const large = 'x'.repeat(1_000_000)
  const count = (type: WeirEvent['type']) => site.told.filter((event) => event.type === type).length
  const seen = new Set<number>()
  // Some versions more than make it lag: so many as it must not be told.
  for (let after = 0; after < 10; ) {
    const { data } = (await quick.until('next')).data as { data: { priceState: { version: string } } }
    const version = Number(data.priceState.version.split(':')[1])
    // A version is told again when it grew stale.
    if (seen.has(version)) continue
    seen.add(version)
    site.now.price = { ...PRICE, raw: `${version}${large}` }
    // The quick one may lag for a moment too.
    after = count('hub.lagging') > count('hub.caughtUp') ? after + 1 : 0
  }
  site.now.price = PRICE
  const versions = () =>
    raw.texts.slice(1).map((text) => Number(JSON.parse(text).payload.data.priceState.version.split(':')[1]))
  raw.socket.resume()
  await expect.poll(() => versions().at(-1)).toBeGreaterThan(Math.max(...seen))
  expect(versions()).toEqual(versions().sort((a, b) => a - b))
  expect(new Set(versions()).size).toBeLessThanOrEqual(seen.size - 7)
}, 60_000)

test.each(['HTTP', 'WebSocket'])(
  'a client that leaves before its query is answered, on %s, ends the call for it, and nothing failed',
  async (form) => {
    await using site = await openNode()
    let gone = false
    site.upstream.answer = (_, response) => void response.on('close', () => (gone = true))
    const query = '{ big_slot(id: "a") }'
    if (form === 'HTTP') {
      const controller = new AbortController()
      const answer = fetch(`${site.url}?${new URLSearchParams({ query })}`, { signal: controller.signal })
      await expect.poll(() => site.upstream.calls).toBe(1)
      controller.abort()
      await expect(answer).rejects.toThrow('aborted')
    } else {
      const client = createSocketClient({ url: site.url.replace('http', 'ws'), webSocketImpl: WebSocket })
      client.subscribe({ query }, { next() {}, error() {}, complete() {} })
      await expect.poll(() => site.upstream.calls).toBe(1)
      client.terminate()
    }
    await expect.poll(() => gone).toBe(true)
    expect(await site.ask('{ __typename }')).toEqual({ data: { __typename: 'Query' } })
    expect(site.told.filter(({ type }) => type === 'failed')).toEqual([])
  },
)

test('a subscription counts as a connection: one too many is refused, on SSE and on a WebSocket', async () => {
  await using site = await open(NODE.serve, true, '10s', { connections: 2 })
  const [url = ''] = await site.gateway.listen({ port: 0 })
  const client = createSocketClient({ url: `${url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket })
  const first = client.iterate({ query: PRICES, variables: { mint: 'SOL' } })
  expect((await first.next()).value).toEqual({ data: { price: { usdPrice: 1.5 } } })
  await expect(client.iterate({ query: PRICES, variables: { mint: 'JUP' } }).next()).rejects.toMatchObject([
    { extensions: { code: 'too_many_connections', retry: true, retryAfter: 5 } },
  ])
  const answer = await site.fetch(`/graphql?${new URLSearchParams({ query: PRICES, variables: '{"mint":"SOL"}' })}`, {
    headers: { accept: 'text/event-stream' },
  })
  expect([answer.status, await answer.json()]).toEqual([503, expect.objectContaining({ code: 'too_many_connections' })])
  await client.dispose()
})

test('whatever is asked, the answer is data or errors with codes of the table, and nothing fails inside', async () => {
  await using site = await open(WEB.serve)
  const valid = [
    '{ price(mint: "SOL") { usdPrice markets { name } } big_slot(id: "a", depth: 3) }',
    'query Q($mint: String! = "SOL") { ...p } fragment p on Query { priceState(mint: $mint) { value { raw } age } }',
    'subscription { price(mint: "SOL") { usdPrice } }',
  ]
  const piece = fc.constantFrom(
    ...'{}()[]!$:@"\\.,…1 ',
    '...',
    '$mint',
    '__schema',
    'fragment p on Query',
    '@skip(if: true)',
    'null',
  )
  const mutated = fc
    .tuple(fc.constantFrom(...valid), fc.array(fc.tuple(fc.nat(120), fc.nat(8), piece), { maxLength: 4 }))
    .map(([document, edits]) =>
      edits.reduce((text, [at, length, piece]) => text.slice(0, at) + piece + text.slice(at + length), document),
    )
  const variables = fc.oneof(
    fc.constant(undefined),
    fc.dictionary(fc.constantFrom('mint', 'x'), fc.jsonValue()),
    fc.jsonValue(),
  )
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, fc.string(), fc.jsonValue()), variables, async (query, variables) => {
      const answer = await site.fetch('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
        body: JSON.stringify({ query, variables }),
      })
      const said = (await answer.json()) as { data?: unknown; errors?: { extensions: { code: string } }[] }
      const { data, errors } = said
      if (answer.status === 406) {
        expect(said).toMatchObject({ code: 'not_acceptable', detail: expect.stringContaining('text/event-stream') })
        return
      }
      expect(data !== undefined || (errors ?? []).length > 0).toBe(true)
      for (const { extensions } of errors ?? []) expect(Object.keys(ERRORS)).toContain(extensions.code)
    }),
    { numRuns: 2000 },
  )
  expect(site.told.filter(({ type }) => type === 'failed')).toEqual([])
}, 60_000)

test('who asks for what is known of a value hears of it with each heartbeat, also that it grew stale', async () => {
  await using site = await openNode(true, '100ms')
  const client = createSseClient({ url: site.url, retryAttempts: 0 })
  const query = 'subscription { priceState(mint: "SOL") { value { usdPrice } version stale checkedAt } }'
  const results = client.iterate<{ priceState: { version: string; stale: boolean; checkedAt: number } }>({ query })
  const next = async () => (await results.next()).value?.data?.priceState
  const first = await next()
  expect(first).toMatchObject({ value: { usdPrice: 1.5 }, stale: false })
  await expect.poll(async () => (await next())?.checkedAt).toBeGreaterThan(first?.checkedAt ?? 0)
  site.upstream.answer = (_, response) => json(response, {}, 500)
  await expect.poll(next).toMatchObject({ stale: true, version: first?.version })
  client.dispose()
})

test('what is told again with a heartbeat is the own value of each user', async () => {
  await using site = await open(WEB.serve, true, '100ms')
  const query = 'subscription { mineState(id: "a") { value { user } checkedAt } }'
  await using ann = await followed(site, query, {}, { authorization: 'ann' })
  await using bob = await followed(site, query, {}, { authorization: 'bob' })
  for (const [user, stream] of [
    ['ann', ann],
    ['bob', bob],
    ['ann', ann],
    ['bob', bob],
    ['ann', ann],
  ] as const)
    expect((await stream.until('next')).data).toMatchObject({ data: { mineState: { value: { user } } } })
})

describe('a WebSocket that speaks graphql-transport-ws', () => {
  async function connect(url: string, protocols: readonly string[] = ['graphql-transport-ws']) {
    const socket = new WebSocket(url.replace('http', 'ws'), [...protocols])
    const messages: Record<string, unknown>[] = []
    socket.on('message', (data) => messages.push(JSON.parse(String(data))))
    const closed = new Promise<[number, string]>((resolve) =>
      socket.on('close', (code, reason) => resolve([code, String(reason)])),
    )
    const opened = await new Promise<string>((resolve) => {
      socket.on('open', () => resolve(socket.protocol))
      socket.on('error', (error) => resolve(error.message))
    })
    const say = (...said: readonly unknown[]) => {
      for (const message of said) socket.send(typeof message === 'string' ? message : JSON.stringify(message))
    }
    return { socket, messages, closed, opened, say, [Symbol.dispose]: () => socket.terminate() }
  }

  const INIT = { type: 'connection_init' }
  const SUBSCRIBE = {
    id: '1',
    type: 'subscribe',
    payload: { query: 'subscription { price(mint: "SOL") { usdPrice } }' },
  }

  test.each([
    [['{'], 4400],
    [[{ type: 'nonsense' }], 4400],
    [[{ type: 'next', id: '1', payload: {} }], 4400],
    [[SUBSCRIBE], 4401],
    [[INIT, INIT], 4429],
    [[INIT, SUBSCRIBE, SUBSCRIBE], 4409],
  ])('closes who says %j with its code', async (said, code) => {
    await using site = await openNode()
    using client = await connect(site.url)
    client.say(...said)
    expect((await client.closed)[0]).toBe(code)
  })

  test('is opened to nobody who speaks something else, or comes from another site', async () => {
    await using site = await openNode()
    using client = await connect(site.url, ['graphql-ws'])
    expect(client.opened).toContain('400')
    const foreign = new WebSocket(site.url.replace('http', 'ws'), 'graphql-transport-ws', {
      origin: 'http://evil.example',
    })
    const refused = await new Promise<string>((resolve) => foreign.on('error', (error) => resolve(error.message)))
    expect(refused).toContain('403')
  })

  test('answers pings, and says of each operation what is wrong with it while others go on', async () => {
    await using site = await openNode()
    using client = await connect(site.url)
    expect(client.opened).toBe('graphql-transport-ws')
    const refused = (id: string, query: string) => ({ id, type: 'subscribe', payload: { query } })
    client.say(INIT, { type: 'ping', payload: { a: 1 } }, SUBSCRIBE)
    client.say(refused('2', 'subscription {'), refused('3', 'subscription { price(mint: "01234567890") { usdPrice } }'))
    await expect
      .poll(() => client.messages)
      .toEqual(
        expect.arrayContaining([
          { type: 'connection_ack' },
          { type: 'pong', payload: { a: 1 } },
          { id: '1', type: 'next', payload: { data: { price: { usdPrice: 1.5 } } } },
          {
            id: '2',
            type: 'error',
            payload: [expect.objectContaining({ extensions: { code: 'bad_document', retry: false } })],
          },
          {
            id: '3',
            type: 'error',
            payload: [expect.objectContaining({ extensions: { code: 'bad_key', retry: false } })],
          },
        ]),
      )
  })

  test('is told nothing more of an operation that it ended', async () => {
    await using site = await openNode()
    using client = await connect(site.url)
    client.say(INIT, SUBSCRIBE, { ...SUBSCRIBE, id: '2' })
    await expect.poll(() => client.messages.filter(({ type }) => type === 'next').length).toBe(2)
    client.say({ id: '1', type: 'complete' })
    await expect.poll(() => site.told.filter(({ type }) => type === 'hub.left').length).toBe(1)
    site.now.price = { ...PRICE, usdPrice: 2 }
    await expect.poll(() => client.messages.filter(({ type }) => type === 'next')).toHaveLength(3)
    expect(client.messages.at(-1)).toMatchObject({ id: '2', payload: { data: { price: { usdPrice: 2 } } } })
    client.say(SUBSCRIBE)
    await expect.poll(() => client.messages.at(-1)).toMatchObject({ id: '1', type: 'next' })
  })

  test('whatever is said on it, it goes on or is closed with a code, nothing fails inside, and nothing is left', async () => {
    await using site = await openNode()
    const id = fc.constantFrom('1', '2')
    const query = fc.constantFrom(
      SUBSCRIBE.payload.query,
      '{ price(mint: "SOL") { usdPrice } }',
      'subscription { mine(id: "a") { user } }',
      'subscription {',
      '',
    )
    const message = fc.oneof(
      { weight: 4, arbitrary: fc.record({ id, type: fc.constant('subscribe'), payload: fc.record({ query }) }) },
      { weight: 2, arbitrary: fc.record({ id, type: fc.constant('complete') }) },
      { weight: 1, arbitrary: fc.constantFrom(INIT, { type: 'ping' }, { type: 'pong' }, { type: 'connection_ack' }) },
      { weight: 1, arbitrary: fc.jsonValue() },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 8 }), async (messages) => {
        using client = await connect(site.url)
        client.say(INIT, ...messages.map((message) => JSON.stringify(message)), { type: 'ping' })
        const pings = messages.filter((message) => (message as { type?: unknown } | null)?.type === 'ping').length + 1
        const closed = () => client.socket.readyState === WebSocket.CLOSED
        const pongs = () => client.messages.filter(({ type }) => type === 'pong').length
        await expect.poll(() => closed() || pongs() === pings, { interval: 1 }).toBe(true)
        if (closed()) expect([4400, 4409, 4429]).toContain((await client.closed)[0])
      }),
      { numRuns: 200 },
    )
    await expect
      .poll(() => site.told.filter(({ type }) => type === 'hub.left').length)
      .toBe(site.told.filter(({ type }) => type === 'hub.joined').length)
    expect(site.told.filter(({ type }) => type === 'failed')).toEqual([])
  }, 60_000)

  test('is closed when the server goes, also one that asks for nothing', async () => {
    await using site = await openNode()
    using idle = await connect(site.url)
    using client = await connect(site.url)
    client.say(INIT, SUBSCRIBE)
    await expect.poll(() => client.messages.length).toBe(2)
    await site.gateway.close(1000)
    expect((await client.closed)[0]).toBe(1001)
    expect((await idle.closed)[0]).toBe(1001)
  })
})

test('a process whose apps declare no GraphQL does not load it', () => {
  const index = pathToFileURL(join(import.meta.dirname, '../src/index.ts')).href
  const script = `
    import { registerHooks } from 'node:module'
    const loaded = new Set()
    registerHooks({ load: (url, context, next) => (loaded.add(/node_modules\\/(\\w+)/.exec(url)?.[1]), next(url, context)) })
    const { createGateway, defineApp, feed, http } = await import(${JSON.stringify(index)})
    const { z } = await import('zod')
    const from = http({ name: 'source', url: 'http://127.0.0.1:1' })
    const one = (name) => feed('/' + name, { name, key: {}, value: z.int(), from, load: { one: async () => 1 } })
    for (const graphql of [false, true]) {
      const gateway = createGateway({ apps: [defineApp({ name: 'a', use: [one('x' + graphql)], graphql })] })
      await gateway.sites[0].fetch(new Request('http://localhost/graphql?query={__typename}'))
      console.log(loaded.has('graphql'))
      await gateway.close()
    }
    process.exit()
  `
  const flags = ['--input-type=module', '--no-warnings', '--eval', script]
  const { stdout, stderr } = spawnSync(process.execPath, flags, { encoding: 'utf8', cwd: import.meta.dirname })
  expect([stdout, stderr]).toEqual(['false\ntrue\n', ''])
})
