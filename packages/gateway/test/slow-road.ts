import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface RoadSettings {
  /** Arrivals that are let in within any window; more are refused. */
  readonly limit: number
  readonly window: number
  /** Milliseconds that a call travels, plus or minus. */
  readonly travel: { readonly mean: number; readonly spread: number }
  /** Every so many milliseconds the road is shut for some, and what is under way arrives at once. */
  readonly stall: { readonly every: number; readonly for: number }
}

/** An upstream at the end of a road of changing length, that counts what arrives when. */
export interface SlowRoad extends AsyncDisposable {
  readonly url: string
  /** When each call arrived, milliseconds since the road was opened. */
  readonly arrivals: readonly number[]
  readonly refusals: readonly number[]
}

export async function slowRoad({ limit, window, travel, stall }: RoadSettings): Promise<SlowRoad> {
  const opened = performance.now()
  const arrivals: number[] = []
  const refusals: number[] = []
  const way = () => travel.mean + travel.spread * (Math.random() * 2 - 1)
  const server = createServer((_, response) => {
    const at = performance.now() - opened + way()
    const left = stall.every - (at % stall.every)
    const delay = at + (left <= stall.for ? left : 0) - (performance.now() - opened)
    setTimeout(() => {
      const now = performance.now() - opened
      arrivals.push(now)
      const recent = arrivals.length - arrivals.findLastIndex((other) => other <= now - window) - 1
      if (recent > limit) refusals.push(now)
      const headers = { 'x-ratelimit-remaining': String(Math.max(0, limit - recent)) }
      setTimeout(() => response.writeHead(recent > limit ? 429 : 200, headers).end('{}'), way())
    }, delay)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    refusals,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The largest number of moments in any window. */
export function mostWithin(moments: readonly number[], window: number): number {
  let most = 0
  let first = 0
  for (const [index, at] of moments.entries()) {
    while ((moments[first] ?? at) <= at - window) first += 1
    most = Math.max(most, index - first + 1)
  }
  return most
}
