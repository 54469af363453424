import { sequence } from './random.ts'

/** The way from the client to the point where the upstream counts. */
export interface TravelOptions {
  /** Milliseconds each call travels: mean, plus or minus up to spread. Calls may overtake one another. */
  readonly travel?: { readonly mean: number; readonly spread: number }
  readonly stalls?: readonly Stall[]
}

/** Every so many milliseconds the way is shut for some: what is under way then arrives all at once when it opens. */
export interface Stall {
  readonly every: number
  readonly for: number
}

/** Milliseconds until a call that was sent at `at` arrives. */
export type Travel = (at: number) => number

export function travelling(options: TravelOptions, seed: number, startedAt: number): Travel {
  const { travel, stalls = [] } = options
  const random = sequence(seed)
  return (at) => {
    let delay = travel === undefined ? 0 : Math.max(0, travel.mean + travel.spread * (random() * 2 - 1))
    for (const stall of stalls) {
      // The stall is the last part of each period: the first calls of a run go through.
      const left = stall.every - ((at + delay - startedAt) % stall.every)
      if (left <= stall.for) delay += left
    }
    return delay
  }
}
