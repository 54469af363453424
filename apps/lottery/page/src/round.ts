/** The state of the round, from `/api/lottery/state`. */
export interface Round {
  /** US dollars; null if the token has no price. */
  readonly tokenPrice: number | null
  /** Whole tokens. */
  readonly jackpot: number
  readonly participants: number
  readonly tickets: number
  /** Newest first. */
  readonly winners: readonly Winner[]
  /** Time of the oldest part, in milliseconds since 1970 by the server's clock. */
  readonly lastUpdate: number
}

export interface Winner {
  readonly winner: string
  /** Whole tokens. */
  readonly amount: number
  readonly signature: string
  /** Milliseconds since 1970. */
  readonly at: number
}

export const ROUND = '/api/lottery/state'

/** Checks that a value is a round, since a stored value may come from an older server. */
export function isRound(value: unknown): value is Round {
  if (typeof value !== 'object' || value === null) return false
  const { jackpot, participants, tickets, winners, lastUpdate } = value as Partial<Round>
  const numbers = [jackpot, participants, tickets, lastUpdate]
  return numbers.every((number) => typeof number === 'number') && Array.isArray(winners)
}

/** The latest winner, unless it is already known or its draw was long ago. */
export function newWinner(
  known: readonly Winner[] | undefined,
  winners: readonly Winner[],
  now: number,
): Winner | undefined {
  const [last] = winners
  if (known === undefined || last === undefined || last.signature === known[0]?.signature) return undefined
  return now - last.at < NEWS ? last : undefined
}

/** How long a draw counts as recent, in milliseconds. A draw that happened while the page slept does not. */
const NEWS = 120_000
