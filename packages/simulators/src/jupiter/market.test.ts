import { describe, expect, test } from 'vitest'
import { looksLikeAddress } from '../base58.ts'
import { JUP, SOL, USDC } from '../test-client.ts'
import { Market } from './market.ts'

const hour = Array.from({ length: 3_600 }, (_, second) => second * 1_000)

describe('the market', () => {
  test('the same seed gives the same prices, in whatever order they are read', () => {
    const [first, second] = [new Market(4), new Market(4)]
    const forwards = hour.map((at) => first.price(SOL, at))
    const backwards = hour.toReversed().map((at) => second.price(SOL, at))
    expect(backwards.toReversed()).toEqual(forwards)
  })

  test('another seed gives other prices for the same tokens', () => {
    const [first, second] = [new Market(4), new Market(5)]
    expect(second.tokens.map((token) => token.mint)).toEqual(first.tokens.map((token) => token.mint))
    expect(second.price(SOL, 0)?.usd).not.toBe(first.price(SOL, 0)?.usd)
  })

  test('most prices change about every second, some rarely, stables by next to nothing', () => {
    const market = new Market(1)
    const changes = market.tokens
      .filter((token) => token.price !== undefined)
      .map(({ mint }) => hour.slice(1, 301).filter((at) => differs(market, mint, at)).length)
    expect(changes.filter((count) => count > 150).length).toBeGreaterThan(changes.length * 0.7)
    expect(changes.filter((count) => count < 40).length).toBeGreaterThan(10)
    for (const at of hour) expect(Math.abs((market.price(USDC, at)?.usd ?? 0) - 1)).toBeLessThan(0.001)
  })

  test('prices keep their size, and blocks only go up', () => {
    const market = new Market(1)
    const prices = hour.map((at) => market.price(JUP, at))
    for (const price of prices) {
      expect(price?.usd).toBeGreaterThan(0.07)
      expect(price?.usd).toBeLessThan(0.28)
    }
    const blocks = prices.map((price) => price?.blockId ?? 0)
    expect(blocks).toEqual(blocks.toSorted((a, b) => a - b))
    expect((blocks.at(-1) ?? 0) - (blocks[0] ?? 0)).toBeGreaterThan(8_900)
  })

  test('a few hundred tokens with mints and symbols of their own, each mint 32 bytes', () => {
    const { tokens } = new Market(1)
    expect(tokens.length).toBeGreaterThan(250)
    expect(new Set(tokens.map((token) => token.mint)).size).toBe(tokens.length)
    expect(new Set(tokens.map((token) => token.symbol)).size).toBe(tokens.length)
    for (const { mint } of tokens) {
      expect(looksLikeAddress(mint)).toBe(true)
      expect([mint, byteLength(mint)]).toEqual([mint, 32])
    }
  })

  test('as many tokens as are wanted, of which the first are always the same', () => {
    const [market, large] = [new Market(1), new Market(1, 10_000)]
    expect(large.tokens).toHaveLength(10_000)
    expect(large.tokens.slice(0, market.tokens.length)).toEqual(market.tokens)
    expect(new Set(large.tokens.map((token) => token.mint)).size).toBe(10_000)
    expect(new Set(large.tokens.map((token) => token.symbol)).size).toBe(10_000)
    expect(new Market(1, 3).tokens).toHaveLength(3)
  })

  test('tokens that are not priced stay so; some prices have no block, some no change', () => {
    const market = new Market(1)
    const prices = market.tokens.map((token) => market.price(token.mint, 0))
    expect(prices.filter((price) => price === undefined).length).toBeGreaterThan(10)
    expect(prices.some((price) => price?.blockId === null)).toBe(true)
    expect(prices.some((price) => price?.change24h === null)).toBe(true)
    expect(market.price('1'.repeat(32), 0)).toBeUndefined()
  })
})

function differs(market: Market, mint: string, at: number): boolean {
  return market.price(mint, at - 1_000)?.usd !== market.price(mint, at)?.usd
}

function byteLength(base58: string): number {
  const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  const value = [...base58].reduce((sum, letter) => sum * 58n + BigInt(alphabet.indexOf(letter)), 0n)
  const zeros = /^1*/.exec(base58)?.[0].length ?? 0
  return zeros + Math.ceil(value.toString(16).length / 2)
}
