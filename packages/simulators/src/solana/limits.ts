import { SlidingWindow } from '../window.ts'

export interface RpcLimits {
  /** Calls in any 1 s, each item of a batch counting as one; 100 unless told. */
  readonly calls?: number
  /** Calls of a method in any 1 s, beside the total; none unless told. */
  readonly methods?: Readonly<Record<string, number>>
}

/** How a request stands just after its arrival. */
export interface Standing {
  readonly granted: boolean
  /** Milliseconds until a place comes free. */
  readonly freeIn: number
  /** What the public nodes say of it in headers. `remaining` is below zero when refused calls are in the second. */
  readonly headers: Readonly<Record<string, string>>
}

/** One limit. Only granted calls hold a place; refused ones are shown in what remains all the same. */
class Meter {
  readonly limit: number
  readonly granted = new SlidingWindow(1_000)
  readonly arrived = new SlidingWindow(1_000)

  constructor(limit: number) {
    this.limit = limit
  }
}

/** The limits of an account: a request has places for all of its calls, or is refused whole. */
export class Limits {
  readonly #total: Meter
  readonly #methods: ReadonlyMap<string, Meter>

  constructor({ calls = 100, methods = {} }: RpcLimits) {
    this.#total = new Meter(calls)
    this.#methods = new Map(Object.entries(methods).map(([name, limit]) => [name, new Meter(limit)]))
  }

  /** Counts a request of these calls; one that is `barred` gets no place, because of one method where it is named. */
  arrive(methods: readonly string[], at: number, barred: boolean, only?: string): Standing {
    const needs = new Map<Meter, number>([[this.#total, methods.length]])
    for (const name of methods) {
      const meter = this.#methods.get(name)
      if (meter !== undefined) needs.set(meter, (needs.get(meter) ?? 0) + 1)
    }
    const short = [...needs].filter(([meter, count]) => meter.granted.count(at) + count > meter.limit)
    const granted = !barred && short.length === 0
    for (const [meter, count] of needs) {
      for (let call = 0; call < count; call++) {
        meter.arrived.add(at)
        if (granted) meter.granted.add(at)
      }
    }
    const [method] = [...short.map(([meter]) => meter), ...needs.keys()].filter((meter) => meter !== this.#total)
    return {
      granted,
      freeIn: Math.max(0, ...short.map(([meter]) => meter.granted.untilOldestLeaves(at))),
      headers: {
        ...say('rps', this.#total, at),
        ...(method !== undefined && say('method', method, at)),
        ...(only !== undefined && full(this.#methods.get(only)?.limit ?? this.#total.limit)),
      },
    }
  }
}

/** What is said of a method whose places others have, whether it has a limit here or not. */
function full(limit: number): Record<string, string> {
  return { 'x-ratelimit-method-limit': String(limit), 'x-ratelimit-method-remaining': '-1' }
}

function say(name: string, meter: Meter, at: number): Record<string, string> {
  return {
    [`x-ratelimit-${name}-limit`]: String(meter.limit),
    [`x-ratelimit-${name}-remaining`]: String(meter.limit - meter.arrived.count(at)),
  }
}
