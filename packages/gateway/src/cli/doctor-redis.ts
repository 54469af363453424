import { randomUUID } from 'node:crypto'
import type { RedisOptions } from '../backend/redis/backend.ts'
import { redisFault } from '../backend/redis/fault.ts'
import { redisKeys } from '../backend/redis/keys.ts'
import { type Reply, redisClient } from '../backend/redis/server.ts'

/** How long Redis may take for all that is asked of it, in milliseconds. */
const WITHIN = 5000

/** What is well, or what is wrong and what to do about it. */
export interface RedisFinding {
  readonly well: boolean
  readonly found: string
}

/** Says whether Redis can be reached, is of a version that is new enough, keeps what it is given, and lets this user do what nodes do. */
export async function redisFindings({
  url,
  ca,
  prefix,
}: Pick<RedisOptions, 'url' | 'ca' | 'prefix'>): Promise<readonly RedisFinding[]> {
  let fault: unknown
  const { promise: failed, reject } = Promise.withResolvers<never>()
  const client = redisClient({ url: firstOf(url), ca }, (error) => {
    fault ??= error
    reject(error)
  })
  failed.catch(() => {})
  const late = setTimeout(() => reject(new Error('no answer in time')), WITHIN)
  try {
    await Promise.race([client.connect(), failed])
    const ask = (...command: string[]) => Promise.race([client.sendCommand<Reply>(command), failed])
    const info = String(await ask('INFO', 'everything'))
    return [
      versionOf(info),
      evictionOf(info),
      await rights(ask, redisKeys(prefix ?? 'weir').value(`/doctor/${randomUUID()}`)),
    ]
  } catch (error) {
    const reason = redisFault(fault ?? error) ?? String(error)
    return [{ well: false, found: `can not be used: ${reason}` }]
  } finally {
    clearTimeout(late)
    client.destroy()
  }
}

/** Of several servers of a Redis Cluster, the first. */
function firstOf(url: string): string {
  return url.replace(/,[^/]*/, '')
}

function field(info: string, name: string): string {
  return new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? ''
}

function versionOf(info: string): RedisFinding {
  const valkey = field(info, 'valkey_version')
  const version = field(info, 'redis_version')
  if (valkey !== '' || Number.parseInt(version, 10) >= 7)
    return { well: true, found: `reached, ${valkey === '' ? `Redis ${version}` : `Valkey ${valkey}`}` }
  return { well: false, found: `is Redis ${version}: expected version 7 or later, which has sharded channels` }
}

/** An evicted key is a lost past: of the budget, which then stays shut for a window, of versions, and of logs. */
function evictionOf(info: string): RedisFinding {
  const policy = field(info, 'maxmemory_policy')
  if (policy === 'noeviction' || policy === '')
    return { well: true, found: 'keeps what it is given (maxmemory-policy noeviction)' }
  const bound = field(info, 'maxmemory')
  const now = bound === '0' ? 'as soon as a maxmemory is set' : 'when it is full'
  return {
    well: false,
    found: `drops keys ${now} (maxmemory-policy ${policy}): budgets lose their past and stop, logs lose events; set noeviction`,
  }
}

async function rights(ask: (...command: string[]) => Promise<Reply>, key: string): Promise<RedisFinding> {
  const commands = [
    ['EVAL', "return redis.call('SET', KEYS[1], redis.call('TIME')[1], 'PX', 1000)", '1', key],
    ['SPUBLISH', key, ''],
    ['DEL', key],
  ]
  for (const command of commands) {
    try {
      await ask(...command)
    } catch (error) {
      // Of a cluster, another server has the key; that it says so takes the same rights.
      if (error instanceof Error && /^(MOVED|ASK) /.test(error.message)) continue
      return { well: false, found: `refuses ${command[0]}: ${redisFault(error) ?? String(error)}` }
    }
  }
  return { well: true, found: 'lets this user write, run scripts and publish' }
}
