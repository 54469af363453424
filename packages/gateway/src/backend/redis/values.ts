import type { Values } from '../ports.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { packed } from './packed.ts'
import { EXPIRE, PUBLISH } from './scripts.ts'
import { FIELDS, storedOf } from './stored.ts'

/** The latest contents in Redis, for all nodes. */
export function redisValues(connection: RedisConnection, keys: Keys): Values {
  return {
    async read(topic) {
      return storedOf(await connection.command(keys.value(topic), ['HMGET', keys.value(topic), ...FIELDS]))
    },

    async publish(topic, { token, knownEpoch, knownSequence = 0, hash, content, keep }) {
      const { stamp, ...rest } = content
      const { json, reason, absentFor } = rest
      const body = json === undefined ? '' : packed(json)
      const reply = await connection.run(
        PUBLISH,
        [keys.value(topic), keys.fence(topic)],
        [
          String(token),
          String(knownEpoch),
          String(knownSequence),
          hash,
          body instanceof Promise ? await body : body,
          reason === undefined ? '' : JSON.stringify(reason),
          absentFor === undefined ? '' : String(absentFor),
          String(Math.max(1, Math.ceil(keep))),
          keys.channel(topic),
          ...(stamp === undefined
            ? []
            : [stamp.version.epoch, stamp.version.sequence, stamp.changedAt, stamp.checkedAt].map(String)),
        ],
      )
      if (!Array.isArray(reply)) return undefined
      // Not taken: what is kept is newer.
      if (reply.length > 4) return storedOf(reply)
      const [epoch = 0, sequence = 0, changedAt = 0, checkedAt = 0] = reply.map((field) => Number(String(field)))
      return { ...rest, hash, version: { epoch, sequence }, changedAt, checkedAt }
    },

    async expire(topic) {
      await connection.run(EXPIRE, [keys.value(topic)], [])
    },
  }
}
