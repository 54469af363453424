import { connect } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type Caller, createGateway, defineApp, feed, http, type Identity, stream, WeirError } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { RUNTIMES } from './served.ts'

/** What the header says, as an app would find out from a session. */
function identify({ header }: Caller): Identity | undefined {
  const [tenant = '', user = ''] = (header('authorization') ?? '').split('/')
  return tenant === '' && user === '' ? undefined : { tenant, user }
}

const source = (url: string) => http({ name: 'source', url, pastUsage: 'none', timeout: '2s' })

/** Values that say for whom they were loaded, many in a call. */
function app(url: string, given: { readonly late?: boolean; readonly scope?: 'tenant' | 'user' } = {}) {
  const { late = false, scope = 'user' } = given
  const mine = feed('/mine/:id', {
    name: 'mine',
    key: { id: z.string() },
    value: z.unknown(),
    from: source(url),
    scope,
    fresh: '1m',
    cdn: '1m',
    load: {
      within: '20ms',
      many: async (keys, call) => {
        await call.get('/load', { headers: { 'x-user': JSON.stringify(call.caller) } })
        return keys.map(({ id }) => ({ id, for: call.caller }))
      },
    },
  })
  const ours = feed('/ours/:id', {
    name: 'ours',
    key: { id: z.string() },
    value: z.unknown(),
    from: source(url),
    load: { one: async ({ id }, call) => ({ id, for: call.caller }) },
  })
  const use = [mine, ours]
  return { mine, app: defineApp({ name: 'test', use, identify: late ? async (call) => identify(call) : identify }) }
}

const as = (who: string) => ({ headers: { authorization: who } })

describe.each(RUNTIMES)('values that are not everybody’s, on runtime $name', ({ serve }) => {
  async function open(given: Parameters<typeof app>[1] = {}) {
    const upstream = await countingUpstream()
    upstream.answer = (_, response) => json(response, {})
    const declared = app(upstream.url, given)
    const site = await serve({ apps: [declared.app] })
    return {
      ...declared,
      upstream,
      ...site,
      async [Symbol.asyncDispose]() {
        await site[Symbol.asyncDispose]()
        await upstream[Symbol.asyncDispose]()
      },
    }
  }

  test.each([false, true])('are each one’s own, also when the app takes time to say who calls: %s', async (late) => {
    await using site = await open({ late })
    const answers = await Promise.all(['a/ann', 'a/bob', 'b/ann', 'a/ann'].map((who) => site.fetch('/mine/1', as(who))))
    expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual([
      { id: '1', for: { tenant: 'a', user: 'ann' } },
      { id: '1', for: { tenant: 'a', user: 'bob' } },
      { id: '1', for: { tenant: 'b', user: 'ann' } },
      { id: '1', for: { tenant: 'a', user: 'ann' } },
    ])
    expect(site.upstream.calls).toBe(3)
  })

  test('of a tenant are shared by its users', async () => {
    await using site = await open({ scope: 'tenant' })
    for (const who of ['a/ann', 'a/bob']) {
      expect(await (await site.fetch('/mine/1', as(who))).json()).toEqual({ id: '1', for: { tenant: 'a' } })
    }
    expect(site.upstream.calls).toBe(1)
  })

  test('are refused to who is not known', async () => {
    await using site = await open()
    for (const init of [{}, as('a/')]) {
      const answer = await site.fetch('/mine/1', init)
      expect(answer.status).toBe(401)
      expect(await answer.json()).toMatchObject({ code: 'unauthenticated' })
    }
  })

  test('are kept by no cache on the way', async () => {
    await using site = await open()
    const { headers } = await site.fetch('/mine/1', as('a/ann'))
    expect(headers.get('cache-control')).toBe('private, no-store')
    expect(headers.get('cdn-cache-control')).toBeNull()
    expect(headers.get('vary')).toBe('accept, accept-encoding, authorization, cookie')
    const { headers: open_ } = await site.fetch('/ours/1', as('a/ann'))
    expect(open_.get('cache-control')).toMatch(/^public, /)
  })

  test('are the same among many topics', async () => {
    await using site = await open()
    const answer = await site.fetch('/weir/values?topic=/mine/1&topic=/ours/1', as('a/bob'))
    expect(await answer.json()).toMatchObject({
      values: [
        { topic: '/mine/1', value: { for: { tenant: 'a', user: 'bob' } } },
        { topic: '/ours/1', value: { id: '1', for: {} } },
      ],
    })
    const nobody = await site.fetch('/weir/values?topic=/mine/1&topic=/ours/1')
    expect(await nobody.json()).toMatchObject({
      values: [{ problem: { code: 'unauthenticated' } }, { topic: '/ours/1' }],
    })
  })

  test('are the same on a stream, whose topics name nobody', async () => {
    await using site = await open()
    const controller = new AbortController()
    const answer = await site.fetch('/mine/1?as=sse', { ...as('a/ann'), signal: controller.signal })
    let text = ''
    for await (const chunk of answer.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (text.includes('event: snapshot')) break
    }
    controller.abort()
    expect(text).toContain('"topic":"/mine/1"')
    expect(text).toContain('"user":"ann"')
    expect(text).not.toContain('#')
  })

  test('never leak, however tenants, users and keys are named', async () => {
    await using site = await open()
    const name = fc.string({ minLength: 1, maxLength: 12 }).filter((text) => text.isWellFormed() && !/[/]/.test(text))
    const who = fc.record({ tenant: name, user: name })
    await fc.assert(
      fc.asyncProperty(who, who, name, name, async (one, other, key, another) => {
        const { mine } = site
        const [a, b] = await Promise.all([mine.get({ id: key }, one), mine.get({ id: another }, other)])
        expect(a.value).toEqual({ id: key.normalize('NFC'), for: one })
        expect(b.value).toEqual({ id: another.normalize('NFC'), for: other })
      }),
      { numRuns: 60 },
    )
  })

  test('can be dropped for one alone', async () => {
    await using site = await open()
    const read = (user: string) => site.mine.get({ id: '1' }, { tenant: 'a', user })
    await Promise.all([read('ann'), read('bob')])
    await site.mine.drop({ id: '1' }, { tenant: 'a', user: 'ann' })
    await Promise.all([read('ann'), read('bob')])
    expect(site.upstream.calls).toBe(3)
  })

  test('an app that fails to say who calls fails the call, and one that refuses it is heard', async () => {
    await using upstream = await countingUpstream()
    const { mine } = app(upstream.url)
    const failing = [new TypeError('no session store'), new WeirError('too_many_connections', 'too many sessions')]
    const identify = () => Promise.reject(failing.shift())
    await using site = await serve({ apps: [defineApp({ name: 'test', use: [mine], identify })] })
    expect((await site.fetch('/mine/1')).status).toBe(500)
    expect((await site.fetch('/mine/1')).status).toBe(503)
  })
})

describe('an address never leads to a private value', () => {
  /** Sends a request target as it is written, and reads the whole answer. */
  function send(url: string, target: string): Promise<string> {
    const { port, hostname } = new URL(url)
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname).once('error', reject)
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk.toString()
      })
      socket.once('close', () => resolve(text))
      socket.write(`GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`)
    })
  }

  /** A public feed that matches the addresses of a private one, as its neighbours in real apps do. */
  async function open(scope: 'tenant' | 'user') {
    const upstream = await countingUpstream()
    upstream.answer = (_, response) => json(response, {})
    const base = { value: z.unknown(), from: source(upstream.url), fresh: '1m' } as const
    const key = { id: z.string() }
    const item = feed('/items/:id', { ...base, name: 'item', key, load: { one: async ({ id }) => ({ id }) } })
    const own = feed('/items/me', {
      ...{ ...base, name: 'own', key: {}, scope },
      load: { one: async (_, call) => ({ secret: call.caller }) },
    })
    const gateway = createGateway({ apps: [defineApp({ name: 'test', use: [item, own], identify, graphql: true })] })
    const [url = ''] = await gateway.listen({ port: 0 })
    await own.get({}, { tenant: 'a', user: 'ann' })
    return {
      url,
      item,
      async [Symbol.asyncDispose]() {
        await gateway.close(1000)
        await upstream[Symbol.asyncDispose]()
      },
    }
  }

  test.each(['tenant', 'user'] as const)('of a %s, however its topic is spelled', async (scope) => {
    await using site = await open(scope)
    const owner = scope === 'user' ? 'tenant=a&user=ann' : 'tenant=a'
    const separator = fc.oneof(
      fc.constantFrom(
        '#',
        '%23',
        '\\n',
        '%0A',
        '%0a',
        '%00',
        '?',
        '&',
        ';',
        '|',
        '%7C',
        '\u00a0',
        '##',
        '/#',
        '?#',
        '%2523',
      ),
      fc.string({ maxLength: 3 }).filter((text) => !/[\r\n \0]/.test(text)),
    )
    const form = fc.constantFrom('', '?as=json', '&as=sse', '?as=poll')
    const path = fc.constantFrom(
      '/items/me',
      '/items/%6de',
      '/items/m%65',
      'http://a/items/me',
      '/items/me/',
      '//items/me',
    )
    await fc.assert(
      fc.asyncProperty(path, separator, form, async (path, separator, form) => {
        const answer = await send(site.url, `${path}${separator}${owner}${form}`)
        expect(answer).not.toContain('"ann"')
        expect(answer).not.toContain('"tenant":"a"')
      }),
      { numRuns: 200 },
    )
  })

  test('a request target with a fragment is malformed', async () => {
    await using site = await open('user')
    for (const target of ['/items/a#', '/items/me#tenant=&user=ann', 'http://a/items/a#b', '#', '/#'])
      expect(await send(site.url, target)).toMatch(/^HTTP\/1\.1 400 (.|\n|\r)*"code":"bad_request"/)
  })

  test('a key whose address belongs to another feed is refused in every form', async () => {
    await using site = await open('user')
    await expect(site.item.get({ id: 'me' })).rejects.toMatchObject({ code: 'bad_key' })
    expect(await send(site.url, '/items/m%65')).toMatch(/"code":"bad_key"/)
    expect(await send(site.url, '/weir/values?topic=/items/m%2565')).toMatch(/"code":"bad_key"/)
    expect(await send(site.url, '/graphql?query=%7Bitem(id:%22me%22)%7D')).not.toContain('"id"')
    expect(await send(site.url, '/items/you')).toMatch(/^HTTP\/1\.1 200/)
  })
})

describe('a declaration', () => {
  const base = {
    name: 'mine',
    key: { id: z.string() },
    value: z.unknown(),
    from: source('http://127.0.0.1:1'),
    load: { one: async () => 1 },
  }

  test('of a feed that is not public needs an app that says who calls', () => {
    const mine = feed('/mine/:id', { ...base, scope: 'user' })
    expect(() => defineApp({ name: 'a', use: [mine] })).toThrow(
      /identify: expected a function, since the feed at \/mine/,
    )
  })

  test('of an unknown scope is refused', () => {
    const scope = 'team' as 'user'
    expect(() => feed('/mine/:id', { ...base, scope })).toThrow(
      /scope: expected "public", "tenant", "user", got "team"/,
    )
  })

  test('of what nobody can be known for is refused: a stream of everything, and warming', () => {
    const mine = feed('/mine/:id', { ...base, scope: 'user' })
    expect(() => stream('/all', { of: mine })).toThrow(/of: expected a public feed/)
    expect(() => feed('/mine/:id', { ...base, scope: 'user', prewarm: [{ id: 'a' }] })).toThrow(
      /prewarm: expected nothing/,
    )
  })
})
