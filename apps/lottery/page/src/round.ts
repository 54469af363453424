/** How the round stands, as `/api/lottery/state` says it. */
export interface Round {
  /** US dollars; null where nobody prices the token. */
  readonly tokenPrice: number | null
  /** Whole tokens. */
  readonly jackpot: number
  readonly participants: number
  readonly tickets: number
  /** The last first. */
  readonly winners: readonly Winner[]
  /** Of when the oldest part of this is, milliseconds since 1970 by the server's clock. */
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

/** Checks that a value is how a round stands: what is kept from an earlier visit may be of an earlier server. */
export function isRound(value: unknown): value is Round {
  if (typeof value !== 'object' || value === null) return false
  const { jackpot, participants, tickets, winners, lastUpdate } = value as Partial<Round>
  const numbers = [jackpot, participants, tickets, lastUpdate]
  return numbers.every((number) => typeof number === 'number') && Array.isArray(winners)
}

/** The winner that is new to who knew these; undefined when nobody is, or it was long ago. */
export function newWinner(
  known: readonly Winner[] | undefined,
  winners: readonly Winner[],
  now: number,
): Winner | undefined {
  const [last] = winners
  if (known === undefined || last === undefined || last.signature === known[0]?.signature) return undefined
  return now - last.at < NEWS ? last : undefined
}

/** How long a draw is news, in milliseconds: one that this page slept through is not. */
const NEWS = 120_000
