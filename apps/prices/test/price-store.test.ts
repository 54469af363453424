import type { Client, Entry } from '@weir/client'
import { expect, test } from 'vitest'
import { PriceStore } from '../page/src/price-store.ts'

/** A store on a client that hears what the test says. */
function open() {
  const hearing = new Map<string, (entry: Entry) => void>()
  const client: Pick<Client, 'subscribe' | 'now'> = {
    now: () => 1_000_000,
    subscribe(topic, hear) {
      hearing.set(topic, hear as (entry: Entry) => void)
      return () => hearing.delete(topic)
    },
  }
  const store = new PriceStore(client)
  const say = (mint: string, usdPrice: number, stale = false, checkedAt = 1_000_000) => {
    const topic = `/prices/${mint}`
    const value = { usdPrice, priceChange24h: null, liquidity: null, decimals: 6 }
    const times = { changedAt: 1_000_000 + usdPrice, checkedAt }
    hearing.get(topic)?.({ topic, version: `5:${usdPrice}`, ...times, stale, value })
  }
  return { store, say, hearing }
}

test('hears what is followed, whether anything shows it or not, and nothing else', () => {
  const { store, say, hearing } = open()
  store.follow(['A', 'B'])
  say('A', 1)
  store.subscribe('A', () => {})()
  store.follow(['A', 'C'])
  expect([...hearing.keys()]).toEqual(['/prices/A', '/prices/C'])
  expect(store.entry('A').price?.usdPrice).toBe(1)
  expect(store.entry('B').state).toBe('waiting')
})

test('the chart of a token goes on where it was when the token comes back', () => {
  const { store, say } = open()
  store.follow(['A'])
  say('A', 1)
  store.follow([])
  store.follow(['A'])
  say('A', 2)
  expect(store.points('A').map(({ value }) => value)).toEqual([1, 2])
})

test('a price of an earlier visit is shown, and the chart begins with the first that is of now', () => {
  const { store, say } = open()
  store.follow(['A'])
  say('A', 1, true)
  expect(store.entry('A')).toMatchObject({ price: { usdPrice: 1 }, stale: true })
  expect(store.points('A')).toEqual([])
  say('A', 1)
  say('A', 2)
  expect(store.points('A')).toEqual([
    { at: 1_000_000, value: 1 },
    { at: 1_000_002, value: 2 },
  ])
})

test('the chart of a token stops while nothing confirms its price, and goes on with the first that is confirmed', () => {
  const { store, say } = open()
  store.follow(['A'])
  say('A', 1)
  say('A', 1, false, 1_005_000)
  expect(store.points('A')).toEqual([{ at: 1_000_000, value: 1 }])
  say('A', 1, true, 1_005_000)
  say('A', 1, true, 1_006_000)
  expect(store.points('A')).toEqual([{ at: 1_000_000, value: 1, heldUntil: 1_005_000 }])
  say('A', 1, false, 1_009_000)
  expect(store.points('A').slice(1)).toEqual([{ at: 1_009_000, value: 1 }])
  // A connection that was lost says nothing of the prices meanwhile, whether or not it was noticed.
  say('A', 1, false, 1_060_000)
  expect(store.points('A').slice(1)).toEqual([
    { at: 1_009_000, value: 1, heldUntil: 1_009_000 },
    { at: 1_060_000, value: 1 },
  ])
})
