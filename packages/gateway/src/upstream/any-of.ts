import { ConfigError } from '../errors.ts'
import { ANY_OF_OPTIONS } from '../options/upstream.ts'
import { type Duration, readOptions } from '../options.ts'
import type { Upstream } from './upstream.ts'

/** What `anyOf()` takes beside the upstreams. */
export interface AnyOfOptions {
  /** `order` (default): as they are named. `score`: the one that did best of late, by answer time and errors. */
  readonly choose?: 'order' | 'score'
  /** After so long without an answer a second one is asked beside the first. Never by default. */
  readonly hedge?: Duration
  /**
   * Nodes of one chain, as `jsonRpc()` knows them by the slots of their answers: who is further behind the best, in slots, is asked only when no
   * other answers, until it has caught up. So that this is known, a call is copied to those that nothing was heard of for 5 s. 50 by default.
   */
  readonly maxLag?: number
  /** How often all of them may be tried again. 2 by default. */
  readonly retries?: number
}

/**
 * Several upstreams that answer alike, as one: when one fails, the next is asked at once. Each has its own budget, and every
 * try is charged to the one it goes to. Loaders speak to it as to the first.
 *
 * @param name what it is called in events and errors
 * @throws ConfigError when there are none, or two have one name
 */
export function anyOf<Client>(
  name: string,
  upstreams: readonly Upstream<Client>[],
  options: AnyOfOptions = {},
): Upstream<Client> {
  const where = `anyOf ${JSON.stringify(name)}`
  const { choose, hedge, retries, maxLag } = readOptions(where, ANY_OF_OPTIONS, options)
  if (choose !== 'order' && choose !== 'score') throw new ConfigError(where, 'choose', '"order" or "score"', choose)
  const [first] = upstreams
  if (first === undefined) throw new ConfigError(where, 'upstreams', 'at least one upstream', upstreams)
  const providers = upstreams.flatMap((upstream) => upstream.providers)
  const twice = providers.find((one, index) => providers.findIndex((other) => other.name === one.name) !== index)
  if (twice !== undefined) throw new ConfigError(where, 'upstreams', 'upstreams with different names', twice.name)
  return { ...first, name, policy: { choose, hedge, retries, maxLag }, providers }
}
