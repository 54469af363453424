import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { compareVersions, parseVersion } from '@weir/protocol'
import type { Forgery, Lottery, Player } from '@weir/simulators/solana'
import { describe, expect, test } from 'vitest'
import { redisServer } from '../../../scripts/redis-server.ts'
import type { Served } from '../../../scripts/served.ts'
import { serve, world } from './served.ts'

interface Said {
  readonly jackpot: number
  readonly participants: number
  readonly tickets: number
  readonly winners: readonly { readonly winner: string; readonly amount: number; readonly signature: string }[]
}

interface Event {
  readonly signature: string
  readonly entries: readonly { readonly wallet: string; readonly tickets: number; readonly amount: number }[]
  readonly draw?: { readonly winner: string; readonly amount: number; readonly participants: number }
}

const JSON_TYPE = { 'content-type': 'application/json' }

async function json<Answer>({ url }: Served, path: string): Promise<Answer> {
  const answer = await fetch(`${url}${path}`)
  return (await answer.json()) as Answer
}

const said = (site: Served) => json<Said>(site, '/api/lottery/state')

async function written(site: Served): Promise<readonly Event[]> {
  const page = await json<{ readonly events: readonly { readonly event: Event }[] }>(site, '/api/lottery/history')
  return page.events.map(({ event }) => event)
}

/** Waits until the app reports the expected round. */
async function tells(site: Served, expected: Partial<Said>, timeout = 20_000): Promise<void> {
  await expect.poll(() => said(site), { timeout, interval: 100 }).toMatchObject(expected)
}

function player({ players }: Lottery, index: number): Player {
  const found = players[index]
  if (found === undefined) throw new Error(`expected more than ${index} players`)
  return found
}

describe('the book', () => {
  test('counts only wallets that paid for a ticket, in every form of transfer', async () => {
    await using here = await world({ players: 20 })
    const { lottery } = here
    await using site = await serve(here.environment)
    await tells(site, { jackpot: 0, participants: 0, tickets: 0 })
    lottery.enter(player(lottery, 0), 3)
    const forged = (['other-mint', 'mention', 'underpaid', 'failed'] satisfies Forgery[]).map((kind) =>
      lottery.forge(kind, player(lottery, 5)),
    )
    lottery.forge('two-owners', player(lottery, 7))
    lottery.forge('twice', player(lottery, 9))
    lottery.enter(player(lottery, 0))
    // An underpayment is still in the pot.
    await tells(site, { participants: 4, tickets: 8, jackpot: 8999.99999 })
    expect(lottery.entrants).toHaveLength(4)
    const events = await written(site)
    expect(events.map(({ entries }) => entries.map(({ tickets }) => tickets))).toEqual([[3], [1, 1], [2], [1]])
    expect(events.map(({ signature }) => signature)).not.toEqual(expect.arrayContaining(forged))
  })

  test('a draw pays out, starts the next round, and is in the history', async () => {
    await using here = await world({ players: 20 })
    const { lottery } = here
    await using site = await serve(here.environment)
    for (let index = 0; index < 5; index++) lottery.enter(player(lottery, index), 2)
    await tells(site, { participants: 5, tickets: 10, jackpot: 10_000 })
    const winner = player(lottery, 3)
    const signature = lottery.draw(winner)
    await tells(site, { participants: 0, tickets: 0, jackpot: 0 })
    expect((await said(site)).winners).toEqual([
      { winner: winner.signer.address, amount: 10_000, signature, at: expect.any(Number) },
    ])
    expect((await written(site)).at(-1)).toMatchObject({ signature, entries: [], draw: { participants: 5 } })
    lottery.enter(player(lottery, 1))
    await tells(site, { participants: 1, tickets: 1, jackpot: 1000 })
  })

  test('a restarted process reads the round from the chain, after the last draw', async () => {
    await using here = await world({ players: 40, entries: 60 })
    const { lottery } = here
    lottery.draw(player(lottery, 2))
    for (let index = 0; index < 25; index++) lottery.enter(player(lottery, index), 1)
    for (let run = 0; run < 2; run++) {
      await using site = await serve(here.environment)
      await tells(site, { participants: 25, tickets: 25, jackpot: 25_000 })
      expect((await said(site)).winners).toHaveLength(1)
    }
  })

  test('two processes on one Redis write each transaction once, and a later one counts the written history', async () => {
    await using redis = await redisServer()
    await using here = await world({ players: 60, entries: 10 })
    const { lottery } = here
    const environment = { ...here.environment, REDIS_URL: redis.url }
    {
      const sites = await Promise.all([serve(environment), serve(environment)])
      await using _one = sites[0]
      await using _other = sites[1]
      for (let index = 0; index < 50; index++) {
        lottery.enterAnyone()
        await Promise.all(sites.map(said))
      }
      for (const site of sites) await tells(site, { participants: lottery.entrants.length })
      const signatures = (await written(sites[1])).map(({ signature }) => signature)
      expect(signatures).toHaveLength(60)
      expect(new Set(signatures).size).toBe(60)
    }
    const asked = here.solana.stats().byPath.getTransaction?.asked
    await using later = await serve(environment)
    await tells(later, { participants: lottery.entrants.length })
    expect(here.solana.stats().byPath.getTransaction?.asked).toBe(asked)
  })
})

test('a node without the last transaction repeats all earlier ones, and none is written twice', async () => {
  await using here = await world({ players: 30, entries: 10 })
  const { lottery, solana } = here
  // A proxy to the node that drops the `until` parameter.
  const road = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const call = JSON.parse(Buffer.concat(chunks).toString())
    if (call.method === 'getSignaturesForAddress') delete call.params[1].until
    const answer = await fetch(solana.url, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(call) })
    response.writeHead(answer.status, JSON_TYPE).end(await answer.text())
  })
  await new Promise<void>((resolve) => road.listen(0, '127.0.0.1', resolve))
  try {
    const url = `http://127.0.0.1:${(road.address() as AddressInfo).port}`
    await using site = await serve({ ...here.environment, SOLANA_URL: url, SOLANA_WS_URL: solana.socketUrl })
    await tells(site, { participants: lottery.entrants.length })
    for (let entry = 0; entry < 3; entry++) {
      lottery.enter(player(lottery, entry), 1)
      await expect
        .poll(async () => [await said(site), (await written(site)).length][1], { timeout: 20_000, interval: 100 })
        .toBeGreaterThan(10 + entry)
    }
    const signatures = (await written(site)).map(({ signature }) => signature)
    expect(signatures).toHaveLength(13)
    expect(new Set(signatures).size).toBe(13)
  } finally {
    road.closeAllConnections()
    road.close()
  }
}, 60_000)

describe('node failures', () => {
  test.each([
    ['drops its WebSocket', { kind: 'socket-drop', for: 4000 }, 0],
    ['falls 200 slots behind', { kind: 'behind', slots: 200, for: 4000 }, 2],
    ['goes back in its slots', { kind: 'slot-back', slots: 200, for: 4000 }, 0],
    ['refuses batches', { kind: 'batch-refused', for: 4000 }, 0],
    ['answers 429 to all', { kind: '429', for: 4000 }, 2],
    ['answers 429 and says when to come back', { kind: '429-retry-after', for: 4000 }, 2],
    ['is unwell', { kind: 'unhealthy', for: 4000 }, 2],
    ['says nothing', { kind: 'hang', for: 4000 }, 2],
  ] as const)(
    'and %s, players keep a state that says how old it is, and all is right again by itself',
    async (_what, fault, oldAtLeast) => {
      await using here = await world({ players: 30, entries: 8 })
      const { lottery } = here
      await using site = await serve(here.environment)
      await tells(site, { participants: lottery.entrants.length })
      const socket = new WebSocket(`${site.url.replace(/^http/, 'ws')}/ws`)
      await new Promise((resolve) => socket.addEventListener('open', resolve))
      await expect.poll(() => here.solana.stats().gauges?.subscriptions).toBeGreaterThan(0)
      // Late enough that the node can fall behind.
      const first = here.solana.chain.slot
      if ('slots' in fault)
        await expect.poll(() => here.solana.chain.slot - first, { timeout: 60_000 }).toBeGreaterThan(20)
      here.solana.fault(fault)
      const began = Date.now()
      let version = parseVersion('1:0')
      let oldest = 0
      while (Date.now() - began < fault.for) {
        if (Math.random() < 0.3) lottery.enterAnyone()
        const answer = await fetch(`${site.url}/api/state`)
        expect(answer.status).toBe(200)
        const { lastUpdate, participants } = await answer.json()
        const next = parseVersion(answer.headers.get('weir-version') ?? '')
        expect(version && next && compareVersions(version, next)).toBeLessThanOrEqual(0)
        version = next
        expect(participants).toBeLessThanOrEqual(lottery.entrants.length)
        oldest = Math.max(oldest, (Date.now() - lastUpdate) / 1000)
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      expect(oldest).toBeGreaterThanOrEqual(oldAtLeast)
      await tells(site, { participants: lottery.entrants.length }, 40_000)
      const signatures = (await written(site)).map(({ signature }) => signature)
      expect(new Set(signatures).size).toBe(signatures.length)
      socket.close()
    },
    90_000,
  )
})

test('two hundred simultaneous requests for the balances of a thousand wallets make ten calls', async () => {
  await using here = await world({ players: 1000 })
  await using site = await serve(here.environment)
  const wallets = here.lottery.players.map(({ signer }) => signer.address)
  const body = JSON.stringify({ wallets, tokenMint: here.lottery.mint })
  await expect.poll(() => here.solana.stats().asked).toBeGreaterThan(0)
  const before = here.solana.stats().asked
  const answers = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`${site.url}/api/tokens/balances`, { method: 'POST', headers, body })
      return (await answer.json()) as { readonly balances: Readonly<Record<string, number>> }
    }),
  )
  expect(here.solana.stats().asked - before).toBeLessThanOrEqual(10)
  for (const { balances } of answers) expect(Object.keys(balances)).toHaveLength(1000)
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
}, 60_000)
