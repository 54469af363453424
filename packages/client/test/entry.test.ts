import { describe, expect, test } from 'vitest'
import { type Entry, follows, gapBefore, nextEntry, order } from '../src/entry.ts'

const topic = '/prices/A'
const NOTHING: Entry = { topic, version: undefined, value: undefined, changedAt: 0, checkedAt: 0, stale: false }

type Message = Parameters<typeof nextEntry>[1]

const snapshot = (version: string, value: unknown, checkedAt = 1000): Message => {
  return { type: 'snapshot', topic, version, changedAt: checkedAt, checkedAt, value }
}
const heartbeat = (version: string, checkedAt: number, stale: boolean): Message => {
  return { type: 'heartbeat', topic, version, checkedAt, stale, now: checkedAt, level: 'normal' }
}
const patch = (from: string, version: string, patch: unknown): Message => {
  return { type: 'patch', topic, from, version, changedAt: 1, checkedAt: 1, patch }
}
const after = (...messages: Message[]) =>
  messages.reduce((entry, message) => nextEntry(entry, message) ?? entry, NOTHING)

describe('versions', () => {
  test('are accepted only if larger, by epoch first', () => {
    const entry = after(snapshot('5:2', 10))
    expect(nextEntry(entry, snapshot('5:1', 9))).toBeUndefined()
    expect(nextEntry(entry, snapshot('4:9', 9))).toBeUndefined()
    expect(nextEntry(entry, snapshot('5:10', 11))?.value).toBe(11)
    expect(nextEntry(entry, snapshot('6:1', 12))?.value).toBe(12)
    expect(nextEntry(NOTHING, snapshot('new', 10))).toBeUndefined()
  })

  test('that are equal change no value, but may confirm it', () => {
    const entry = after(snapshot('5:2', 10, 1000))
    expect(nextEntry(entry, snapshot('5:2', 99, 2000))).toMatchObject({ checkedAt: 2000, value: 10 })
    expect(nextEntry(entry, snapshot('5:2', 99, 500))).toMatchObject({ checkedAt: 1000, value: 10 })
  })

  test('that are invalid have no order', () => {
    expect(order('5:2', '5:1')).toBeGreaterThan(0)
    expect(order('5:2', undefined)).toBeGreaterThan(0)
    expect(order('x', '5:1')).toBeNaN()
    expect(order(undefined, '5:1')).toBeNaN()
  })
})

describe('patches', () => {
  test('apply only to the version that they are made for', () => {
    const entry = after(snapshot('5:1', { a: 1, b: 2 }))
    expect(nextEntry(entry, patch('5:1', '5:2', { a: null, c: 3 }))?.value).toEqual({ b: 2, c: 3 })
    expect(nextEntry(entry, patch('5:2', '5:3', { a: 9 }))).toBeUndefined()
    expect(nextEntry(entry, patch('4:1', '4:2', { a: 9 }))).toBeUndefined()
  })
})

describe('staleness', () => {
  test('changes with the heartbeat, both ways, and the value stays', () => {
    const stale = after(snapshot('5:2', 10), heartbeat('5:2', 1000, true))
    expect(stale).toMatchObject({ stale: true, value: 10 })
    expect(nextEntry(stale, heartbeat('5:2', 3000, false))).toMatchObject({ stale: false, checkedAt: 3000 })
  })

  test('is not affected by a heartbeat of another version', () => {
    const entry = after(snapshot('5:2', 10))
    expect(nextEntry(entry, heartbeat('5:1', 9000, true))).toBeUndefined()
    expect(nextEntry(entry, heartbeat('5:3', 9000, false))).toBeUndefined()
  })

  test('ends when a new connection brings a later confirmation, not when it repeats the old one', () => {
    const stale = after(snapshot('5:2', 10, 1000), heartbeat('5:2', 1000, true))
    expect(nextEntry(stale, snapshot('5:2', 10, 1000))?.stale).toBe(true)
    expect(nextEntry(stale, snapshot('5:2', 10, 4000))?.stale).toBe(false)
  })
})

test('an absent value and a problem leave the last value known, until the next value', () => {
  const times = { changedAt: 2000, checkedAt: 2000 }
  const gone = after(snapshot('5:2', 10), { type: 'absent', topic, version: '5:3', ...times, reason: 'not priced' })
  expect(gone).toMatchObject({ absent: 'not priced', value: 10 })
  const back = nextEntry(gone, snapshot('5:4', 11))
  expect(back).toMatchObject({ value: 11 })
  expect(back?.absent).toBeUndefined()
  const problem = { type: '', title: 'Upstream down', status: 502, code: 'down', detail: 'no answer', retry: true }
  const troubled = after(snapshot('5:2', 10), { type: 'error', topic, problem })
  expect(troubled).toMatchObject({ problem, value: 10 })
  expect(nextEntry(troubled, heartbeat('5:2', 3000, false))?.problem).toBeUndefined()
  expect(nextEntry(troubled, snapshot('5:3', 11))?.problem).toBeUndefined()
})

test('events follow one another without a hole, or a gap is reported', () => {
  const event = (position: string) => ({ ...NOTHING, version: position, log: true as const })
  expect(gapBefore(NOTHING, event('5:7'))).toBeUndefined()
  expect(gapBefore(event('5:7'), event('5:8'))).toBeUndefined()
  expect(gapBefore(event('5:7'), event('5:7'))).toBeUndefined()
  expect(gapBefore(event('5:7'), event('5:3'))).toBeUndefined()
  expect(gapBefore(event('5:7'), event('5:10'))?.gap).toEqual({ from: '5:7', to: '5:9' })
  expect(gapBefore(event('5:7'), event('6:3'))?.gap).toEqual({ from: '5:7', to: '6:2' })
  // After a change of epoch, the missing events are unknown.
  expect(gapBefore(event('5:7'), event('6:1'))?.gap).toEqual({ from: '5:7', to: '6:0' })
  expect(follows(event('5:7'), event('5:7'))).toBe(false)
})
