import { describe, expect, test } from 'vitest'
import { ManualClock } from '../test-client.ts'
import { type LotteryOptions, openLottery, play } from './index.ts'
import { start } from './test-node.ts'

const confirmed = { commitment: 'confirmed', maxSupportedTransactionVersion: 0 }

async function open(options: LotteryOptions = {}) {
  const sim = await start()
  const lottery = await openLottery(sim.chain, { players: 4, ...options })
  const [player, other] = lottery.players
  if (player === undefined || other === undefined) throw new Error('expected players')
  /** What the pot has at an instant, in tickets. */
  const tickets = async () => {
    const { value } = await sim.call('getTokenAccountBalance', lottery.pot, { commitment: 'processed' })
    return Number(value.amount) / Number(lottery.ticketPrice)
  }
  /** What a transaction did to the pot: its change, and from whom by how much. */
  const read = async (signature: string) => {
    const { meta } = await sim.call('getTransaction', signature, confirmed)
    type Balance = { mint: string; owner: string; accountIndex: number; uiTokenAmount: { amount: string } }
    const before: Balance[] = meta.preTokenBalances
    const after: Balance[] = meta.postTokenBalances
    const moves = after.map(({ accountIndex, owner, mint, uiTokenAmount }) => {
      const was = before.find((balance) => balance.accountIndex === accountIndex)
      return { owner, mint, moved: BigInt(uiTokenAmount.amount) - BigInt(was?.uiTokenAmount.amount ?? 0) }
    })
    return { err: meta.err, moves }
  }
  return { ...sim, lottery, player, other, tickets, read, [Symbol.asyncDispose]: () => sim.solana.close() }
}

describe('a lottery', () => {
  test('has its token where it stands on the main network, and the same addresses in each run of a seed', async () => {
    await using one = await open()
    await using two = await open({ seed: 2 })
    await using again = await open()
    const { lottery } = one
    expect(lottery.mint).toBe('DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263')
    const { value } = await one.call('getTokenSupply', lottery.mint, { commitment: 'processed' })
    expect(value).toMatchObject({ decimals: 5, amount: String(10n ** 18n) })
    expect(again.lottery.pot).toBe(lottery.pot)
    expect(again.lottery.authority.address).toBe(lottery.authority.address)
    expect(two.lottery.pot).not.toBe(lottery.pot)
    const info = await one.call('getAccountInfo', lottery.pot, { commitment: 'processed', encoding: 'jsonParsed' })
    expect(info.value.data.parsed.info).toMatchObject({ owner: lottery.authority.address, mint: lottery.mint })
  })

  test('an entry moves the price of its tickets from the player to the pot', async () => {
    await using sim = await open()
    const { lottery, player } = sim
    const signatures = [lottery.enter(player, 3), lottery.enter(player, 3)]
    expect(await sim.tickets()).toBe(6)
    sim.pass(2)
    const listed = await sim.call('getSignaturesForAddress', lottery.pot, confirmed)
    expect(listed.map(({ signature }: { signature: string }) => signature)).toEqual([...signatures].reverse())
    const price = lottery.ticketPrice * 3n
    const { mint, authority } = lottery
    const { moves } = await sim.read(signatures[0] ?? '')
    expect(moves).toHaveLength(2)
    expect(moves).toContainEqual({ owner: player.signer.address, mint, moved: -price })
    expect(moves).toContainEqual({ owner: authority.address, mint, moved: price })
  })

  test('a draw empties the pot into the account of one who entered, the same in each run of a seed', async () => {
    const winners = []
    for (let run = 0; run < 2; run++) {
      await using sim = await open({ entries: 20, players: 50 })
      const { lottery } = sim
      const before = await sim.tickets()
      const entrants = lottery.entrants.map(({ signer }) => signer.address)
      const signature = lottery.draw()
      expect(await sim.tickets()).toBe(0)
      expect(lottery.entrants).toEqual([])
      expect(() => lottery.draw()).toThrow('expected tickets in this round')
      sim.pass(2)
      const won = (await sim.read(signature)).moves.find(({ moved }) => moved > 0n)
      expect(won?.moved).toBe(BigInt(before) * lottery.ticketPrice)
      expect(entrants).toContain(won?.owner)
      winners.push(won?.owner)
    }
    expect(winners[0]).toBe(winners[1])
  })

  test('forged and odd entries are real transactions that name the pot', async () => {
    await using sim = await open()
    const { lottery, player, other } = sim
    const { ticketPrice: price, mint, authority } = lottery
    const names = [player.signer.address, other.signer.address, authority.address]
    const kinds = ['other-mint', 'mention', 'underpaid', 'failed', 'two-owners', 'twice'] as const
    const signatures = kinds.map((kind) => lottery.forge(kind, player))
    sim.pass(2)
    const listed = await sim.call('getSignaturesForAddress', lottery.pot, confirmed)
    expect(listed.map(({ signature }: { signature: string }) => signature)).toEqual([...signatures].reverse())
    const found = new Map<string, unknown>()
    for (const [place, kind] of kinds.entries()) {
      const { err, moves } = await sim.read(signatures[place] ?? '')
      const mine = moves.filter((move) => move.mint === mint)
      found.set(kind, err ?? names.map((name) => mine.find(({ owner }) => owner === name)?.moved))
      if (kind === 'other-mint') expect(moves.map(({ moved }) => moved)).toContain(price)
    }
    expect(Object.fromEntries(found)).toEqual({
      'other-mint': [undefined, undefined, 0n],
      mention: [undefined, undefined, undefined],
      underpaid: [1n - price, undefined, price - 1n],
      failed: { InstructionError: [1, { Custom: 1 }] },
      'two-owners': [-price, -price, 2n * price],
      twice: [-2n * price, undefined, 2n * price],
    })
    expect(lottery.entrants).toEqual([player, other])
  })

  test('is there again as it began when the chain is reset', async () => {
    await using sim = await open({ entries: 3 })
    const { lottery, player } = sim
    const before = [await sim.tickets(), lottery.entrants]
    lottery.enter(player)
    sim.solana.reset()
    expect([await sim.tickets(), lottery.entrants]).toEqual(before)
    lottery.enter(player)
    expect(await sim.tickets()).toBe(Number(before[0]) + 1)
  })
})

describe('play', () => {
  test('players enter and draws happen by the clock, no more than 100 entries at once after a sleep', async () => {
    await using sim = await open()
    const clock = new ManualClock()
    using playing = play(sim.lottery, { every: 100, draw: 1_000, clock })
    const count = () => sim.chain.history.naming(sim.lottery.pot).length
    playing.advance()
    expect(count()).toBe(0)
    clock.now = 950
    playing.advance()
    expect(count()).toBe(9)
    expect(await sim.tickets()).toBeGreaterThanOrEqual(9)
    clock.now = 1_000
    playing.advance()
    expect(count()).toBe(11)
    expect(await sim.tickets()).toBe(0)
    clock.now = 1_000_000
    playing.advance()
    expect(count()).toBe(11 + 100 + 1)
  })
})
