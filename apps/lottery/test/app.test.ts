import { address, createSolanaRpc } from '@solana/kit'
import type { Lottery } from '@weir/simulators/solana'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EventStream } from '../../../scripts/event-stream.ts'
import type { Served } from '../../../scripts/served.ts'
import { serve, type World, world } from './served.ts'

interface State {
  readonly tokenPrice: number | null
  readonly jackpot: number
  readonly participants: number
  readonly lastUpdate: number
}

/** BONK, the token of simulated lotteries. */
const MINT = 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263'

const at = (site: { readonly url: string }, path: string) => fetch(`${site.url}${path}`)
const json = async <Answer>(site: { readonly url: string }, path: string) => (await at(site, path)).json() as Answer
const state = (site: { readonly url: string }) => json<State>(site, '/api/state')

/** The current round according to the simulated chain. */
const onChain = ({ entrants }: Lottery) => entrants.length

function post(site: { readonly url: string }, path: string, body: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return fetch(`${site.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
}

describe('the interface of the guide', () => {
  let here: World
  let site: Served
  beforeAll(async () => {
    here = await world({ players: 30, entries: 12 })
    site = await serve(here.environment)
  }, 60_000)
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]()
    await here?.[Symbol.asyncDispose]()
  })

  test('GET /api/state is the state only', async () => {
    const said = await state(site)
    expect(said).toEqual({
      tokenPrice: expect.closeTo(0.0000138, 6),
      jackpot: expect.any(Number),
      participants: onChain(here.lottery),
      lastUpdate: expect.any(Number),
    })
    expect(said.jackpot).toBeGreaterThanOrEqual(12_000)
    expect(Date.now() - said.lastUpdate).toBeLessThan(60_000)
  })

  test('GET /api/lottery/state is the whole round', async () => {
    expect(await json(site, '/api/lottery/state')).toEqual({
      ...{ tokenMint: here.lottery.mint, pot: here.lottery.pot, ticket: 1000, tokenPrice: expect.any(Number) },
      ...{ jackpot: expect.any(Number), participants: onChain(here.lottery), tickets: expect.any(Number) },
      ...{ winners: [], lastUpdate: expect.any(Number) },
    })
  })

  test('GET /api/price/:tokenMint and /api/lottery/participants/count are single values', async () => {
    const { mint } = here.lottery
    expect(await json(site, `/api/price/${mint}`)).toEqual({ tokenMint: mint, price: expect.any(Number) })
    expect(await json(site, '/api/lottery/participants/count')).toEqual({
      count: onChain(here.lottery),
      lastUpdate: expect.any(Number),
    })
    expect((await at(site, '/api/price/BONK')).status).toBe(400)
  })

  test('ws://…/ws sends the state on connect, on request and after every change', async () => {
    const socket = new WebSocket(`${site.url.replace(/^http/, 'ws')}/ws`)
    const heard: { readonly type: string; readonly state: State; readonly error?: string }[] = []
    socket.addEventListener('message', ({ data }) => void heard.push(JSON.parse(String(data))))
    await new Promise((resolve) => socket.addEventListener('open', resolve))
    await expect.poll(() => heard.length).toBeGreaterThan(0)
    const before = heard.length
    socket.send(JSON.stringify({ type: 'getState' }))
    await expect.poll(() => heard.length).toBeGreaterThan(before)
    expect(heard.every(({ type }) => type === 'stateUpdate')).toBe(true)
    expect(Object.keys(heard[0]?.state ?? {})).toEqual(['tokenPrice', 'jackpot', 'participants', 'lastUpdate'])
    const [known] = heard
    here.lottery.enter(newcomer(here.lottery), 2)
    await expect.poll(() => heard.at(-1)?.state.jackpot, { timeout: 5000 }).toBe((known?.state.jackpot ?? 0) + 2000)
    await expect.poll(() => heard.at(-1)?.state.participants).toBe(onChain(here.lottery))
    socket.send('{"type":"getJackpot"}')
    await expect.poll(() => heard.at(-1)?.error).toBe('expected {"type":"getState"}')
    socket.close()
  })

  test('POST /api/tokens/balances: a balance for each wallet, 0 without an account', async () => {
    const [player] = here.lottery.players
    const wallet = player?.signer.address ?? ''
    const nobody = 'So11111111111111111111111111111111111111112'
    const answer = await post(site, '/api/tokens/balances', { wallets: [wallet, nobody], tokenMint: here.lottery.mint })
    expect(await answer.json()).toEqual({ balances: { [wallet]: expect.any(Number), [nobody]: 0 } })
    const { value } = await createSolanaRpc(here.solana.url)
      .getTokenAccountBalance(player?.account ?? address(nobody))
      .send()
    const again = await post(site, '/api/tokens/balances', { wallets: [wallet], tokenMint: here.lottery.mint })
    expect((await again.json()).balances[wallet]).toBe(value.uiAmount)
  })

  test.each([
    ['no JSON', 'wallets', 'body: Invalid input: expected object, received string'],
    ['no wallets', { tokenMint: 'x' }, /^wallets: /],
    ['too many', { wallets: Array(1001).fill('x'), tokenMint: MINT }, /^wallets: .*1000/],
    ['no mint', { wallets: ['x'], tokenMint: 'x' }, /^tokenMint: expected an address of Solana/],
    [
      'wallets that are none',
      { wallets: [MINT, 'GLN', 3, null], tokenMint: MINT },
      'wallets: expected addresses of Solana, 32 bytes in base58, got "GLN", 3, null',
    ],
  ])('POST /api/tokens/balances refuses %s, and names what came', async (_what, body, detail) => {
    const answer = await post(site, '/api/tokens/balances', body)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(await answer.json()).toMatchObject({
      code: 'bad_request',
      detail: typeof detail === 'string' ? detail : expect.stringMatching(detail),
    })
  })

  test('statistics of pool, limiter, cache and subscribers are in /api/health and /metrics', async () => {
    const health = await json<Record<string, unknown>>(site, '/api/health')
    expect(health).toMatchObject({
      connections: expect.any(Number),
      queue: expect.any(Number),
      cacheSize: expect.any(Number),
      cacheHitRate: expect.any(Number),
    })
    expect(JSON.stringify(health)).toContain('"name":"node"')
    const metrics = await (await at(site, '/metrics')).text()
    for (const name of ['weir_budget_queue', 'weir_cache_reads_total', 'weir_connections', 'weir_budget_refused_total'])
      expect(metrics).toContain(name)
  })

  test('POST /api/rpc is the node, read-only, for @solana/kit', async () => {
    const rpc = createSolanaRpc(`${site.url}/api/rpc`)
    const { value } = await rpc.getAccountInfo(address(here.lottery.pot), { encoding: 'base64' }).send()
    expect(value?.space).toBe(165n)
    const refused = await post(site, '/api/rpc', { jsonrpc: '2.0', id: 'a', method: 'sendTransaction', params: ['AA'] })
    expect(await refused.json()).toMatchObject({ id: 'a', error: { code: -32601 } })
  })
})

/** A player without a ticket in this round. */
function newcomer({ players, entrants }: Lottery) {
  const player = players.find((one) => !entrants.includes(one))
  if (player === undefined) throw new Error('expected a player without a ticket')
  return player
}

test('while the node is down, the round and all values derived from it are stale in every form at all times', async () => {
  await using here = await world({ players: 30, entries: 12 })
  await using site = await serve(here.environment)
  const paths = ['/api/state', '/api/lottery/state', '/api/lottery/participants/count', '/api/lottery/round']
  const values = async () =>
    (
      await json<{ readonly now: number; readonly values: readonly { stale: boolean; checkedAt: number }[] }>(
        site,
        `/weir/values?${paths.map((path) => `topic=${path}`).join('&')}`,
      )
    ).values
  await using stream = new EventStream(await fetch(`${site.url}/api/lottery/state?as=sse`))
  await stream.until('snapshot')
  await expect.poll(async () => (await values()).every(({ stale }) => !stale), { timeout: 10_000 }).toBe(true)
  here.solana.fault({ kind: 'dead' })
  here.solana.fault({ kind: 'socket-drop' })
  // Two polls of a second each, and the time until the connection counts as lost.
  await expect.poll(async () => (await values()).every(({ stale }) => stale), { timeout: 8000 }).toBe(true)
  for (let sample = 0; sample < 30; sample++) {
    expect((await values()).map(({ stale }) => stale)).toEqual([true, true, true, true])
    for (const path of paths) expect((await at(site, path)).headers.get('weir-stale')).toBe('?1')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  here.solana.clearFaults()
  await expect.poll(async () => (await values()).some(({ stale }) => stale), { timeout: 20_000 }).toBe(false)
}, 90_000)

test('the state is served without a price, and with it once there is one', async () => {
  await using here = await world({ players: 30, entries: 12 })
  here.jupiter.fault({ kind: 'dead' })
  await using site = await serve(here.environment)
  expect(await state(site)).toMatchObject({ tokenPrice: null, participants: onChain(here.lottery) })
  await using stream = new EventStream(await fetch(`${site.url}/api/state?as=sse`))
  here.jupiter.clearFaults()
  await stream.until('snapshot', ({ data }) => (data.value as State).tokenPrice !== null)
}, 60_000)

test('the history is live without other reads, and reports when it may lag', async () => {
  await using here = await world({ players: 30, entries: 12 })
  await using site = await serve(here.environment)
  const history = async () => {
    const answer = await at(site, '/api/lottery/history')
    return {
      events: ((await answer.json()) as { events: unknown[] }).events.length,
      stale: answer.headers.get('weir-stale'),
    }
  }
  expect(await history()).toEqual({ events: 12, stale: '?0' })
  await using stream = new EventStream(await fetch(`${site.url}/api/lottery/history?as=sse`))
  await stream.until('event')
  here.lottery.enterAnyone()
  await expect.poll(async () => (await history()).events, { timeout: 5000 }).toBe(13)
  here.solana.fault({ kind: 'dead' })
  here.solana.fault({ kind: 'socket-drop' })
  await expect.poll(history, { timeout: 15_000 }).toEqual({ events: 13, stale: '?1' })
  await stream.until('heartbeat', ({ data }) => data.stale === true)
}, 60_000)

test('while the node refuses calls but still pushes, a new jackpot with old tickets is never marked live', async () => {
  await using here = await world({ players: 30, entries: 12 })
  await using site = await serve(here.environment)
  await using stream = new EventStream(await fetch(`${site.url}/api/state?as=sse`))
  const first = (await stream.until('snapshot')).data.value as State
  await expect
    .poll(async () => (await at(site, '/api/state')).headers.get('weir-stale'), { timeout: 10_000 })
    .toBe(null)
  here.solana.fault({ kind: '429' })
  const torn: unknown[] = []
  let moved = false
  for (let sample = 0; sample < 40; sample++) {
    if (sample % 8 === 0) here.lottery.enterAnyone()
    const answer = await at(site, '/api/state')
    const { jackpot, participants } = (await answer.json()) as State
    moved ||= jackpot !== first.jackpot
    const apart = jackpot !== first.jackpot && participants === first.participants
    if (apart && answer.headers.get('weir-stale') !== '?1') torn.push({ sample, jackpot, participants })
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  expect([moved, torn]).toEqual([true, []])
  here.solana.clearFaults()
  await expect.poll(async () => (await state(site)).participants, { timeout: 30_000 }).toBe(onChain(here.lottery))
}, 90_000)
