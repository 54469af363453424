import type { ClientOptions } from '@weir/client'

/** What the server says of itself, at `/api/config`. */
export interface Config {
  /** Where values are asked for; empty: where the page comes from. */
  readonly apiBaseUrl: string
  /** Where WebSockets go; empty: there as well. */
  readonly wsUrl: string
  readonly tokenMint: string
  readonly pot: string
  /** What a ticket costs, in tokens. */
  readonly ticket: number
}

/** @throws Error when there is no answer, or another than was expected */
export async function loadConfig(): Promise<Config> {
  const answer = await fetch('/api/config').catch(() => {
    throw new Error('The server could not be reached.')
  })
  const said: Partial<Config> = answer.ok ? await answer.json() : {}
  const { apiBaseUrl, wsUrl, tokenMint, pot, ticket } = said
  const texts = [apiBaseUrl, wsUrl, tokenMint, pot]
  if (!texts.every((text) => typeof text === 'string') || typeof ticket !== 'number')
    throw new Error(`The server answered ${answer.status}, and not what its lottery is.`)
  return said as Config
}

/**
 * How the server is reached. WebSockets go first: each of the browser's tabs may have one, where streams share six connections.
 *
 * @param origin where the page comes from
 */
export function reaching({ apiBaseUrl, wsUrl }: Config, origin: string): ClientOptions {
  const url = base(apiBaseUrl) || origin
  return { url, socketUrl: base(wsUrl) || url, transports: ['ws', 'sse', 'poll'] }
}

/** What stands before a path: people write addresses with the stroke at their end, and that of a socket with its path. */
function base(address: string): string {
  return address.replace(/\/(ws)?$/, '')
}
