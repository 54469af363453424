import type { ClientOptions } from '@weir/client'

/** The configuration from `/api/config`. */
export interface Config {
  /** Base URL of the API; empty for the origin of the page. */
  readonly apiBaseUrl: string
  /** Base URL of WebSockets; empty for that of the API. */
  readonly wsUrl: string
  readonly tokenMint: string
  readonly pot: string
  /** Price of a ticket, in tokens. */
  readonly ticket: number
}

/** @throws Error when the server is unreachable or responds with anything else */
export async function loadConfig(): Promise<Config> {
  const answer = await fetch('/api/config').catch(() => {
    throw new Error('The server is unreachable.')
  })
  const config: Partial<Config> = answer.ok ? await answer.json() : {}
  const { apiBaseUrl, wsUrl, tokenMint, pot, ticket } = config
  const texts = [apiBaseUrl, wsUrl, tokenMint, pot]
  if (!texts.every((text) => typeof text === 'string') || typeof ticket !== 'number')
    throw new Error(`The server responded with ${answer.status} instead of the configuration of the lottery.`)
  return config as Config
}

/**
 * Options of the client. WebSockets come first, because each tab may open one, while streams share six connections.
 *
 * @param origin the origin of the page
 */
export function reaching({ apiBaseUrl, wsUrl }: Config, origin: string): ClientOptions {
  const url = base(apiBaseUrl) || origin
  return { url, socketUrl: base(wsUrl) || url, transports: ['ws', 'sse', 'poll'] }
}

/** Normalizes a base URL: removes a trailing slash, and the path of a socket URL. */
function base(address: string): string {
  return address.replace(/\/(ws)?$/, '')
}
