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
      const { json, reason, absentFor } = content
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
        ],
      )
      if (!Array.isArray(reply)) return undefined
      const [epoch = 0, sequence = 0, changedAt = 0, checkedAt = 0] = reply.map((field) => Number(String(field)))
      return { ...content, hash, version: { epoch, sequence }, changedAt, checkedAt }
    },

    async expire(topic) {
      await connection.run(EXPIRE, [keys.value(topic)], [])
    },
  }
}
