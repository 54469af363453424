/** Where a simulator reads the time; tests hand in one they move themselves. */
export interface Clock {
  /** Milliseconds that only go up: windows, faults and the market are counted by it. */
  monotonic(): number
  /** Milliseconds since 1970: what headers and dates say. */
  wall(): number
}

export const systemClock: Clock = { monotonic: () => performance.now(), wall: () => Date.now() }
