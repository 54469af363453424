import type { MeterLimit } from '../backend/ports.ts'
import { ConfigError } from '../errors.ts'
import { LIMIT_OPTIONS } from '../options/upstream.ts'
import { type Duration, readOptions } from '../options.ts'

/** So many calls, or so much cost, in any window of this length. */
export interface Limit {
  /** Calls that fit in the window. */
  readonly calls?: number
  /** Cost that fits in the window, in whatever the upstream counts: credits, tokens. */
  readonly cost?: number
  readonly per: Duration
  /** `account` (default): all keys share it. `key`: each key has its own. */
  readonly by?: 'account' | 'key'
  /** Only calls of this lane, such as a method; `*`: those of each lane apart. All by default. */
  readonly lane?: string
}

/**
 * Limits as meters take them.
 *
 * @param reserve what is left of each limit to others who use the same account
 * @throws ConfigError naming the row, what was expected and what came
 */
export function limitsOf(where: string, given: unknown, reserve: number): readonly MeterLimit[] {
  if (given === undefined) return []
  if (!Array.isArray(given)) throw new ConfigError(where, 'limits', 'a list of limits', given)
  return given.map((row, index) => {
    const at = `limits[${index}]`
    const { calls, cost, per, by, lane } = readOptions(`${where}: ${at}`, LIMIT_OPTIONS, row)
    if (by !== 'account' && by !== 'key') throw new ConfigError(where, `${at}.by`, '"account" or "key"', by)
    const limit = calls ?? cost
    if (limit === undefined || (calls !== undefined && cost !== undefined)) {
      throw new ConfigError(where, at, 'either `calls` or `cost`', row)
    }
    if (reserve >= limit) throw new ConfigError(where, 'reserve', `fewer than the ${limit} of ${at}`, reserve)
    const counts = calls === undefined ? 'cost' : 'calls'
    return { limit: limit - reserve, window: per, by, counts, ...(lane === undefined ? {} : { lane }) }
  })
}
