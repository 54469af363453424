import { useFeed } from '@weir/client/react'
import { useEffect, useRef, useState } from 'react'
import { usePage } from './page-context.ts'
import { isRound, newWinner, ROUND, type Round, type Winner } from './round.ts'

/** The round, with its freshness. */
export interface RoundNews {
  /** Undefined until the first update. */
  readonly round: Round | undefined
  /** Time of the round, in milliseconds since 1970 by the server's clock; 0 before the first update. */
  readonly asOf: number
  /** Whether the round is unconfirmed or the connection is lost. */
  readonly stale: boolean
  /** Why the server fails to load it. */
  readonly problem: string | undefined
}

export function useRound(): RoundNews {
  const { value, stale, problem } = useFeed(ROUND)
  const round = isRound(value) ? value : undefined
  return { round, asOf: round?.lastUpdate ?? 0, stale, problem: problem?.detail }
}

/** How long a winner is celebrated, in milliseconds. */
const CELEBRATED = 30_000

/** Returns the latest winner for half a minute. */
export function useNewWinner(round: Round | undefined): Winner | undefined {
  const { clock } = usePage()
  const known = useRef<readonly Winner[]>(undefined)
  const [winner, setWinner] = useState<Winner>()
  const winners = round?.winners
  useEffect(() => {
    if (winners === undefined) return
    const won = newWinner(known.current, winners, clock.now())
    known.current = winners
    if (won !== undefined) setWinner(won)
  }, [winners, clock])
  useEffect(() => {
    if (winner === undefined) return
    const timer = setTimeout(() => setWinner(undefined), CELEBRATED)
    return () => clearTimeout(timer)
  }, [winner])
  return winner
}
