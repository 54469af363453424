import type { Values } from '../ports.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { EXPIRE, PUBLISH } from './scripts.ts'
import { FIELDS, storedOf } from './stored.ts'

/** The latest contents in Redis, for all nodes. */
export function redisValues(connection: RedisConnection, keys: Keys): Values {
  return {
    async read(topic) {
      return storedOf(await connection.command(['HMGET', keys.value(topic), ...FIELDS]))
    },

    async publish(topic, { token, knownEpoch, hash, content, keep }) {
      const { json, reason, absentFor, stamp } = content
      const reply = await connection.run(
        PUBLISH,
        [keys.value(topic), keys.fence(topic)],
        [
          String(token),
          String(knownEpoch),
          hash,
          json ?? '',
          reason === undefined ? '' : JSON.stringify(reason),
          absentFor === undefined ? '' : String(absentFor),
          String(Math.max(1, Math.ceil(keep))),
          keys.channel(topic),
          ...(stamp === undefined
            ? []
            : [stamp.version.epoch, stamp.version.sequence, stamp.changedAt, stamp.checkedAt].map(String)),
        ],
      )
      return storedOf(reply)
    },

    async expire(topic) {
      await connection.run(EXPIRE, [keys.value(topic)], [])
    },
  }
}
