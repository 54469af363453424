import type { Identity } from '../call.ts'
import { privateTopic } from '../entry.ts'
import { ConfigError, WeirError } from '../errors.ts'
import type { ReadKey } from './key.ts'

/** Which callers share a value: all, those of one tenant, or one user. */
const SCOPES = ['public', 'tenant', 'user'] as const
export type Scope = (typeof SCOPES)[number]

/** @throws ConfigError when it is none */
export function scopeOf(where: string, given: unknown): Scope {
  const known = SCOPES.find((one) => one === given)
  if (known === undefined) throw new ConfigError(where, 'scope', SCOPES.map((one) => `"${one}"`).join(', '), given)
  return known
}

/**
 * The key as one caller has it. Everything is stored and sent by topic, so a value that is not public has a separate topic for
 * each tenant or user that may see it, one that no address can spell.
 *
 * @throws WeirError `unauthenticated` when the scope needs a tenant or user that the caller lacks
 */
export function keyFor(scope: Scope, readKey: ReadKey, identity: Identity | undefined): ReadKey {
  if (scope === 'public') return readKey
  const { tenant = '', user = '' } = identity ?? {}
  if (scope === 'user' ? user === '' : tenant === '') {
    throw new WeirError('unauthenticated', `${readKey.topic}: expected a known ${scope}, got a caller without one`)
  }
  const seen: Identity = scope === 'user' ? { tenant, user } : { tenant }
  const name = new URLSearchParams(Object.entries(seen)).toString()
  return { ...readKey, topic: privateTopic(readKey.topic, name), identity: seen }
}
