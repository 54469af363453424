import { randomBytes } from 'node:crypto'
import type { Clock, Timer } from '../../clock.ts'
import type { Values } from '../ports.ts'
import { compressJson } from './compressed-json.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import type { Moments } from './moments.ts'
import { EXPIRE, LINEAGE, PUBLISH, READ } from './scripts.ts'
import { hashText, storedOf } from './value-record.ts'

/** How often a node checks whether Redis was emptied, in milliseconds: the lineage is another then. */
const LOOK_EVERY = 5000

export interface RedisValues extends Values {
  close(): void
}

export interface RedisValuesParts {
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly moments: Moments
  readonly clock: Clock
}

/** The latest contents in Redis, for all nodes. */
export function redisValues({ connection, keys, moments, clock }: RedisValuesParts): RedisValues {
  let lineage: string | undefined
  let looking: Timer | undefined

  /** The first node names the lineage. During an outage the name stays. */
  async function look(): Promise<void> {
    const fresh = randomBytes(9).toString('base64url')
    const key = keys.lineage()
    // A script, like everything else: a user without that permission is found at start.
    const known = await connection.run(LINEAGE, [key], [fresh]).catch(() => undefined)
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
      const key = keys.value(topic)
      const asked = clock.now()
      return storedOf(await connection.run(READ, [key], []), { key, moments, asked })
    },

    async publish(topic, { token, knownEpoch, knownSequence = 0, hash, content, keep, age = 0, staleIn }) {
      const { stamp, ...rest } = content
      const { json, reason, absentFor } = rest
      const body = json === undefined ? '' : compressJson(json)
      const key = keys.value(topic)
      const args = [
        String(token),
        String(knownEpoch),
        String(knownSequence),
        hashText(hash, stamp ?? {}),
        body instanceof Promise ? await body : body,
        reason === undefined ? '' : JSON.stringify(reason),
        absentFor === undefined ? '' : String(absentFor),
        String(Math.max(1, Math.ceil(keep))),
        keys.channel(topic),
        String(age),
        staleIn === undefined ? '' : String(staleIn),
      ]
      if (stamp !== undefined) {
        const { version, changedAt, checkedAt } = stamp
        const moved = [moments.there(key, changedAt), moments.there(key, checkedAt)]
        args.push(...[version.epoch, version.sequence, ...moved].map(String))
      }
      const asked = clock.now()
      const reply = await connection.run(PUBLISH, [key, keys.fence(topic)], args)
      if (!Array.isArray(reply)) return undefined
      // Not taken: the stored value is newer.
      if (reply.length > 6) return storedOf(reply, { key, moments, asked })
      const [epoch, sequence, changedAt, checkedAt, staleAt, now] = reply
      moments.learn(key, Number(String(now)), asked)
      const moment = (field: unknown) => moments.here(key, Number(String(field)))
      return {
        ...rest,
        hash,
        ...(stamp?.lineage && { lineage: stamp.lineage }),
        ...(stamp?.over && { over: stamp.over }),
        version: { epoch: Number(String(epoch)), sequence: Number(String(sequence)) },
        changedAt: moment(changedAt),
        checkedAt: moment(checkedAt),
        ...(String(staleAt) === '' ? {} : { staleAt: moment(staleAt) }),
      }
    },

    async expire(topic) {
      await connection.run(EXPIRE, [keys.value(topic)], [])
    },
  }
}
