import { DEFAULT_MINTS } from './default-tokens.ts'
import { isMint } from './mint.ts'
import { type PageState, readPageState, type Sort, type SortKey, writePageState } from './page-state.ts'

/** The list, its order and the open token: everything one would share by sending the address. */
export interface Watchlist {
  readonly mints: readonly string[]
  readonly malformed: number
  readonly token: string | undefined
  readonly sort: Sort | undefined
  /** The last removal or addition, for telling it and for taking it back. */
  readonly edit: Edit | undefined
}

export interface Edit {
  readonly kind: 'added' | 'removed'
  readonly mint: string
  readonly before: readonly string[]
}

const KEY = 'weir.prices.watchlist'

/**
 * The watchlist, kept in the address first and in the browser's storage second. Opening a shared list does not overwrite
 * one's own; editing it does.
 */
export class WatchlistStore {
  readonly #listeners = new Set<() => void>()
  #state: Watchlist

  constructor() {
    const said = readPageState(location)
    this.#state = { ...said, mints: said.mints ?? remembered() ?? DEFAULT_MINTS, edit: undefined }
    // A list that only storage knew goes into the address too, which can then be shared as it stands.
    if (said.mints === undefined) history.replaceState(null, '', this.address(this.#state))
    addEventListener('popstate', () => {
      const now = readPageState(location)
      this.#become({ ...this.#state, token: now.token, sort: now.sort, mints: now.mints ?? this.#state.mints })
    })
  }

  get = (): Watchlist => this.#state

  subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  /** Puts a token at the top, where one sees it. False when it is there already. */
  add(mint: string): boolean {
    const before = this.#state.mints
    if (before.includes(mint)) return false
    this.#edit({ mints: [mint, ...before], edit: { kind: 'added', mint, before } })
    return true
  }

  remove(mint: string): void {
    const before = this.#state.mints
    if (!before.includes(mint)) return
    const mints = before.filter((each) => each !== mint)
    const token = this.#state.token === mint ? undefined : this.#state.token
    this.#edit({ mints, token, edit: { kind: 'removed', mint, before } })
  }

  /** Takes the last edit back. */
  undo(): void {
    const { edit } = this.#state
    if (edit !== undefined) this.#edit({ mints: edit.before, edit: undefined })
  }

  restoreDefault(): void {
    this.#edit({ mints: DEFAULT_MINTS, malformed: 0, edit: undefined })
  }

  /** Descending first for numbers, ascending first for names; a third press gives the list's own order back. */
  sortBy(by: SortKey): void {
    const { sort } = this.#state
    const first = by !== 'symbol'
    const next =
      sort?.by !== by ? { by, descending: first } : sort.descending === first ? { by, descending: !first } : undefined
    this.#become({ ...this.#state, sort: next })
    history.replaceState(null, '', this.address(this.#state))
  }

  /** Opens a token's detail, or closes it; the browser's back button undoes either. */
  open(token: string | undefined): void {
    if (token === this.#state.token) return
    this.#become({ ...this.#state, token })
    history.pushState(null, '', this.address(this.#state))
  }

  /** The address of this state; the plain path while it shows nothing but the default list. */
  address({ token, sort }: Pick<PageState, 'token' | 'sort'>): string {
    const { mints } = this.#state
    // The plain path shows what storage has; it says the default list only while storage has no other.
    const plain = isDefault(mints) && isDefault(remembered() ?? DEFAULT_MINTS)
    return location.pathname + writePageState({ token, sort, mints: plain ? undefined : mints })
  }

  /** The address to send to others: it always names the list, since the plain path shows each reader a list of their own. */
  link(): string {
    const { token, sort, mints } = this.#state
    return location.origin + location.pathname + writePageState({ token, sort, mints })
  }

  #edit(change: Partial<Watchlist>): void {
    const state = { ...this.#state, ...change }
    try {
      localStorage.setItem(KEY, state.mints.join(','))
    } catch {
      // Storage is blocked or full: the address still has the list.
    }
    this.#become(state)
    history.replaceState(null, '', this.address(state))
  }

  #become(state: Watchlist): void {
    this.#state = state
    for (const changed of this.#listeners) changed()
  }
}

function isDefault(mints: readonly string[]): boolean {
  return mints.length === DEFAULT_MINTS.length && mints.every((mint, index) => mint === DEFAULT_MINTS[index])
}

function remembered(): readonly string[] | undefined {
  try {
    const list = localStorage.getItem(KEY)
    return list === null ? undefined : list.split(',').filter(isMint)
  } catch {
    return undefined
  }
}
