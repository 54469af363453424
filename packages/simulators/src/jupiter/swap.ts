import { looksLikeAddress, toBase58 } from '../base58.ts'
import { hash } from '../random.ts'
import type { Market } from './market.ts'
import { badRequest, type Reply, reply } from './reply.ts'

/** Orders that can still be executed; older ones are forgotten. */
const MOST_ORDERS = 10_000

/** The system program owns no tokens: as a taker it stands for a wallet that cannot pay. */
const PENNILESS = '11111111111111111111111111111111'

/** Why there is no quote: the code, and the words that go with it. */
const NO_QUOTE = {
  COULD_NOT_FIND_ANY_ROUTE: 'Could not find any route',
  NO_ROUTES_FOUND: 'No routes found',
  TOKEN_NOT_TRADABLE: 'The token is not tradable',
  MARKET_NOT_FOUND: 'Market not found',
  CIRCULAR_ARBITRAGE_IS_DISABLED: 'Circular arbitrage is disabled',
} as const

interface Wish {
  readonly inputMint: string
  readonly outputMint: string
  readonly amount: bigint
  readonly slippageBps: number
}

interface Quote {
  readonly fields: Readonly<Record<string, unknown>>
  /** Share of the price that the size of the trade costs, 0 to 1. */
  readonly impact: number
}

/** The swap endpoints, with the orders that await execution. */
export class Swaps {
  readonly #market: Market
  /** Request id to the signature it got, undefined until it is executed. */
  #orders = new Map<string, string | undefined>()
  #made = 0

  constructor(market: Market) {
    this.#market = market
  }

  reset(): void {
    this.#orders = new Map()
    this.#made = 0
  }

  /** `GET /swap/v1/quote`. */
  quote(query: URLSearchParams, at: number): Reply {
    const wish = readWish(query)
    if (typeof wish === 'string') return badRequest(wish)
    const quote = findQuote(this.#market, wish, at)
    if (typeof quote === 'string') return reply(400, { error: NO_QUOTE[quote], errorCode: quote })
    return reply(200, {
      ...quote.fields,
      priceImpactPct: quote.impact === 0 ? '0' : quote.impact.toFixed(12),
      routePlan: route(wish, quote),
      contextSlot: this.#market.block(at),
      timeTaken: 0.015257836,
    })
  }

  /** `GET /swap/v2/order`: a quote, and with `taker` a transaction to sign. */
  order(query: URLSearchParams, at: number): Reply {
    const requestId = this.#nextRequestId()
    const taker = query.get('taker')
    const wish = readWish(query)
    const quote = typeof wish === 'string' ? undefined : findQuote(this.#market, wish, at)
    if (typeof wish === 'string' || quote === undefined || typeof quote === 'string') {
      return reply(400, { requestId, error: 'Failed to get quotes' })
    }
    if (taker !== null && !looksLikeAddress(taker)) return reply(400, { requestId, error: `Invalid taker: ${taker}` })
    const buildable = taker !== null && taker !== PENNILESS
    if (buildable) this.#remember(requestId)
    return reply(200, {
      mode: 'manual',
      ...quote.fields,
      priceImpactPct: quote.impact === 0 ? '0' : quote.impact.toFixed(12),
      priceImpact: quote.impact * 100,
      routePlan: route(wish, quote),
      router: 'metis',
      transaction: taker === null ? null : buildable ? Buffer.from(`${requestId}${taker}`).toString('base64') : '',
      ...(taker === PENNILESS && { errorCode: 1, errorMessage: 'Insufficient funds' }),
      requestId,
      feeBps: 0,
      contextSlot: this.#market.block(at),
      lastValidBlockHeight: String(this.#market.block(at) + 150),
      totalTime: 15,
    })
  }

  /** `POST /swap/v2/execute`: what was executed before gives the signature it got then. */
  execute(body: string): Reply {
    const { signedTransaction, requestId } = fieldsOf(body)
    if (typeof signedTransaction !== 'string' || typeof requestId !== 'string') {
      return badRequest('expected a JSON object with the texts signedTransaction and requestId')
    }
    if (!this.#orders.has(requestId)) return failed(-1, 'Missing cached order')
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(signedTransaction)) return failed(-2, 'Invalid signed transaction')
    const signature = this.#orders.get(requestId) ?? signatureOf(requestId)
    this.#orders.set(requestId, signature)
    return reply(200, { status: 'Success', signature, code: 0 })
  }

  #nextRequestId(): string {
    this.#made += 1
    const hex = [1, 2, 3, 4].map((part) => hash(this.#made, part).toString(16).padStart(8, '0')).join('')
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  }

  #remember(requestId: string): void {
    this.#orders.set(requestId, undefined)
    const [oldest] = this.#orders.keys()
    if (this.#orders.size > MOST_ORDERS && oldest !== undefined) this.#orders.delete(oldest)
  }
}

/** What is to be swapped; a text instead says what is wrong with it. */
function readWish(query: URLSearchParams): Wish | string {
  const inputMint = query.get('inputMint') ?? ''
  const outputMint = query.get('outputMint') ?? ''
  const amount = query.get('amount') ?? ''
  const slippage = query.get('slippageBps') ?? '50'
  if (!looksLikeAddress(inputMint)) return `inputMint: expected a mint, got ${JSON.stringify(inputMint)}`
  if (!looksLikeAddress(outputMint)) return `outputMint: expected a mint, got ${JSON.stringify(outputMint)}`
  if (!/^\d{1,20}$/.test(amount)) return `amount: expected a whole number, got ${JSON.stringify(amount)}`
  if (!/^\d{1,5}$/.test(slippage) || Number(slippage) > 10_000) {
    return `slippageBps: expected 0 to 10000, got ${JSON.stringify(slippage)}`
  }
  return { inputMint, outputMint, amount: BigInt(amount), slippageBps: Number(slippage) }
}

/** A quote for exactly that amount in; a code instead says why there is none. */
function findQuote(market: Market, wish: Wish, at: number): Quote | keyof typeof NO_QUOTE {
  if (wish.inputMint === wish.outputMint) return 'CIRCULAR_ARBITRAGE_IS_DISABLED'
  const input = market.find(wish.inputMint)
  const output = market.find(wish.outputMint)
  if (input === undefined || output === undefined || input.flagged || output.flagged) return 'TOKEN_NOT_TRADABLE'
  if (input.liquidity === undefined || output.liquidity === undefined) return 'MARKET_NOT_FOUND'
  const from = market.price(wish.inputMint, at)
  const to = market.price(wish.outputMint, at)
  if (from === undefined || to === undefined) return 'COULD_NOT_FIND_ANY_ROUTE'

  const dollars = (Number(wish.amount) / 10 ** input.decimals) * from.usd
  const depth = Math.min(input.liquidity, output.liquidity)
  // Below a millionth it is rounding, which Jupiter says as 0.
  const cost = dollars / (dollars + depth)
  const impact = cost < 1e-6 ? 0 : cost
  const out = BigInt(Math.floor((dollars / to.usd) * (1 - impact) * 10 ** output.decimals))
  if (out === 0n) return 'NO_ROUTES_FOUND'
  return {
    impact,
    fields: {
      inputMint: wish.inputMint,
      inAmount: String(wish.amount),
      outputMint: wish.outputMint,
      outAmount: String(out),
      otherAmountThreshold: String((out * BigInt(10_000 - wish.slippageBps)) / 10_000n),
      swapMode: 'ExactIn',
      slippageBps: wish.slippageBps,
      platformFee: null,
    },
  }
}

/** One pool, all of it. */
function route(wish: Wish, { fields }: Quote) {
  const { inputMint, outputMint, inAmount, outAmount } = fields
  const ammKey = address(`${wish.inputMint}${wish.outputMint}`, 32)
  return [{ swapInfo: { ammKey, label: 'Meteora DLMM', inputMint, outputMint, inAmount, outAmount }, percent: 100 }]
}

function failed(code: number, error: string): Reply {
  return reply(200, { status: 'Failed', signature: '', error, code })
}

function signatureOf(requestId: string): string {
  return address(requestId, 64)
}

/** So many bytes that follow from a text, as base58. */
function address(text: string, length: number): string {
  const seed = hash(...Buffer.from(text))
  return toBase58(Uint8Array.from({ length }, (_, place) => (hash(seed, place) % 255) + 1))
}

function fieldsOf(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
