import { describe, expect, test } from 'vitest'
import { NOTHING_YET, nextEntry, type PriceEntry, readPrice, type TopicMessage } from '../page/src/price-entry.ts'

const topic = '/prices/A'

function snapshot(version: string, usdPrice: number, checkedAt = 1_000): TopicMessage {
  const value = { usdPrice, priceChange24h: 1.5, liquidity: null, decimals: 6 }
  return { type: 'snapshot', topic, version, changedAt: checkedAt, checkedAt, value }
}

function heartbeat(version: string, checkedAt: number, stale: boolean): TopicMessage {
  return { type: 'heartbeat', topic, version, checkedAt, stale, now: checkedAt, level: 'normal' }
}

const problem = {
  type: 'https://weir.dev/errors#upstream_down',
  title: 'Upstream down',
  status: 502,
  code: 'upstream_down',
  detail: 'no answer',
  retry: true,
}

function after(...messages: TopicMessage[]): PriceEntry {
  return messages.reduce(nextEntry, NOTHING_YET)
}

describe('versions', () => {
  test('only a larger one is accepted', () => {
    const entry = after(snapshot('5:2', 10))
    expect(nextEntry(entry, snapshot('5:1', 9))).toBe(entry)
    expect(nextEntry(entry, snapshot('4:9', 9))).toBe(entry)
    expect(nextEntry(entry, snapshot('5:10', 11)).price?.usdPrice).toBe(11)
    expect(nextEntry(entry, snapshot('6:1', 12)).price?.usdPrice).toBe(12)
  })

  test('the same one again changes no value, but may confirm it', () => {
    const entry = after(snapshot('5:2', 10, 1_000))
    expect(nextEntry(entry, snapshot('5:2', 99, 1_000))).toBe(entry)
    expect(nextEntry(entry, snapshot('5:2', 99, 2_000))).toMatchObject({ checkedAt: 2_000, price: { usdPrice: 10 } })
  })

  test('what is no version is not accepted', () => {
    expect(nextEntry(NOTHING_YET, snapshot('new', 10))).toBe(NOTHING_YET)
  })
})

describe('staleness', () => {
  test('turns with the heartbeat, both ways, and the value stays', () => {
    const stale = after(snapshot('5:2', 10), heartbeat('5:2', 1_000, true))
    expect(stale).toMatchObject({ stale: true, price: { usdPrice: 10 } })
    expect(nextEntry(stale, heartbeat('5:2', 3_000, false))).toMatchObject({ stale: false, checkedAt: 3_000 })
  })

  test('a heartbeat of another version says nothing of this one', () => {
    const entry = after(snapshot('5:2', 10))
    expect(nextEntry(entry, heartbeat('5:1', 9_000, true))).toBe(entry)
    expect(nextEntry(entry, heartbeat('5:3', 9_000, false))).toBe(entry)
  })

  test('ends when a new connection brings a later confirmation, not when it repeats the old one', () => {
    const stale = after(snapshot('5:2', 10, 1_000), heartbeat('5:2', 1_000, true))
    expect(nextEntry(stale, snapshot('5:2', 10, 1_000)).stale).toBe(true)
    expect(nextEntry(stale, snapshot('5:2', 10, 4_000)).stale).toBe(false)
  })
})

test('a value that goes away leaves the last price known', () => {
  const gone = after(snapshot('5:2', 10), {
    type: 'absent',
    topic,
    version: '5:3',
    changedAt: 2_000,
    checkedAt: 2_000,
    reason: 'not priced',
  })
  expect(gone).toMatchObject({ state: 'absent', reason: 'not priced', price: { usdPrice: 10 } })
  expect(nextEntry(gone, snapshot('5:4', 11))).toMatchObject({ state: 'priced', reason: undefined })
})

test('a problem keeps the value, and the next good word clears it', () => {
  const troubled = after(snapshot('5:2', 10), { type: 'error', topic, problem })
  expect(troubled).toMatchObject({ problem, price: { usdPrice: 10 } })
  expect(nextEntry(troubled, heartbeat('5:2', 3_000, false)).problem).toBeUndefined()
  expect(nextEntry(troubled, snapshot('5:3', 11)).problem).toBeUndefined()
})

test('the direction is that of the last change', () => {
  expect(after(snapshot('5:1', 10)).direction).toBe(0)
  expect(after(snapshot('5:1', 10), snapshot('5:2', 11)).direction).toBe(1)
  expect(after(snapshot('5:1', 10), snapshot('5:2', 11), snapshot('5:3', 11)).direction).toBe(1)
  expect(after(snapshot('5:1', 10), snapshot('5:2', 9)).direction).toBe(-1)
})

test('a value that is no price is not shown as one', () => {
  expect(readPrice({ usdPrice: 'ten' })).toBeUndefined()
  expect(readPrice(null)).toBeUndefined()
  expect(readPrice({ usdPrice: 1 })).toEqual({ usdPrice: 1, priceChange24h: null, liquidity: null, decimals: 0 })
})
