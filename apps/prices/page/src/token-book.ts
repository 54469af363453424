import { shortAddress } from '@weir/ui'
import { DEFAULT_TOKENS, type Token } from './default-tokens.ts'
import { loadToken } from './token-service.ts'

const KEY = 'weir.prices.tokens'
const STORED_LIMIT = 2_000
const CONCURRENCY = 4
// Pause after a failed load, in milliseconds.
const RETRY_AFTER = 15_000

/** Token names: built in, stored from earlier searches, or loaded when a row needs one. */
export class TokenBook {
  readonly #tokens = new Map<string, Token>(DEFAULT_TOKENS.map((token) => [token.mint, token]))
  readonly #requested = new Set<string>()
  readonly #queue: string[] = []
  readonly #listeners = new Set<() => void>()
  #running = 0
  #saveTimer: ReturnType<typeof setTimeout> | undefined

  constructor() {
    for (const token of storedTokens()) this.#tokens.set(token.mint, token)
  }

  get(mint: string): Token | undefined {
    return this.#tokens.get(mint)
  }

  /** The symbol of a token, or its short address. */
  label(mint: string): string {
    return this.#tokens.get(mint)?.symbol ?? shortAddress(mint)
  }

  subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  /** Stores a token found by a search. */
  add({ mint, symbol, name, verified }: Token): void {
    this.#tokens.set(mint, { mint, symbol, name, verified })
    this.#notify()
  }

  /** Loads the name of a visible token, with limited concurrency. */
  want(mint: string): void {
    if (this.#tokens.has(mint) || this.#requested.has(mint)) return
    this.#requested.add(mint)
    this.#queue.push(mint)
    this.#next()
  }

  #next(): void {
    while (this.#running < CONCURRENCY) {
      // The newest request first, since that token is visible now.
      const mint = this.#queue.pop()
      if (mint === undefined) return
      this.#running += 1
      loadToken(mint)
        .then((token) => {
          if (token !== undefined) this.add({ ...token, mint })
        })
        .catch(() => {
          // The row shows the address until a retry succeeds.
          setTimeout(() => {
            this.#requested.delete(mint)
            this.want(mint)
          }, RETRY_AFTER)
        })
        .finally(() => {
          this.#running -= 1
          this.#next()
        })
    }
  }

  #notify(): void {
    for (const changed of this.#listeners) changed()
    this.#saveTimer ??= setTimeout(() => this.#save(), 1_000)
  }

  #save(): void {
    this.#saveTimer = undefined
    try {
      localStorage.setItem(KEY, JSON.stringify([...this.#tokens.values()].slice(-STORED_LIMIT)))
    } catch {
      // Storage is blocked or full. The next visit loads the names again.
    }
  }
}

function storedTokens(): readonly Token[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    return Array.isArray(list) ? list.filter(isToken) : []
  } catch {
    return []
  }
}

function isToken(value: unknown): value is Token {
  if (typeof value !== 'object' || value === null) return false
  if (!('mint' in value && 'symbol' in value && 'name' in value && 'verified' in value)) return false
  return [value.mint, value.symbol, value.name].every((text) => typeof text === 'string')
}
