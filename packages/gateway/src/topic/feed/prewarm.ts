import { readFileSync } from 'node:fs'
import { ConfigError, WeirError } from '../../errors.ts'
import { isRecord } from '../../options.ts'
import type { ReadKey } from '../key.ts'
import type { FeedPlan } from './feed.ts'

/**
 * The keys that a feed is to have at start.
 *
 * @throws ConfigError when their file can't be read, or one of them is no key of the feed
 */
export function prewarmKeys({ prewarm, where, keys }: FeedPlan): readonly ReadKey[] {
  const list = prewarm instanceof URL ? listIn(where, prewarm) : prewarm
  return list.map((key, index) => {
    const option = `prewarm[${index}]`
    if (!isRecord(key)) throw new ConfigError(where, option, 'an object with the parts of a key', key)
    try {
      return keys.fromParts(key)
    } catch (error) {
      throw new ConfigError(where, option, error instanceof WeirError ? error.message : 'a key', key)
    }
  })
}

function listIn(where: string, file: URL): readonly unknown[] {
  let list: unknown
  try {
    list = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ConfigError(where, 'prewarm', `a file with a JSON list of keys (${String(error)})`, file.href)
  }
  if (!Array.isArray(list)) throw new ConfigError(where, 'prewarm', 'a file with a JSON list of keys', list)
  return list
}
