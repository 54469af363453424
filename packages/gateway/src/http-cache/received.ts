import { type Fields, members, namesTag } from './fields.ts'
import { type Exchanged, type Policy, policyOf } from './policy.ts'

/** An upstream's answer as a cache sees it: its content, its arrival and its policy. Immutable. */
export class Received {
  readonly method: string
  readonly status: number
  readonly fields: Fields
  /** Shared by all receivers, so it must not be modified. */
  readonly body: Buffer
  readonly policy: Policy
  /** The time of arrival on the monotonic clock. */
  readonly #at: number
  /** The request's values of the fields that `Vary` names. */
  readonly #selecting: readonly (readonly [name: string, value: string])[]

  /**
   * @param at time of arrival on the monotonic clock
   * @param fresh freshness in milliseconds if the answer does not state any
   */
  constructor(exchanged: Exchanged, body: Buffer, at: number, fresh: number | undefined) {
    this.method = exchanged.method
    this.status = exchanged.status
    this.fields = exchanged.fields
    this.body = body
    this.policy = policyOf(exchanged, fresh)
    this.#at = at
    const { vary, 'content-encoding': encoding } = exchanged.fields
    // Upstreams may compress without `Vary: Accept-Encoding`. Such an answer must not reach clients that cannot
    // decompress it.
    const names = [...members(vary), ...(encoding === undefined ? [] : ['accept-encoding'])]
    this.#selecting = names.map((field) => {
      const name = field.toLowerCase()
      return [name, normal(exchanged.asked[name])]
    })
  }

  /** Whether this request selects the same answer (RFC 9111, 4.1). */
  matches(asked: Fields): boolean {
    return this.#selecting.every(([name, value]) => normal(asked[name]) === value)
  }

  /** Its age in milliseconds (RFC 9111, 4.2.3). */
  age(now: number): number {
    return this.policy.age + Math.max(0, now - this.#at)
  }

  /** Milliseconds until it is stale; negative once it is. */
  left(now: number): number {
    return this.policy.lifetime - this.policy.spent - Math.max(0, now - this.#at)
  }

  /** Whether it may be used without a call. A lifetime that has just ended is over: `left` must be positive. */
  isFresh(now: number): boolean {
    return !this.policy.confirm && this.left(now) > 0
  }

  /**
   * Whether it may be given to clients that waited for it (RFC 9111, 4: collapsed requests). It must be fresh. Without
   * freshness information a heuristic must be allowed, which then covers this instant. Answers with `no-store` or
   * `private` are never shared, and stale or `no-cache` ones would need a confirmation for each client.
   */
  mayBeShared(now: number): boolean {
    const { storable, confirm, by } = this.policy
    return storable && !confirm && (by === 'upstream' ? this.left(now) > 0 : this.status < 500)
  }

  /** Whether storing it is useful: it is fresh for a while, or can be confirmed. */
  isWorthKeeping(now: number): boolean {
    return this.policy.storable && (this.left(now) > 0 || Object.keys(this.validators).length > 0)
  }

  /** The fields of a conditional request that confirms it (RFC 9111, 4.3.1). */
  get validators(): Fields {
    const { etag, 'last-modified': changed } = this.fields
    return {
      ...(etag === undefined ? {} : { 'if-none-match': etag }),
      ...(changed === undefined ? {} : { 'if-modified-since': changed }),
    }
  }

  /**
   * The answer after the upstream confirmed it with new fields: a 304, or an answer to HEAD (RFC 9111, 3.2).
   *
   * @returns undefined if the fields belong to other content
   */
  confirmed(by: Exchanged, at: number, fresh: number | undefined): Received | undefined {
    const { etag, 'last-modified': changed, 'content-length': length } = by.fields
    const strong = etag !== undefined && !etag.startsWith('W/')
    if (by.status === 304) {
      if (strong && this.fields.etag !== undefined && !namesTag(etag, this.fields.etag, 'weakly')) return undefined
    } else {
      const same = (mine: string | undefined, its: string | undefined) => its === undefined || its === mine
      if (!same(this.fields.etag, etag) || !same(this.fields['last-modified'], changed)) return undefined
      if (!same(String(this.body.length), length)) return undefined
    }
    const fields: Record<string, string> = { ...this.fields }
    // Its age restarts, even if the new fields have none.
    delete fields.age
    for (const [name, value] of Object.entries(by.fields)) if (!OF_THE_BODY.has(name)) fields[name] = value
    return new Received({ ...by, method: 'GET', status: this.status, fields }, this.body, at, fresh)
  }

  /** Approximate memory in bytes, to bound the cache. */
  get size(): number {
    const fields = [...Object.entries(this.fields), ...this.#selecting]
    return (
      1000 + this.body.length + fields.reduce((sum, [name, value]) => sum + 100 + 2 * (name.length + value.length), 0)
    )
  }
}

/** Fields that describe the stored body, so an answer without a body does not replace them (RFC 9111, 3.2). */
const OF_THE_BODY = new Set(['content-length', 'content-encoding', 'content-range'])

/** Normalizes a field: whitespace around commas has no meaning. */
function normal(value: string | undefined): string {
  return value === undefined ? '' : members(value).join(',')
}
