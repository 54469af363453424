/** Faults that any upstream can have; each simulator adds the refusals of its own, such as `429`. */
export const WIRE_FAULTS = ['hang', 'slow', 'garbage', 'truncated', 'wrong-type', 'dead'] as const

export type WireFault = (typeof WIRE_FAULTS)[number]

/** A fault on demand. With neither `for` nor `count` it lasts until it is cleared. */
export interface FaultSpec<Status extends string> {
  readonly kind: WireFault | Status
  /** Milliseconds from now. */
  readonly for?: number
  /** So many calls, then it is over. */
  readonly count?: number
  /** Only calls whose path begins with this; `/METHOD` for those of one JSON-RPC method. */
  readonly path?: string
  /** Milliseconds before the answer, beyond the usual; 5,000 for `slow`, else 0. */
  readonly delay?: number
  /** For faults of a chain: how many slots back. */
  readonly slots?: number
}

/** A fault that has met its call. */
export interface Fault<Status extends string> {
  readonly kind: WireFault | Status
  readonly delay: number
  /** When it is over, by the monotonic clock; undefined while nobody has said. */
  readonly until: number | undefined
  readonly slots: number | undefined
  /** How the paths begin that it is limited to; `/` for all. */
  readonly path: string
}

interface Armed<Status extends string> extends Fault<Status> {
  left: number
}

/** The faults now asked for. The one asked for first hits first. */
export class Faults<Status extends string> {
  #armed: Armed<Status>[] = []

  add(spec: FaultSpec<Status>, at: number): void {
    this.#armed.push({
      kind: spec.kind,
      delay: spec.delay ?? (spec.kind === 'slow' ? 5_000 : 0),
      until: spec.for === undefined ? undefined : at + spec.for,
      slots: spec.slots,
      path: spec.path ?? '/',
      left: spec.count ?? Number.POSITIVE_INFINITY,
    })
  }

  /** The fault that a call with one of these paths runs into, if any; takes one from its count. */
  take(
    paths: readonly string[],
    at: number,
    meets: (kind: WireFault | Status) => boolean = () => true,
  ): Fault<Status> | undefined {
    const hit = this.#find(at, (fault) => meets(fault.kind) && paths.some((path) => path.startsWith(fault.path)))
    if (hit !== undefined) hit.left -= 1
    return hit
  }

  /** The fault of one of these kinds that holds for whatever goes on, neither for some paths nor for so many calls. */
  holding(kinds: readonly string[], at: number): Fault<Status> | undefined {
    return this.#find(at, ({ kind, path, left }) => kinds.includes(kind) && path === '/' && !Number.isFinite(left))
  }

  #find(at: number, matches: (fault: Armed<Status>) => boolean): Armed<Status> | undefined {
    if (this.#armed.length === 0) return undefined
    this.#armed = this.#armed.filter((fault) => fault.left > 0 && (fault.until === undefined || at < fault.until))
    return this.#armed.find(matches)
  }

  clear(): void {
    this.#armed = []
  }
}

const FIELDS = ['kind', 'for', 'count', 'path', 'delay', 'slots']

/** Reads a fault that came as JSON; a text instead says what was expected and what came. */
export function readFault<Status extends string>(
  value: unknown,
  statuses: readonly Status[],
): FaultSpec<Status> | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return `expected a fault as a JSON object such as {"kind":"slow","for":1000}, got ${JSON.stringify(value)}`
  }
  const fields: Record<string, unknown> = { ...value }
  const unknown = Object.keys(fields).find((name) => !FIELDS.includes(name))
  if (unknown !== undefined) return `expected only the fields ${FIELDS.join(', ')}, got ${JSON.stringify(unknown)}`

  const kinds: readonly (WireFault | Status)[] = [...statuses, ...WIRE_FAULTS]
  const kind = kinds.find((name) => name === fields.kind)
  if (kind === undefined) return `expected kind to be one of ${kinds.join(', ')}, ${got(fields.kind)}`

  const { for: lasting, count, path, delay, slots } = fields
  if (!optional(lasting, (n) => n > 0)) return `expected for to be milliseconds above 0, ${got(lasting)}`
  if (!optional(count, (n) => Number.isInteger(n) && n > 0))
    return `expected count to be a whole number above 0, ${got(count)}`
  if (!optional(slots, (n) => Number.isInteger(n) && n > 0))
    return `expected slots to be a whole number above 0, ${got(slots)}`
  if (!optional(delay, (n) => n >= 0)) return `expected delay to be milliseconds, 0 or more, ${got(delay)}`
  if (path !== undefined && !(typeof path === 'string' && path.startsWith('/'))) {
    return `expected path to be a text that begins with /, ${got(path)}`
  }
  return {
    kind,
    ...(lasting !== undefined && { for: lasting }),
    ...(count !== undefined && { count }),
    ...(path !== undefined && { path }),
    ...(delay !== undefined && { delay }),
    ...(slots !== undefined && { slots }),
  }
}

function optional(value: unknown, holds: (number: number) => boolean): value is number | undefined {
  return value === undefined || (typeof value === 'number' && Number.isFinite(value) && holds(value))
}

function got(value: unknown): string {
  return value === undefined ? 'got nothing' : `got ${JSON.stringify(value)}`
}
