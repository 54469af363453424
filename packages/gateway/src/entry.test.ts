import { describe, expect, test } from 'vitest'
import { absence, content, stored } from '../test/content.ts'
import { Encoded, Entry, hashOf } from './entry.ts'

describe('an encoding', () => {
  test('is encoded once, and returns the same bytes afterwards', () => {
    let made = 0
    const upper = { name: 'upper', encode: (text: string) => Buffer.from(`${text.toUpperCase()} ${++made}`) }
    const lower = { name: 'lower', encode: (text: string) => Buffer.from(text.toLowerCase()) }
    const encoded = new Encoded('Ab')
    const first = encoded.as(upper)
    expect(encoded.as(lower).toString()).toBe('ab')
    expect(encoded.as(upper)).toBe(first)
    expect(first.toString()).toBe('AB 1')
  })
})

describe('the hash of a content', () => {
  test('is equal for equal content only', () => {
    const contents = [content(1), content('1'), content(null), absence('a'), absence('b'), content('absent:a')]
    expect(new Set(contents.map(hashOf)).size).toBe(contents.length)
    expect(hashOf(content({ a: 1 }))).toBe(hashOf(content({ a: 1 })))
  })

  test('of an absence does not depend on its lifetime', () => {
    expect(hashOf(absence('a', 1))).toBe(hashOf(absence('a', 2)))
  })
})

describe('an entry', () => {
  test('parses its value once', () => {
    const entry = new Entry('/a', {}, stored({ price: 1 }), 0)
    expect(entry.value).toEqual({ price: 1 })
    expect(entry.value).toBe(entry.value)
  })

  test('without a value is absent', () => {
    const entry = new Entry('/a', {}, { ...stored(1), ...absence('not priced') }, 0)
    expect(entry).toMatchObject({ absent: true, value: undefined })
  })

  test('moves its confirmation forward, never back', () => {
    const entry = new Entry('/a', {}, stored(1, { checkedAt: 100 }), 100)
    entry.confirm({ checkedAt: 200, absentFor: undefined }, 200)
    entry.confirm({ checkedAt: 150, absentFor: undefined }, 150)
    expect(entry).toMatchObject({ checkedAt: 200, confirmedAt: 200 })
  })

  test('counts its bytes, at least those of its JSON', () => {
    expect(new Entry('/a', {}, stored('x'.repeat(10_000)), 0).size).toBeGreaterThan(10_000)
    expect(new Entry('/a', {}, { ...stored(1), ...absence('x') }, 0).size).toBeGreaterThan(0)
  })
})
