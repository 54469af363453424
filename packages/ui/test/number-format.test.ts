import { expect, test } from 'vitest'
import { formatPercent, formatPrice, formatUsd, splitPrice } from '../src/number-format.ts'

test.each([
  [97_012.5, '97,012.50'],
  [142.371, '142.37'],
  [99.99996, '100.00'],
  [99.98766, '99.9877'],
  [1, '1.0000'],
  [0.99991, '0.9999'],
  [0.51234, '0.5123'],
  [0.0999999, '0.1000'],
  [0.07713, '0.07713'],
  [0.00001234, '0.00001234'],
  [0.00000123449, '0.0₅1234'],
  [4.321e-9, '0.0₈4321'],
  [1.5e-12, '0.0₁₁1500'],
  [0, '0.00'],
])('a price of %d is written %s', (price, text) => {
  expect(formatPrice(price)).toBe(text)
})

test('a changing price keeps its width', () => {
  for (const base of [0.00001234, 0.5123, 0.9998, 12.5, 142.3, 97_000]) {
    const widths = Array.from({ length: 40 }, (_, tick) => formatPrice(base * (1 + tick * 1e-5)).length)
    expect(new Set(widths).size).toBe(1)
  }
})

test('a price is split at the decimal point', () => {
  expect(splitPrice(97_000)).toEqual({ whole: '97,000', zeros: '', digits: '.00' })
  expect(splitPrice(0.00001234)).toEqual({ whole: '0', zeros: '.0000', digits: '1234' })
  expect(splitPrice(Number.NaN)).toEqual({ whole: '–', zeros: '', digits: '' })
})

test.each([
  [2.314, '+2.31%'],
  [-0.4, '−0.40%'],
  [0.001, '0.00%'],
  [-0.004, '0.00%'],
  [123.45, '+123.5%'],
  [-12_345.6, '−12,346%'],
])('a change of %d is written %s', (percent, text) => {
  expect(formatPercent(percent)).toBe(text)
})

test.each([
  [412_345_678, '$412M'],
  [1_240_000_000, '$1.24B'],
  [999_600, '$1.00M'],
  [99_960, '$100K'],
  [950, '$950'],
  [12.5, '$12.50'],
  [0, '$0'],
])('an amount of %d is written %s', (amount, text) => {
  expect(formatUsd(amount)).toBe(text)
})
