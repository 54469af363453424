/**
 * The lottery's own figures: players who poll and players on sockets, on one process, a simulated node and simulated prices, first while nothing
 * changes but the price, then while somebody enters every second. Then what one player costs in bytes, by each way there is.
 * `node bench/lottery.ts [PLAYERS OF EACH KIND] [SECONDS] [load | bytes]`: one of both alone.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { run } from '../scripts/running.ts'
import type { Players, Report } from './lottery/players.ts'
import { head, quantile, row, Site, Upstream } from './prices.ts'

const players = Number(process.argv[2] ?? 10_000)
const seconds = Number(process.argv[3] ?? 60)
const only = process.argv[4]

/** What the guide reckons with: 100,000 players, each asking every 30 s. */
const WITHOUT = 3333

interface Node extends AsyncDisposable {
  readonly environment: Readonly<Record<string, string>>
  readonly port: number
  readonly pot: string
  stats(): Promise<{
    readonly asked: number
    readonly refused: number
    readonly openConnections: number
    readonly gauges: { readonly sockets: number }
  }>
}

/** A chain with a lottery; `pace`: milliseconds between entries. */
async function node(pace: number): Promise<Node> {
  const running = run([
    'packages/simulators/src/main.ts',
    'solana',
    '--lottery',
    '--entries',
    '1000',
    '--pace',
    String(pace),
  ])
  const [line] = await running.says(/\{"name".*\}/, 60_000)
  const { url, mint, pot } = JSON.parse(line) as Record<'url' | 'mint' | 'pot', string>
  return {
    environment: { SOLANA_URL: url, LOTTERY_TOKEN_MINT: mint, LOTTERY_POT: pot },
    port: Number(new URL(url).port),
    pot,
    stats: async () => (await fetch(`${url}/__stats`)).json(),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** Players in a process of its own. */
class Crowd implements AsyncDisposable {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, 'lottery/players.ts'))

  async tell(told: Players | 'report'): Promise<Report> {
    this.#child.send(told)
    const [report]: Report[] = await once(this.#child, 'message')
    if (report === undefined) throw new Error('expected a report')
    return report
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}

/** As a browser sends it. */
function request(method: string, path: string, body = ''): string {
  const headers = [
    'host: 127.0.0.1',
    'user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36',
    'accept: */*',
    'accept-language: en',
    'connection: close',
    ...(body === '' ? [] : ['content-type: application/json', `content-length: ${body.length}`]),
  ]
  return `${method} ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`
}

const rpc = (method: string, params: unknown) =>
  request('POST', '/', JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))

if (only !== 'bytes') await load()
if (only !== 'load') await weigh()

async function load(): Promise<void> {
  head(
    'the chain',
    'players on sockets',
    'players who poll',
    'calls to the node a second',
    'for prices a second',
    'all, of those without Weir',
    'refused',
    'connections to the node, most',
    'polls from memory',
    'p50, ms',
    'p99, ms',
    'gateway CPU',
    'memory, MB',
    'failed',
  )
  await measure('is quiet', 0)
  await measure('has an entry every second', 1000)
  process.stdout.write('\n')
}

async function measure(chain: string, pace: number): Promise<void> {
  await using upstream = await Upstream.start()
  await using solana = await node(pace)
  await using site = await Site.of('lottery', upstream, solana.environment)
  await ready(site)
  await using sockets = new Crowd()
  await using polls = new Crowd()
  const asks = [{ port: site.port, text: request('GET', '/api/state') }]
  const each = { count: players, port: site.port, asks }
  const [held] = await Promise.all([
    sockets.tell({ ...each, as: 'guide', from: '127.0.0.2' }),
    polls.tell({ ...each, as: 'poll', from: '127.0.0.3' }),
  ])
  if (held.connected !== players) throw new Error(`expected ${players} players on sockets, got ${held.connected}`)
  // Until those who poll have all begun.
  await pause(32_000)
  await polls.tell('report')
  const look = async () => ({
    node: await solana.stats(),
    prices: await upstream.stats(),
    cpu: site.cpu,
    hits: await site.metric('weir_cache_reads_total', 'outcome="hit"'),
    reads: await site.metric('weir_cache_reads_total'),
  })
  const before = await look()
  let connections = 0
  const until = Date.now() + seconds * 1000
  while (Date.now() < until) {
    const { openConnections } = await solana.stats()
    // One of them is ours, that asks.
    connections = Math.max(connections, openConnections - 1)
    await pause(1000)
  }
  const after = await look()
  const { took, failed } = await polls.tell('report')
  const lost = (await sockets.tell('report')).failed
  const sorted = took.toSorted((a, b) => a - b)
  const asked = (after.node.asked - before.node.asked) / seconds
  const priced = (after.prices.asked - before.prices.asked) / seconds
  row(
    ...[chain, players, players, asked.toFixed(2), priced.toFixed(2)],
    `${(((asked + priced) / WITHOUT) * 100).toFixed(3)} %`,
    after.node.refused + after.prices.refused,
    connections,
    `${(((after.hits - before.hits) / (after.reads - before.reads)) * 100).toFixed(2)} %`,
    ...[quantile(sorted, 0.5).toFixed(1), quantile(sorted, 0.99).toFixed(1)],
    `${(((after.cpu - before.cpu) / seconds) * 100).toFixed(1)} %`,
    (site.memory / 2 ** 20).toFixed(0),
    failed + lost,
  )
}

/** Bytes of one player in a minute, of both directions, by each way there is. */
async function weigh(): Promise<void> {
  await using upstream = await Upstream.start()
  await using solana = await node(1000)
  await using site = await Site.of('lottery', upstream, solana.environment)
  await ready(site)
  const { LOTTERY_TOKEN_MINT: mint = '' } = solana.environment
  const price = { port: Number(new URL(upstream.url).port), text: request('GET', `/price/v3?ids=${mint}`) }
  const pot = { port: solana.port, text: rpc('getAccountInfo', [solana.pot, { encoding: 'base64' }]) }
  const entrants = { port: solana.port, text: rpc('getSignaturesForAddress', [solana.pot, { limit: 1000 }]) }
  const state = { port: site.port, text: request('GET', '/api/state') }
  const ways: readonly (readonly [name: string, as: Players['as'], asks: Players['asks']])[] = [
    ['asks price, pot and entrants itself, every 30 s', 'alone', [price, pot, entrants]],
    ['asks price and pot itself, every 30 s', 'alone', [price, pot]],
    ['polls /api/state every 30 s', 'poll', [state]],
    ["the guide's WebSocket", 'guide', []],
    ['/weir/ws, patches', 'patches', []],
    ['/weir/ws, patches, compressed', 'deflated', []],
    ['SSE', 'sse', []],
    ['SSE, compressed', 'gzip', []],
  ]
  head(
    'a player, while somebody enters every second',
    'bytes a minute',
    'messages a minute',
    'of the first',
    'of the second',
  )
  let known: readonly number[] = []
  for (const [name, as, asks] of ways) {
    await using crowd = new Crowd()
    // Those who ask themselves share what a node gives.
    const count = as === 'alone' ? 10 : 100
    await crowd.tell({ as, count, port: site.port, from: '127.0.0.4', asks })
    await pause(as === 'alone' || as === 'poll' ? 31_000 : 2000)
    const before = await crowd.tell('report')
    await pause(60_000)
    const after = await crowd.tell('report')
    const bytes = (after.bytes - before.bytes) / count
    known = [...known, bytes]
    const share = (of: number) => `${((bytes / (known[of] ?? bytes)) * 100).toFixed(1)} %`
    const heard = after.took.length > 0 ? after.took.length : after.messages - before.messages
    row(name, Math.round(bytes), (heard / count).toFixed(1), share(0), share(1))
  }
}

/** Until the book is read: a thousand transactions are asked for at first. */
async function ready(site: Site): Promise<void> {
  const until = Date.now() + 60_000
  while (Date.now() < until) {
    if ((await fetch(`${site.url}/api/state`)).ok) return
    await pause(500)
  }
  throw new Error('expected the state within 60 s')
}
