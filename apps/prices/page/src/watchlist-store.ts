import { DEFAULT_MINTS } from './default-tokens.ts'
import { isMint } from './mint.ts'
import { type PageState, readPageState, type Sort, type SortKey, writePageState } from './page-state.ts'

/** The list, its order and the open token, all of which a shared link contains. */
export interface Watchlist {
  readonly mints: readonly string[]
  readonly malformed: number
  readonly token: string | undefined
  readonly sort: Sort | undefined
  /** The last change of the list, to announce and to undo it. */
  readonly edit: Edit | undefined
}

export interface Edit {
  readonly kind: 'added' | 'removed'
  readonly mint: string
  readonly before: readonly string[]
}

const KEY = 'weir.prices.watchlist'

/**
 * The watchlist, stored in the URL first and in the browser's storage second. Opening a shared list does not overwrite the user's own
 * list, but editing it does.
 */
export class WatchlistStore {
  readonly #listeners = new Set<() => void>()
  #state: Watchlist

  constructor() {
    const fromUrl = readPageState(location)
    this.#state = { ...fromUrl, mints: fromUrl.mints ?? storedMints() ?? DEFAULT_MINTS, edit: undefined }
    // Add a list from storage to the URL, so that the URL can be shared.
    if (fromUrl.mints === undefined) history.replaceState(null, '', this.address(this.#state))
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

  /** Adds a token at the top. Returns false when it is already on the list. */
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

  /** Undoes the last change. */
  undo(): void {
    const { edit } = this.#state
    if (edit !== undefined) this.#edit({ mints: edit.before, edit: undefined })
  }

  restoreDefault(): void {
    this.#edit({ mints: DEFAULT_MINTS, malformed: 0, edit: undefined })
  }

  /** Sorts numbers descending first and names ascending first. A third click restores the order of the list. */
  sortBy(by: SortKey): void {
    const { sort } = this.#state
    const first = by !== 'symbol'
    const next =
      sort?.by !== by ? { by, descending: first } : sort.descending === first ? { by, descending: !first } : undefined
    this.#become({ ...this.#state, sort: next })
    history.replaceState(null, '', this.address(this.#state))
  }

  /** Opens or closes the details of a token, as a history entry. */
  open(token: string | undefined): void {
    if (token === this.#state.token) return
    this.#become({ ...this.#state, token })
    history.pushState(null, '', this.address(this.#state))
  }

  /** The URL of this state; the plain path for the default list. */
  address({ token, sort }: Pick<PageState, 'token' | 'sort'>): string {
    const { mints } = this.#state
    // The plain path shows the stored list, so it stands for the default list only while no other is stored.
    const plain = isDefault(mints) && isDefault(storedMints() ?? DEFAULT_MINTS)
    return location.pathname + writePageState({ token, sort, mints: plain ? undefined : mints })
  }

  /** The link to share. It always contains the list, since the plain path shows each reader's own list. */
  link(): string {
    const { token, sort, mints } = this.#state
    return location.origin + location.pathname + writePageState({ token, sort, mints })
  }

  #edit(change: Partial<Watchlist>): void {
    const state = { ...this.#state, ...change }
    try {
      localStorage.setItem(KEY, state.mints.join(','))
    } catch {
      // Storage is blocked or full. The URL still contains the list.
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

function storedMints(): readonly string[] | undefined {
  try {
    const list = localStorage.getItem(KEY)
    return list === null ? undefined : list.split(',').filter(isMint)
  } catch {
    return undefined
  }
}
