import type { Entry } from '@weir/client'
import { expect, test } from 'vitest'
import { INITIAL_ENTRY, nextEntry, type PriceEntry, readPrice } from '../page/src/price-entry.ts'

/** An update from the client. */
function update(version: string, usdPrice: number, more: Partial<Entry> = {}): Entry {
  const value = { usdPrice, priceChange24h: 1.5, liquidity: null, decimals: 6 }
  return { topic: '/prices/A', version, value, changedAt: 1_000, checkedAt: 1_000, stale: false, ...more }
}

function after(...entries: Entry[]): PriceEntry {
  return entries.reduce(nextEntry, INITIAL_ENTRY)
}

test('a confirmation keeps the direction and updates the time', () => {
  const confirmed = after(update('5:1', 10), update('5:2', 11), update('5:2', 11, { checkedAt: 2_000, stale: true }))
  expect(confirmed).toMatchObject({ direction: 1, checkedAt: 2_000, stale: true, price: { usdPrice: 11 } })
})

test('an absent value keeps the last price', () => {
  const gone = after(update('5:2', 10), update('5:3', 10, { absent: 'not priced' }))
  expect(gone).toMatchObject({ state: 'absent', reason: 'not priced', price: { usdPrice: 10 } })
  expect(nextEntry(gone, update('5:4', 11))).toMatchObject({ state: 'priced', reason: undefined })
})

test('a problem keeps the value, and the next update clears it', () => {
  const problem = {
    type: 'https://weir.dev/errors#upstream_down',
    title: 'Upstream down',
    status: 502,
    code: 'upstream_down',
    detail: 'no answer',
    retry: true,
  }
  const troubled = after(update('5:2', 10), update('5:2', 10, { problem }))
  expect(troubled).toMatchObject({ problem, price: { usdPrice: 10 } })
  expect(nextEntry(troubled, update('5:3', 11)).problem).toBeUndefined()
})

test('the direction follows the last change', () => {
  expect(after(update('5:1', 10)).direction).toBe(0)
  expect(after(update('5:1', 10), update('5:2', 11)).direction).toBe(1)
  expect(after(update('5:1', 10), update('5:2', 11), update('5:3', 11)).direction).toBe(1)
  expect(after(update('5:1', 10), update('5:2', 9)).direction).toBe(-1)
})

test('an invalid value is not shown as a price', () => {
  expect(readPrice({ usdPrice: 'ten' })).toBeUndefined()
  expect(readPrice(null)).toBeUndefined()
  expect(readPrice({ usdPrice: 1 })).toEqual({ usdPrice: 1, priceChange24h: null, liquidity: null, decimals: 0 })
  expect(after({ ...update('5:1', 1), value: 'ten' })).toMatchObject({ state: 'absent', price: undefined })
})
