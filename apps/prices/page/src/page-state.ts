import { isMint } from './mint.ts'

/** The sort order of the rows. */
export interface Sort {
  readonly by: SortKey
  readonly descending: boolean
}

export type SortKey = 'symbol' | 'price' | 'change'

/** The state of the page in its URL. */
export interface PageState {
  /** Undefined when the URL contains no list; empty when it contains an empty one. */
  readonly mints: readonly string[] | undefined
  /** Number of entries in the list that are not mints. */
  readonly malformed: number
  /** The token whose details are open. */
  readonly token: string | undefined
  readonly sort: Sort | undefined
}

// Servers and proxies refuse long request lines, often above 8 KB. The part after # is never sent.
const LONGEST_QUERY = 6_000
const SORT_KEYS: readonly SortKey[] = ['symbol', 'price', 'change']

/** Parses the URL of the page. The list is in the query or, if it is long, in the hash. */
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

/** Builds the URL for a state, from the `?` on. Returns an empty string for the default state. */
export function writePageState(state: Omit<PageState, 'malformed'>): string {
  const list = state.mints === undefined ? undefined : `mints=${state.mints.join(',')}`
  const inHash = list !== undefined && list.length > LONGEST_QUERY
  const query: string[] = []
  if (list !== undefined && !inHash) query.push(list)
  if (state.sort !== undefined) query.push(`sort=${state.sort.descending ? '-' : ''}${state.sort.by}`)
  if (state.token !== undefined) query.push(`token=${state.token}`)
  return (query.length > 0 ? `?${query.join('&')}` : '') + (inHash ? `#${list}` : '')
}

/** Adds the details of a token to the URL of the page. */
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
