const LARGE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 })
const SMALL = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 4 })
const MONEY = new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD' })

/** Formats tokens: `59,000`, `1,234.5`, `0.01234`. */
export function formatAmount(amount: number): string {
  return (Math.abs(amount) < 1 ? SMALL : LARGE).format(amount)
}

/** Formats US dollars: `$812,345.10`; `under $0.01` for less than a cent. */
export function formatMoney(dollars: number): string {
  return dollars > 0 && dollars < 0.01 ? 'under $0.01' : MONEY.format(dollars)
}

/** Formats a count: `1 ticket`, `5 tickets`. */
export function countOf(count: number, noun: string): string {
  return `${formatAmount(count)} ${noun}${count === 1 ? '' : 's'}`
}
