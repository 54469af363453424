import { shortAddress } from '@weir/ui'
import { DEFAULT_TOKENS, type Token } from './default-tokens.ts'
import { loadToken } from './token-service.ts'

const KEY = 'weir.prices.tokens'
const MOST_REMEMBERED = 2_000
const AT_ONCE = 4
const TRY_AGAIN = 15_000

/** The names of tokens: built in, remembered from earlier searches, or asked for once a row that needs one is seen. */
export class TokenBook {
  readonly #tokens = new Map<string, Token>(DEFAULT_TOKENS.map((token) => [token.mint, token]))
  readonly #asked = new Set<string>()
  readonly #queue: string[] = []
  readonly #listeners = new Set<() => void>()
  #running = 0
  #saveTimer: ReturnType<typeof setTimeout> | undefined

  constructor() {
    for (const token of remembered()) this.#tokens.set(token.mint, token)
  }

  get(mint: string): Token | undefined {
    return this.#tokens.get(mint)
  }

  /** What to call a token, named or not. */
  label(mint: string): string {
    return this.#tokens.get(mint)?.symbol ?? shortAddress(mint)
  }

  subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  /** Remembers a token met in a search. */
  add({ mint, symbol, name, verified }: Token): void {
    this.#tokens.set(mint, { mint, symbol, name, verified })
    this.#tell()
  }

  /** Sees to it that the name of a token on screen will be known, a few at a time. */
  want(mint: string): void {
    if (this.#tokens.has(mint) || this.#asked.has(mint)) return
    this.#asked.add(mint)
    this.#queue.push(mint)
    this.#next()
  }

  #next(): void {
    while (this.#running < AT_ONCE) {
      // The newest wish first: it is what is on screen now.
      const mint = this.#queue.pop()
      if (mint === undefined) return
      this.#running += 1
      loadToken(mint)
        .then((token) => {
          if (token !== undefined) this.add({ ...token, mint })
        })
        .catch(() => {
          // The row goes on under its address; its name is asked for again later.
          setTimeout(() => {
            this.#asked.delete(mint)
            this.want(mint)
          }, TRY_AGAIN)
        })
        .finally(() => {
          this.#running -= 1
          this.#next()
        })
    }
  }

  #tell(): void {
    for (const changed of this.#listeners) changed()
    this.#saveTimer ??= setTimeout(() => this.#save(), 1_000)
  }

  #save(): void {
    this.#saveTimer = undefined
    try {
      localStorage.setItem(KEY, JSON.stringify([...this.#tokens.values()].slice(-MOST_REMEMBERED)))
    } catch {
      // Storage is blocked or full: names are asked for again next time.
    }
  }
}

function remembered(): readonly Token[] {
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
