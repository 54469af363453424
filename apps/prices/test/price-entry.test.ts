import type { Entry } from '@weir/client'
import { expect, test } from 'vitest'
import { NOTHING_YET, nextEntry, type PriceEntry, readPrice } from '../page/src/price-entry.ts'

/** What the client says of a price. */
function news(version: string, usdPrice: number, more: Partial<Entry> = {}): Entry {
  const value = { usdPrice, priceChange24h: 1.5, liquidity: null, decimals: 6 }
  return { topic: '/prices/A', version, value, changedAt: 1_000, checkedAt: 1_000, stale: false, ...more }
}

function after(...entries: Entry[]): PriceEntry {
  return entries.reduce(nextEntry, NOTHING_YET)
}

test('a price that was only confirmed keeps its direction, and says when', () => {
  const confirmed = after(news('5:1', 10), news('5:2', 11), news('5:2', 11, { checkedAt: 2_000, stale: true }))
  expect(confirmed).toMatchObject({ direction: 1, checkedAt: 2_000, stale: true, price: { usdPrice: 11 } })
})

test('a value that goes away leaves the last price known', () => {
  const gone = after(news('5:2', 10), news('5:3', 10, { absent: 'not priced' }))
  expect(gone).toMatchObject({ state: 'absent', reason: 'not priced', price: { usdPrice: 10 } })
  expect(nextEntry(gone, news('5:4', 11))).toMatchObject({ state: 'priced', reason: undefined })
})

test('a problem keeps the value, and the next good word clears it', () => {
  const problem = {
    type: 'https://weir.dev/errors#upstream_down',
    title: 'Upstream down',
    status: 502,
    code: 'upstream_down',
    detail: 'no answer',
    retry: true,
  }
  const troubled = after(news('5:2', 10), news('5:2', 10, { problem }))
  expect(troubled).toMatchObject({ problem, price: { usdPrice: 10 } })
  expect(nextEntry(troubled, news('5:3', 11)).problem).toBeUndefined()
})

test('the direction is that of the last change', () => {
  expect(after(news('5:1', 10)).direction).toBe(0)
  expect(after(news('5:1', 10), news('5:2', 11)).direction).toBe(1)
  expect(after(news('5:1', 10), news('5:2', 11), news('5:3', 11)).direction).toBe(1)
  expect(after(news('5:1', 10), news('5:2', 9)).direction).toBe(-1)
})

test('a value that is no price is not shown as one', () => {
  expect(readPrice({ usdPrice: 'ten' })).toBeUndefined()
  expect(readPrice(null)).toBeUndefined()
  expect(readPrice({ usdPrice: 1 })).toEqual({ usdPrice: 1, priceChange24h: null, liquidity: null, decimals: 0 })
  expect(after({ ...news('5:1', 1), value: 'ten' })).toMatchObject({ state: 'absent', price: undefined })
})
