/** A price split at the decimal point, so that a column of prices can be aligned. */
export interface PriceParts {
  /** `97,000` */
  readonly whole: string
  /** Point and zeros before the first significant digit: `.0000` of `.00001234`; otherwise empty. */
  readonly zeros: string
  /** The remaining digits, with the point if `zeros` is empty: `1234` or `.42`. */
  readonly digits: string
}

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const SUBSCRIPTS = '₀₁₂₃₄₅₆₇₈₉'
// More zeros than this are hard to count, so 0.0000000123 becomes 0.0₇123.
const COUNTABLE_ZEROS = 5

/**
 * Splits a price in US dollars: two decimals from 100, four from 0.1, and four significant digits below. All prices have a similar
 * precision, and a changing price keeps its width.
 */
export function splitPrice(price: number): PriceParts {
  if (!Number.isFinite(price)) return { whole: '–', zeros: '', digits: '' }
  const size = Math.abs(price)
  if (size === 0) return { whole: '0', zeros: '', digits: '.00' }
  // The exponent after rounding to four digits. Otherwise 0.099999 would have one digit too many.
  const exponent = Number(size.toExponential(3).split('e')[1])
  const decimals = exponent >= 2 ? 2 : exponent >= -1 ? 4 : 3 - exponent
  const [whole = '0', fraction = ''] = price.toFixed(Math.min(decimals, 100)).split('.')
  // Intl formats -0 as "-0", so the sign survives a whole part of zero.
  const grouped = WHOLE.format(Number(whole))
  const leading = size < 0.1 ? (/^0*/.exec(fraction)?.[0].length ?? 0) : 0
  if (leading === 0) return { whole: grouped, zeros: '', digits: `.${fraction}` }
  const digits = fraction.slice(leading)
  if (leading < COUNTABLE_ZEROS) return { whole: grouped, zeros: `.${'0'.repeat(leading)}`, digits }
  const count = [...String(leading)].map((digit) => SUBSCRIPTS[Number(digit)]).join('')
  return { whole: grouped, zeros: `.0${count}`, digits }
}

/** Formats a price in US dollars without the unit: `97,000.00`, `0.00001234`, `0.0₇1234`. */
export function formatPrice(price: number): string {
  const { whole, zeros, digits } = splitPrice(price)
  return whole + zeros + digits
}

/** Formats a change in percent with its sign and a typographic minus: `+2.31%`, `−0.40%`, `0.00%`. */
export function formatPercent(percent: number): string {
  const size = Math.abs(percent)
  const text = size >= 1_000 ? WHOLE.format(size) : size.toFixed(size >= 100 ? 1 : 2)
  if (Number(text.replaceAll(',', '')) === 0) return `${text}%`
  return `${percent > 0 ? '+' : '−'}${text}%`
}

const UNITS = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'K'],
] as const

/** Formats an amount of US dollars with three digits: `$412M`, `$1.24B`, `$950`. */
export function formatUsd(amount: number): string {
  for (const [unit, letter] of UNITS) {
    const size = amount / unit
    // 999.5 would round to 1000 of this unit, so the next unit has taken it.
    if (size >= 0.9995)
      return `$${size >= 99.95 ? size.toFixed(0) : size >= 9.995 ? size.toFixed(1) : size.toFixed(2)}${letter}`
  }
  return `$${amount.toFixed(amount >= 100 || amount === 0 ? 0 : 2)}`
}
