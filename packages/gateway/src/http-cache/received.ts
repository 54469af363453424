import { type Fields, members, namesTag } from './fields.ts'
import { type Exchanged, type Policy, policyOf } from './policy.ts'

/** An answer of an upstream as a cache sees it: what it is, when it came and what may be done with it. Never changed. */
export class Received {
  readonly method: string
  readonly status: number
  readonly fields: Fields
  /** The same bytes for all who get them. */
  readonly body: Buffer
  readonly policy: Policy
  /** When it came, on the monotonic clock. */
  readonly #at: number
  /** What the request said in the fields that `Vary` names. */
  readonly #selecting: readonly (readonly [name: string, value: string])[]

  /**
   * @param at when it came, on the monotonic clock
   * @param fresh milliseconds for which it is fresh when it says nothing
   */
  constructor(exchanged: Exchanged, body: Buffer, at: number, fresh: number | undefined) {
    this.method = exchanged.method
    this.status = exchanged.status
    this.fields = exchanged.fields
    this.body = body
    this.policy = policyOf(exchanged, fresh)
    this.#at = at
    const { vary, 'content-encoding': encoding } = exchanged.fields
    // Who compresses and forgets to say that it varies by that would hand it to those who can't read it.
    const names = [...members(vary), ...(encoding === undefined ? [] : ['accept-encoding'])]
    this.#selecting = names.map((field) => {
      const name = field.toLowerCase()
      return [name, normal(exchanged.asked[name])]
    })
  }

  /** Whether it was selected by what this request says too (RFC 9111, 4.1). */
  matches(asked: Fields): boolean {
    return this.#selecting.every(([name, value]) => normal(asked[name]) === value)
  }

  /** Its age in milliseconds (RFC 9111, 4.2.3). */
  age(now: number): number {
    return this.policy.age + Math.max(0, now - this.#at)
  }

  /** For how many milliseconds it stays fresh; below zero when it is stale. */
  left(now: number): number {
    return this.policy.lifetime - this.policy.spent - Math.max(0, now - this.#at)
  }

  /** May be used without asking. A lifetime that has just ended is over: `left` must be above zero. */
  isFresh(now: number): boolean {
    return !this.policy.confirm && this.left(now) > 0
  }

  /**
   * May be given to those who waited while it was on its way (RFC 9111, 4: collapsed requests): it is fresh, or the upstream
   * says nothing of that and a guess is allowed, which then is this instant. What is `no-store` or `private` never may, and
   * what is stale or `no-cache` at birth would have to be confirmed for each of them.
   */
  mayBeShared(now: number): boolean {
    const { storable, confirm, by } = this.policy
    return storable && !confirm && (by === 'upstream' ? this.left(now) > 0 : this.status < 500)
  }

  /** Whether keeping it is of use: it is fresh for a while, or can be confirmed. */
  isWorthKeeping(now: number): boolean {
    return this.policy.storable && (this.left(now) > 0 || Object.keys(this.validators).length > 0)
  }

  /** The fields of a request that asks whether it still holds (RFC 9111, 4.3.1). */
  get validators(): Fields {
    const { etag, 'last-modified': changed } = this.fields
    return {
      ...(etag === undefined ? {} : { 'if-none-match': etag }),
      ...(changed === undefined ? {} : { 'if-modified-since': changed }),
    }
  }

  /**
   * What it is after the upstream confirmed it with new fields: a 304, or the answer to a HEAD (RFC 9111, 3.2).
   *
   * @returns undefined when these speak of another content
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
    // Its age begins anew, also when nothing is said of it.
    delete fields.age
    for (const [name, value] of Object.entries(by.fields)) if (!OF_THE_BODY.has(name)) fields[name] = value
    return new Received({ ...by, method: 'GET', status: this.status, fields }, this.body, at, fresh)
  }

  /** Bytes of memory it keeps, near enough to bound a cache by. */
  get size(): number {
    const fields = [...Object.entries(this.fields), ...this.#selecting]
    return (
      1000 + this.body.length + fields.reduce((sum, [name, value]) => sum + 100 + 2 * (name.length + value.length), 0)
    )
  }
}

/** What describes the body that is kept, and so does not come from an answer without one (RFC 9111, 3.2). */
const OF_THE_BODY = new Set(['content-length', 'content-encoding', 'content-range'])

/** A field so that those that mean the same are the same: space around commas means nothing. */
function normal(value: string | undefined): string {
  return value === undefined ? '' : members(value).join(',')
}
