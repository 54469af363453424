import { isMint } from './mint.ts'

/** What the rows are sorted by, if not by the list's own order. */
export interface Sort {
  readonly by: SortKey
  readonly descending: boolean
}

export type SortKey = 'symbol' | 'price' | 'change'

/** What an address says about the page. */
export interface PageState {
  /** Undefined when the address names no list; empty when it names an empty one. */
  readonly mints: readonly string[] | undefined
  /** How many of the addresses it names are no mints. */
  readonly malformed: number
  /** The token whose detail is open. */
  readonly token: string | undefined
  readonly sort: Sort | undefined
}

// Servers and proxies refuse long request lines (8 KB is common); the part after # is never sent to them.
const LONGEST_QUERY = 6_000
const SORT_KEYS: readonly SortKey[] = ['symbol', 'price', 'change']

/** Reads a page's address. The list may stand in the query or, where it is long, behind the #. */
export function readPageState(address: { readonly search: string; readonly hash: string }): PageState {
  const query = new URLSearchParams(address.search)
  const list = query.get('mints') ?? new URLSearchParams(address.hash.slice(1)).get('mints')
  const named = list === null ? undefined : [...new Set(list.split(',').map((mint) => mint.trim()))].filter(Boolean)
  const mints = named?.filter(isMint)
  const token = query.get('token')
  return {
    mints,
    malformed: (named?.length ?? 0) - (mints?.length ?? 0),
    token: token !== null && isMint(token) ? token : undefined,
    sort: readSort(query.get('sort')),
  }
}

/** The address that says all this, from its `?` on, or an empty text when there is nothing to say. */
export function writePageState(state: Omit<PageState, 'malformed'>): string {
  const list = state.mints === undefined ? undefined : `mints=${state.mints.join(',')}`
  const behind = list !== undefined && list.length > LONGEST_QUERY
  const query: string[] = []
  if (list !== undefined && !behind) query.push(list)
  if (state.sort !== undefined) query.push(`sort=${state.sort.descending ? '-' : ''}${state.sort.by}`)
  if (state.token !== undefined) query.push(`token=${state.token}`)
  return (query.length > 0 ? `?${query.join('&')}` : '') + (behind ? `#${list}` : '')
}

/** The address of a token's detail, from the address of the page without one. */
export function tokenAddress(page: string, mint: string): string {
  const hash = page.indexOf('#')
  const [before, after] = hash < 0 ? [page, ''] : [page.slice(0, hash), page.slice(hash)]
  return `${before}${before.includes('?') ? '&' : '?'}token=${mint}${after}`
}

function readSort(text: string | null): Sort | undefined {
  const descending = text?.startsWith('-') ?? false
  const by = SORT_KEYS.find((key) => key === (descending ? text?.slice(1) : text))
  return by === undefined ? undefined : { by, descending }
}
