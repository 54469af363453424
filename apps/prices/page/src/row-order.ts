import type { Sort } from './page-state.ts'

/** The values that rows are sorted by. */
export interface RowFacts {
  symbol(mint: string): string
  price(mint: string): number | undefined
  change(mint: string): number | undefined
}

const NAMES = new Intl.Collator('en', { sensitivity: 'base', numeric: true })

/** Sorts the mints. Rows without a value come last in both directions, and equal rows keep the order of the list. */
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
