import { randomUUID } from 'node:crypto'
import type { RedisOptions } from '../backend/redis/backend.ts'
import { redisFault } from '../backend/redis/fault.ts'
import { redisKeys } from '../backend/redis/keys.ts'
import { type Reply, redisClient } from '../backend/redis/server.ts'

/** Time limit for all checks of Redis together, in milliseconds. */
const WITHIN = 5000

/** The outcome of one check, with the remedy where it failed. */
export interface RedisFinding {
  readonly ok: boolean
  readonly found: string
}

/** Checks that Redis is reachable, recent enough, evicts no keys, and grants this user the rights that nodes need. */
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
  const timeout = setTimeout(() => reject(new Error(`no response in ${WITHIN / 1000} s`)), WITHIN)
  try {
    await Promise.race([client.connect(), failed])
    const send = (...command: string[]) => Promise.race([client.sendCommand<Reply>(command), failed])
    const info = String(await send('INFO', 'everything'))
    return [
      versionOf(info),
      evictionOf(info),
      await rights(send, redisKeys(prefix ?? 'weir').value(`/doctor/${randomUUID()}`)),
    ]
  } catch (error) {
    const reason = redisFault(fault ?? error) ?? String(error)
    return [{ ok: false, found: `cannot be used: ${reason}` }]
  } finally {
    clearTimeout(timeout)
    client.destroy()
  }
}

/** The URL of the first server of a Redis Cluster. */
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
    return { ok: true, found: `reachable, ${valkey === '' ? `Redis ${version}` : `Valkey ${valkey}`}` }
  return { ok: false, found: `expected version 7 or later, for sharded channels, got Redis ${version}` }
}

/** Evicting keys loses history: versions, logs, and the usage of budgets, which then stay closed for a window. */
function evictionOf(info: string): RedisFinding {
  const policy = field(info, 'maxmemory_policy')
  if (policy === 'noeviction' || policy === '')
    return { ok: true, found: 'evicts no keys (maxmemory-policy noeviction)' }
  const bound = field(info, 'maxmemory')
  const when = bound === '0' ? 'once maxmemory is set' : 'when it is full'
  return {
    ok: false,
    found: `evicts keys ${when} (maxmemory-policy ${policy}), which closes budgets and loses log events; set noeviction`,
  }
}

async function rights(send: (...command: string[]) => Promise<Reply>, key: string): Promise<RedisFinding> {
  const commands = [
    ['EVAL', "return redis.call('SET', KEYS[1], redis.call('TIME')[1], 'PX', 1000)", '1', key],
    ['SPUBLISH', key, ''],
    ['DEL', key],
  ]
  for (const command of commands) {
    try {
      await send(...command)
    } catch (error) {
      // In a cluster another server may own the key. Redis checks the rights before it redirects.
      if (error instanceof Error && /^(MOVED|ASK) /.test(error.message)) continue
      return { ok: false, found: `refuses ${command[0]}: ${redisFault(error) ?? String(error)}` }
    }
  }
  return { ok: true, found: 'this user may write, run scripts and publish' }
}
