import { randomBytes } from 'node:crypto'
import type { Clock, Timer } from '../../clock.ts'

import type { Values } from '../ports.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { packed } from './packed.ts'
import { EXPIRE, PUBLISH } from './scripts.ts'
import { FIELDS, hashText, storedOf } from './stored.ts'

/** How often a node asks whether Redis was emptied, in milliseconds: the line of epochs is then another. */
const LOOK_EVERY = 5000

export interface RedisValues extends Values {
  close(): void
}

/** The latest contents in Redis, for all nodes. */
export function redisValues(connection: RedisConnection, keys: Keys, clock: Clock): RedisValues {
  let lineage: string | undefined
  let looking: Timer | undefined

  /** The first node that comes gives the line its name. While Redis is away it keeps the name that it had. */
  async function look(): Promise<void> {
    const fresh = randomBytes(9).toString('base64url')
    const key = keys.lineage()
    const known = await connection.command(key, ['SET', key, fresh, 'NX', 'GET']).catch(() => undefined)
    if (known !== undefined) lineage = Buffer.isBuffer(known) ? known.toString() : fresh
    if (!closed) looking = clock.after(LOOK_EVERY, () => void look())
  }
  let closed = false
  void look()

  return {
    get lineage() {
      return lineage
    },

    close() {
      closed = true
      looking?.stop()
    },

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
          hashText(hash, stamp ?? {}),
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
      const line = stamp?.lineage && { lineage: stamp.lineage, ...(stamp.over && { over: stamp.over }) }
      return { ...rest, hash, ...line, version: { epoch, sequence }, changedAt, checkedAt }
    },

    async expire(topic) {
      await connection.run(EXPIRE, [keys.value(topic)], [])
    },
  }
}
