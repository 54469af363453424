import type { Client, Entry } from '@weir/client'
import { expect, test } from 'vitest'
import { PriceStore } from '../page/src/price-store.ts'

/** A store whose client receives updates from the test. */
function open() {
  const subscriptions = new Map<string, (entry: Entry) => void>()
  const client: Pick<Client, 'subscribe' | 'now'> = {
    now: () => 1_000_000,
    subscribe(topic, receive) {
      subscriptions.set(topic, receive as (entry: Entry) => void)
      return () => subscriptions.delete(topic)
    },
  }
  const store = new PriceStore(client)
  const send = (mint: string, usdPrice: number, stale = false, checkedAt = 1_000_000) => {
    const topic = `/prices/${mint}`
    const value = { usdPrice, priceChange24h: null, liquidity: null, decimals: 6 }
    const times = { changedAt: 1_000_000 + usdPrice, checkedAt }
    subscriptions.get(topic)?.({ topic, version: `5:${usdPrice}`, ...times, stale, value })
  }
  return { store, send, subscriptions }
}

test('receives only followed tokens, even without subscribers', () => {
  const { store, send, subscriptions } = open()
  store.follow(['A', 'B'])
  send('A', 1)
  store.subscribe('A', () => {})()
  store.follow(['A', 'C'])
  expect([...subscriptions.keys()]).toEqual(['/prices/A', '/prices/C'])
  expect(store.entry('A').price?.usdPrice).toBe(1)
  expect(store.entry('B').state).toBe('waiting')
})

test('the chart continues when a token returns', () => {
  const { store, send } = open()
  store.follow(['A'])
  send('A', 1)
  store.follow([])
  store.follow(['A'])
  send('A', 2)
  expect(store.points('A').map(({ value }) => value)).toEqual([1, 2])
})

test('a price of an earlier visit is shown, and the chart starts with the first current one', () => {
  const { store, send } = open()
  store.follow(['A'])
  send('A', 1, true)
  expect(store.entry('A')).toMatchObject({ price: { usdPrice: 1 }, stale: true })
  expect(store.points('A')).toEqual([])
  send('A', 1)
  send('A', 2)
  expect(store.points('A')).toEqual([
    { at: 1_000_000, value: 1 },
    { at: 1_000_002, value: 2 },
  ])
})

test('the chart stops while a price is unconfirmed, and continues with the next confirmation', () => {
  const { store, send } = open()
  store.follow(['A'])
  send('A', 1)
  send('A', 1, false, 1_005_000)
  expect(store.points('A')).toEqual([{ at: 1_000_000, value: 1 }])
  send('A', 1, true, 1_005_000)
  send('A', 1, true, 1_006_000)
  expect(store.points('A')).toEqual([{ at: 1_000_000, value: 1, heldUntil: 1_005_000 }])
  send('A', 1, false, 1_009_000)
  expect(store.points('A').slice(1)).toEqual([{ at: 1_009_000, value: 1 }])
  // Prices during a lost connection are unknown, even if the loss went unnoticed.
  send('A', 1, false, 1_060_000)
  expect(store.points('A').slice(1)).toEqual([
    { at: 1_009_000, value: 1, heldUntil: 1_009_000 },
    { at: 1_060_000, value: 1 },
  ])
})
