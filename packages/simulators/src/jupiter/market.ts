import { fraction, hash } from '../random.ts'
import { type Listing, listings } from './listing.ts'
import { walk } from './walk.ts'

const DAY = 86_400_000
/** One Solana slot, in milliseconds. */
const SLOT = 400
const FIRST_BLOCK = 348_004_023

/** A price at an instant; it stands until the token's next step. */
export interface Price {
  /** US dollars. */
  readonly usd: number
  /** The block in which it became this; null for the few tokens of which Jupiter does not say it. */
  readonly blockId: number | null
  /** Percent; null likewise. */
  readonly change24h: number | null
}

interface Token extends Listing {
  readonly seed: number
  /** Milliseconds between changes, and by how many of them its first one is late. */
  readonly period: number
  readonly lateness: number
  /** Share of the price that one step may move. */
  readonly step: number
}

/** What tokens cost: a pure function of the seed, the token and the time since the market opened. */
export class Market {
  readonly tokens: readonly Listing[]
  readonly #byMint: ReadonlyMap<string, Token>
  /** The last price of each token with the step it belongs to: within a step all calls get the same object. */
  readonly #last = new Map<string, { readonly step: number; readonly price: Price }>()

  constructor(seed: number, size?: number) {
    const tokens = listings(size).map((listing, index) => toToken(listing, seed, index))
    this.tokens = tokens
    this.#byMint = new Map(tokens.map((token) => [token.mint, token]))
  }

  find(mint: string): Listing | undefined {
    return this.#byMint.get(mint)
  }

  /** The price of a token `at` milliseconds after the market opened; undefined when unknown or not priced. */
  price(mint: string, at: number): Price | undefined {
    const token = this.#byMint.get(mint)
    if (token?.price === undefined) return undefined
    const step = Math.floor((at + token.lateness) / token.period)
    const last = this.#last.get(mint)
    if (last?.step === step) return last.price
    const usd = usdAt(token, token.price, step)
    const dayAgo = usdAt(token, token.price, step - Math.round(DAY / token.period))
    const price = {
      usd,
      blockId: token.seed % 29 === 0 ? null : this.block(Math.max(0, step * token.period - token.lateness)),
      change24h: token.seed % 31 === 0 ? null : Number(((usd / dayAgo - 1) * 100).toPrecision(6)),
    }
    this.#last.set(mint, { step, price })
    return price
  }

  /** The block of Solana `at` milliseconds after the market opened. */
  block(at: number): number {
    return FIRST_BLOCK + Math.floor(at / SLOT)
  }
}

function usdAt(token: Token, around: number, step: number): number {
  return Number((around * Math.exp(token.step * walk(token.seed, step))).toPrecision(10))
}

/** Most change about every second, one in eight rarely; stables rarely and by next to nothing. */
function toToken(listing: Listing, seed: number, index: number): Token {
  const own = hash(seed, index)
  const rare = listing.kind === 'stable' || (listing.kind === 'coin' && index >= 20 && own % 8 === 0)
  const period = rare ? 10_000 + fraction(own, 1) * 50_000 : 600 + fraction(own, 1) * 900
  return {
    ...listing,
    seed: own,
    period: Math.round(period),
    lateness: Math.round(fraction(own, 2) * period),
    step: listing.kind === 'stable' ? 0.000_002 : 0.000_2 + fraction(own, 3) * 0.000_6,
  }
}
