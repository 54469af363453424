import type { Sort } from './page-state.ts'

/** What a row is sorted by. */
export interface RowFacts {
  symbol(mint: string): string
  price(mint: string): number | undefined
  change(mint: string): number | undefined
}

const NAMES = new Intl.Collator('en', { sensitivity: 'base', numeric: true })

/** The mints in the order they are shown. Rows without the value come last either way; equals keep the list's order. */
export function orderRows(mints: readonly string[], sort: Sort | undefined, facts: RowFacts): readonly string[] {
  if (sort === undefined) return mints
  const way = sort.descending ? -1 : 1
  if (sort.by === 'symbol') return mints.toSorted((a, b) => way * NAMES.compare(facts.symbol(a), facts.symbol(b)))
  const value = sort.by === 'price' ? facts.price : facts.change
  return mints.toSorted((a, b) => {
    const left = value(a)
    const right = value(b)
    if (left === undefined || right === undefined) return Number(left === undefined) - Number(right === undefined)
    return way * (left - right)
  })
}
