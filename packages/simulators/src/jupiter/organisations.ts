import { Meter } from './limits.ts'
import { executeLimit, PLANS, type PlanName, planLimit } from './plans.ts'

/** Which key belongs to which organisation; a list of keys is one organisation's, `default`. */
export type Keys = Readonly<Record<string, string>> | readonly string[]

/** Limits are an organisation's, never a key's. */
export interface Organisation {
  readonly name: string
  /** Every endpoint but execute. */
  readonly calls: Meter
  readonly execute: Meter
}

/** All without a key are this organisation together. */
const KEYLESS = 'keyless'

/** Knows whose a key is. Without configured keys, anything that begins with `jup_` is a key of `default`. */
export class Organisations {
  readonly #plan: PlanName
  readonly #strict: boolean
  readonly #names: ReadonlyMap<string, string>
  #known = new Map<string, Organisation>()

  constructor(plan: PlanName, strict: boolean, keys: Keys) {
    this.#plan = plan
    this.#strict = strict
    this.#names = new Map(isList(keys) ? keys.map((key) => [key, 'default']) : Object.entries(keys))
  }

  /** The organisation that asks; undefined when the key is wrong. */
  find(key: string | undefined): Organisation | undefined {
    if (key === undefined) return this.#get(KEYLESS, 'keyless')
    const name = this.#names.size === 0 ? (key.startsWith('jup_') ? 'default' : undefined) : this.#names.get(key)
    return name === undefined ? undefined : this.#get(name, this.#plan)
  }

  /** Forgets every call. */
  reset(): void {
    this.#known = new Map()
  }

  #get(name: string, planName: PlanName): Organisation {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const plan = PLANS[planName]
    const made = { name, calls: new Meter(planLimit(plan, this.#strict)), execute: new Meter(executeLimit(plan)) }
    this.#known.set(name, made)
    return made
  }
}

function isList(keys: Keys): keys is readonly string[] {
  return Array.isArray(keys)
}
