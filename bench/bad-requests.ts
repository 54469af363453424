/**
 * One client whose requests all fail, and what the others have of that.
 * `node bench/bad-requests.ts [BAD_A_SECOND] [SECONDS]`
 *
 * Each row is a fresh gateway before one upstream, or `anyOf` two. Others ask for five new values a second of the same feed, path or method, and
 * six values are watched. Calm is the same without the client.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import {
  anyOf,
  createGateway,
  defineApp,
  feed,
  type HttpCall,
  http,
  type JsonRpcCall,
  jsonRpc,
  proxy,
  rpc,
  type Upstream,
} from '../packages/gateway/src/index.ts'
import { EventStream } from '../scripts/event-stream.ts'

const [bad = 20, seconds = 5] = process.argv.slice(2).map(Number)
const WATCHED = 6
const GOOD_A_SECOND = 5

const CALM = 'nothing'
const KINDS = [
  CALM,
  'new keys that fail',
  'one key that fails',
  'a key that fails its batch',
  'a path that fails',
  'a path of its own each',
  'keys that hang',
  'minContextSlot',
  'execution errors, with 500',
  'internal errors, new params',
] as const
type Kind = (typeof KINDS)[number]

let count = 0

function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

/** An upstream that is well, and fails for what is bad. */
async function startUpstream() {
  const answer = async (incoming: IncomingMessage, response: ServerResponse) => {
    count += 1
    const { url = '' } = incoming
    if (url !== '/rpc') {
      if (url.includes('hang')) await pause(1000)
      if (url.includes('bad')) return json(response, { error: 'no such thing' }, 500)
      return json(response, { url, count })
    }
    let body = ''
    for await (const piece of incoming) body += piece
    const { id, method, params } = JSON.parse(body)
    const error = (code: number, message: string, status = 200) =>
      json(response, { jsonrpc: '2.0', error: { code, message, data: { slot: 7 } }, id }, status)
    const how = String(params[0])
    if (params[1]?.minContextSlot > 0) return error(-32016, 'Minimum context slot has not been reached')
    if (how.includes('reverts')) return error(-32000, 'execution reverted', 500)
    if (how.includes('breaks')) return error(-32603, 'Internal error')
    return json(response, { jsonrpc: '2.0', result: { method, count }, id })
  }
  const server = createServer((incoming, response) => void answer(incoming, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const stop = () => {
    server.closeAllConnections()
    server.close()
  }
  return { url, stop }
}

function appOf(urls: readonly string[]) {
  const limits = [{ calls: 200, per: '1s' }] as const
  const many = <Client>(name: string, one: (name: string, url: string) => Upstream<Client>) => {
    const all = urls.map((url, index) => one(`${name}${index}`, url))
    return all[1] === undefined ? (all[0] as Upstream<Client>) : anyOf(name, all)
  }
  const web = many<HttpCall>('web', (name, url) => http({ name, url, limits, pastUsage: 'none', timeout: '500ms' }))
  const node = many<JsonRpcCall>('node', (name, url) => jsonRpc({ name, url: `${url}/rpc`, limits, pastUsage: 'none' }))
  const common = { key: { id: z.string() }, value: z.unknown(), fresh: '400ms', live: { every: '500ms' } } as const
  const one = feed('/items/:id', {
    ...{ ...common, name: 'item', from: web },
    load: { one: ({ id }, call) => call.get(`/items/${id}`) },
  })
  const batch = feed('/quotes/:id', {
    ...{ ...common, name: 'quote', from: web },
    load: {
      batch: 50,
      within: '20ms',
      many: async (keys, call) => {
        const found = await call.get('/quotes', { query: { ids: keys.map(({ id }) => id).join() } })
        return keys.map(() => found)
      },
    },
  })
  const route = rpc('/rpc', { name: 'rpc', to: node, methods: { getBalance: { fresh: '400ms' } } })
  return defineApp({ name: 'bench', use: [one, batch, proxy('/api/*', { name: 'api', to: web }), route] })
}

interface Asked {
  readonly ok: boolean
  readonly text: string
}

function ask(url: string, localAddress: string, body?: object): Promise<Asked> {
  const { promise, resolve } = Promise.withResolvers<Asked>()
  const method = body === undefined ? 'GET' : 'POST'
  const headers = { 'content-type': 'application/json' }
  const sent = request(url, { localAddress, method, headers, agent: false }, async (response) => {
    let text = ''
    for await (const piece of response) text += piece
    resolve({ ok: response.statusCode === 200 && !text.includes('"error"'), text })
  })
  sent.on('error', ({ message }) => resolve({ ok: false, text: message }))
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  return promise
}

/** What is asked for at the same place as what is bad, and what is bad. */
function asks(kind: Kind, url: string, n: number): { good: [string, object?]; bad: [string, object?] } {
  const call = (...params: unknown[]): [string, object] => [
    `${url}/rpc`,
    { jsonrpc: '2.0', id: n, method: 'getBalance', params },
  ]
  switch (kind) {
    case 'one key that fails':
      return { good: [`${url}/items/good${n}`], bad: [`${url}/items/bad`] }
    case 'a key that fails its batch':
      return { good: [`${url}/quotes/good${n}`], bad: [`${url}/quotes/bad${n % 3}`] }
    case 'a path that fails':
      return { good: [`${url}/api/good?${n}`], bad: [`${url}/api/bad?${n}`] }
    case 'a path of its own each':
      return { good: [`${url}/api/good/${n}`], bad: [`${url}/api/bad/${n}`] }
    case 'keys that hang':
      return { good: [`${url}/items/good${n}`], bad: [`${url}/items/hang${n}`] }
    case 'minContextSlot':
      return { good: call(`good${n}`), bad: call('x', { minContextSlot: 1e9 + n }) }
    case 'execution errors, with 500':
      return { good: call(`good${n}`), bad: call(`reverts${n}`) }
    case 'internal errors, new params':
      return { good: call(`good${n}`), bad: call(`breaks${n}`) }
    default:
      return { good: [`${url}/items/good${n}`], bad: [`${url}/items/bad${n}`] }
  }
}

/** Of six values: two of each feed. */
function watchedTopics(): readonly string[] {
  return Array.from({ length: WATCHED }, (_, index) =>
    [`/items/w${index}`, `/quotes/w${index}`, `/rpc/getBalance?params=${encodeURIComponent(`["w${index}"]`)}`].at(
      index % 3,
    ),
  ) as string[]
}

async function measure(kind: Kind, providers: number) {
  const upstreams = await Promise.all(Array.from({ length: providers }, startUpstream))
  const gateway = createGateway({ apps: [appOf(upstreams.map(({ url }) => url))] })
  const [url = ''] = await gateway.listen({ port: 0, host: '127.0.0.1' })
  const query = watchedTopics()
    .map((topic) => `topic=${encodeURIComponent(topic)}`)
    .join('&')
  const stream = new EventStream(await fetch(`${url}/weir/stream?${query}`))
  let updates = 0
  const read = (async () => {
    for (let event = await stream.next(); event !== undefined; event = await stream.next())
      if (event.event === 'snapshot') updates += 1
  })().catch(() => {})
  // The poller has learnt how long answers take.
  await pause(1500)
  updates = 0
  const outcomes: { readonly who: 'good' | 'bad'; readonly asked: Promise<Asked> }[] = []
  const began = performance.now()
  const rates = { good: GOOD_A_SECOND, bad: kind === CALM ? 0 : bad }
  for (const sent = { good: 0, bad: 0 }; performance.now() - began < seconds * 1000; await pause(5)) {
    for (const who of ['good', 'bad'] as const) {
      if (sent[who] >= (rates[who] * (performance.now() - began)) / 1000) continue
      sent[who] += 1
      const [to, body] = asks(kind, url, sent[who])[who]
      outcomes.push({ who, asked: ask(to, who === 'bad' ? '127.0.0.3' : '127.0.0.5', body) })
    }
  }
  const perSecond = updates / ((performance.now() - began) / 1000)
  const done = await Promise.all(outcomes.map(async ({ who, asked }) => ({ who, ...(await asked) })))
  await gateway.close(100)
  for (const { stop } of upstreams) stop()
  await read
  const good = done.filter(({ who }) => who === 'good')
  const failed = good.filter(({ ok }) => !ok)
  return { perSecond, asked: good.length, failed: failed.length, why: failed[0]?.text.slice(0, 120) ?? '' }
}

console.log('| providers | what one client asks for | others asked | failed | updates/s | of calm |')
console.log('| --------: | :----------------------- | -----------: | -----: | --------: | ------: |')
for (const providers of [1, 2]) {
  let calm = 0
  for (const kind of KINDS) {
    const { perSecond, asked, failed, why } = await measure(kind, providers)
    if (kind === CALM) calm = perSecond
    const share = `${Math.round((100 * perSecond) / calm)} %`
    console.log(`| ${providers} | ${kind} | ${asked} | ${failed} | ${perSecond.toFixed(1)} | ${share} | ${why}`)
  }
}
