import { expect, test } from 'vitest'
import { addPoint } from '../page/src/price-history.ts'
import { orderRows } from '../page/src/row-order.ts'

const prices: Readonly<Record<string, number>> = { a: 3, b: 1, d: 2 }
const facts = {
  symbol: (mint: string) => mint.toUpperCase(),
  price: (mint: string) => prices[mint],
  change: () => undefined,
}

test('without a sort the list keeps its order', () => {
  const mints = ['c', 'a']
  expect(orderRows(mints, undefined, facts)).toBe(mints)
})

test('rows without a value come last in both directions', () => {
  expect(orderRows(['a', 'b', 'c', 'd'], { by: 'price', descending: true }, facts)).toEqual(['a', 'd', 'b', 'c'])
  expect(orderRows(['a', 'b', 'c', 'd'], { by: 'price', descending: false }, facts)).toEqual(['b', 'd', 'a', 'c'])
  expect(orderRows(['b', 'a'], { by: 'change', descending: false }, facts)).toEqual(['b', 'a'])
})

test('symbols are sorted by name', () => {
  expect(orderRows(['b', 'a', 'c'], { by: 'symbol', descending: false }, facts)).toEqual(['a', 'b', 'c'])
  expect(orderRows(['b', 'a', 'c'], { by: 'symbol', descending: true }, facts)).toEqual(['c', 'b', 'a'])
})

test('a history keeps its beginning and its end, and is bounded', () => {
  let points: ReturnType<typeof addPoint> = []
  for (let at = 0; at < 5_000; at += 1) points = addPoint(points, { at, value: at }, 100)
  expect(points.length).toBeLessThanOrEqual(100)
  expect(points[0]?.at).toBe(0)
  expect(points.at(-1)?.at).toBe(4_999)
  expect(points.every((point, index) => index === 0 || point.at > (points[index - 1]?.at ?? 0))).toBe(true)
  expect(addPoint(points, { at: 10, value: 1 }, 100)).toBe(points)
})
