import { expect, test } from 'vitest'
import { slotOf } from './slot.ts'

test('a key is in the slot that the specification of Redis Cluster says', () => {
  expect(slotOf('123456789')).toBe(0x31c3)
  expect(slotOf('foo')).toBe(12_182)
  expect(slotOf('')).toBe(0)
})

test.each([
  ['{user1000}.following', 'user1000'],
  ['foo{{bar}}zap', '{bar'],
  ['foo{bar}{zap}', 'bar'],
  ['{żółw 🐢}:value', 'żółw 🐢'],
])('%s is where %s is: only its hash tag counts', (key, tag) => {
  expect(slotOf(key)).toBe(slotOf(tag))
})

test('an empty tag is none', () => {
  expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'))
  expect(slotOf('{}a')).not.toBe(slotOf('{}b'))
})
