import type { Token } from './default-tokens.ts'

/** A token as the search finds it. */
export interface FoundToken extends Token {
  /** US dollars. */
  readonly usdPrice: number | null
  /** US dollars. */
  readonly liquidity: number | null
}

/** The server's answer was an error; the message is its title and detail. */
export class ServiceError extends Error {
  /** HTTP status, or 0 when there was no answer at all. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Tokens whose symbol, name or mint matches, best first. Throws a ServiceError. */
export async function searchTokens(query: string, signal: AbortSignal): Promise<readonly FoundToken[]> {
  const found = await getJson(`/tokens/search?query=${encodeURIComponent(query)}`, signal)
  return Array.isArray(found) ? found.flatMap((each: unknown) => readToken(each) ?? []) : []
}

/** One token by its mint; undefined when nobody knows it. Throws a ServiceError. */
export async function loadToken(mint: string): Promise<Token | undefined> {
  try {
    return readToken(await getJson(`/tokens/${mint}`))
  } catch (error) {
    if (error instanceof ServiceError && error.status === 404) return undefined
    throw error
  }
}

async function getJson(url: string, signal?: AbortSignal): Promise<unknown> {
  let answer: Response
  try {
    answer = await fetch(url, { signal: signal ?? null, headers: { accept: 'application/json' } })
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new ServiceError(0, 'The server could not be reached.')
  }
  const body: unknown = await answer.json().catch(() => undefined)
  if (!answer.ok) throw new ServiceError(answer.status, problemText(body) ?? `The server answered ${answer.status}.`)
  return body
}

function problemText(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || !('title' in body)) return undefined
  const detail = 'detail' in body && typeof body.detail === 'string' ? body.detail : ''
  const title = String(body.title).replace(/[.:]?$/, '')
  return detail === '' ? `${title}.` : `${title}: ${detail}`
}

function readToken(value: unknown): FoundToken | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (!('mint' in value && 'symbol' in value && 'name' in value)) return undefined
  const { mint, symbol, name } = value
  if (typeof mint !== 'string' || typeof symbol !== 'string' || typeof name !== 'string') return undefined
  return {
    mint,
    symbol,
    name,
    verified: 'verified' in value && value.verified === true,
    usdPrice: 'usdPrice' in value && typeof value.usdPrice === 'number' ? value.usdPrice : null,
    liquidity: 'liquidity' in value && typeof value.liquidity === 'number' ? value.liquidity : null,
  }
}
