import type { Clock } from './clock.ts'

/** A clock that stands until it is moved. */
export class ManualClock implements Clock {
  now = 0

  monotonic(): number {
    return this.now
  }

  wall(): number {
    return 1_800_000_000_000 + this.now
  }
}

export interface Asked {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** One request, with a Jupiter key when one is given. */
export async function ask(url: string, key?: string, init: RequestInit = {}): Promise<Asked> {
  const response = await fetch(url, { ...init, headers: key === undefined ? {} : { 'x-api-key': key } })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

export const SOL = 'So11111111111111111111111111111111111111112'
export const USDC = 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v'
export const JUP = 'JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN'
