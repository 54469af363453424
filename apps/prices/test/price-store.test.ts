import { expect, test } from 'vitest'
import { PriceStore } from '../page/src/price-store.ts'

function open() {
  const clock = { time: 1_000_000, now: () => clock.time, set() {}, refine() {} }
  const store = new PriceStore(clock)
  const say = (mint: string, usdPrice: number) => {
    const value = { usdPrice, priceChange24h: null, liquidity: null, decimals: 6 }
    const times = { changedAt: clock.time, checkedAt: clock.time }
    store.apply({ type: 'snapshot', topic: `/prices/${mint}`, version: `5:${usdPrice}`, ...times, value })
  }
  return { clock, store, say }
}

test('a price outlives the component that showed it by 5 s, and no longer', () => {
  const { clock, store, say } = open()
  store.follow(['A', 'B'])
  say('A', 1)
  say('B', 2)
  store.follow(['B'])
  clock.time += 4_999
  store.follow(['A', 'B'])
  expect(store.entry('A').price?.usdPrice).toBe(1)

  store.follow(['B'])
  clock.time += 5_000
  store.follow(['A', 'B'])
  expect(store.entry('A').state).toBe('waiting')
  expect(store.entry('B').price?.usdPrice).toBe(2)
  say('A', 3)
  expect(store.entry('A').price?.usdPrice).toBe(3)
})

test('what is followed is kept for ever, whether anything shows it or not', () => {
  const { clock, store, say } = open()
  store.follow(['A'])
  say('A', 1)
  store.subscribe('A', () => {})()
  clock.time += 60_000
  store.follow(['A'])
  expect(store.entry('A').price?.usdPrice).toBe(1)
})

test('the chart of a token goes on where it was when the token comes back', () => {
  const { clock, store, say } = open()
  store.follow(['A'])
  say('A', 1)
  store.follow([])
  clock.time += 10_000
  store.follow(['A'])
  say('A', 2)
  expect(store.points('A').map(({ value }) => value)).toEqual([1, 2])
})
