import type { Token } from './default-tokens.ts'

/** A search result. */
export interface FoundToken extends Token {
  /** US dollars. */
  readonly usdPrice: number | null
  /** US dollars. */
  readonly liquidity: number | null
}

/** An error response of the server. The message contains its title and detail. */
export class ServiceError extends Error {
  /** HTTP status; 0 without a response. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Finds tokens by symbol, name or mint, best match first. @throws ServiceError */
export async function searchTokens(query: string, signal: AbortSignal): Promise<readonly FoundToken[]> {
  const found = await getJson(`/tokens/search?query=${encodeURIComponent(query)}`, signal)
  return Array.isArray(found) ? found.flatMap((each: unknown) => readToken(each) ?? []) : []
}

/** Loads a token by its mint; undefined when it is unknown. @throws ServiceError */
export async function loadToken(mint: string): Promise<Token | undefined> {
  try {
    return readToken(await getJson(`/tokens/${mint}`))
  } catch (error) {
    if (error instanceof ServiceError && error.status === 404) return undefined
    throw error
  }
}

async function getJson(url: string, signal?: AbortSignal): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(url, { signal: signal ?? null, headers: { accept: 'application/json' } })
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new ServiceError(0, 'The server is unreachable.')
  }
  const body: unknown = await response.json().catch(() => undefined)
  if (!response.ok)
    throw new ServiceError(response.status, problemText(body) ?? `The server answered ${response.status}.`)
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
