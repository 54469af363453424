import { unpooledCopy } from '../../buffer.ts'
import type { LogBounds, LogHistory, LogLine, Logs } from '../ports.ts'
import { type Channels, subscriptions } from '../subscriptions.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { APPEND, HISTORY } from './scripts.ts'
import type { Reply } from './server.ts'

export interface RedisLogsParts {
  readonly connection: RedisConnection
  readonly channels: Channels<Buffer>
  readonly keys: Keys
  readonly report: (error: unknown) => void
}

/** Histories in streams of Redis, for all nodes: the id of an entry is its offset. */
export function redisLogs({ connection, channels, keys, report }: RedisLogsParts): Logs {
  /** The largest epoch that this node has seen: a new one is larger, even if the server's clock went back. */
  let largest = 0

  const read: Logs['read'] = async (log, after, most) => {
    const args = [String(largest), String(after), String(most)]
    return historyOf(await connection.run(HISTORY, [keys.log(log), keys.logState(log)], args))
  }

  function historyOf(reply: Reply): LogHistory {
    const [epoch, newest, oldest, lines] = list(reply)
    largest = Math.max(largest, number(epoch))
    return {
      epoch: number(epoch),
      newest: number(newest),
      oldest: number(oldest),
      events: list(lines).map((entry) => {
        const [id, fields] = list(entry)
        const [, at, , event] = list(fields)
        return { epoch: number(epoch), offset: Number.parseInt(String(id), 10), at: number(at), event: bytes(event) }
      }),
    }
  }

  async function add(log: string, event: Buffer, { events, age }: LogBounds, after: readonly string[]) {
    const args = [String(largest), event, String(events), String(Math.ceil(age)), keys.logChannel(log), ...after]
    const [epoch, offset] = list(await connection.run(APPEND, [keys.log(log), keys.logState(log)], args))
    if (epoch === undefined) return undefined
    largest = Math.max(largest, number(epoch))
    return { epoch: number(epoch), sequence: number(offset) }
  }

  /** The last event. It reveals one that was missed, even if no other follows. */
  async function latest(log: string): Promise<LogLine | undefined> {
    const { newest } = await read(log, 0, 0)
    return (await read(log, newest - 1, 1)).events[0]
  }

  return {
    async append(log, event, bounds) {
      const added = await add(log, event, bounds, [])
      if (added === undefined) throw new Error(`${log}: expected the place of an event, got none`)
      return added
    },

    appendAfter: (log, { epoch, sequence }, event, bounds) =>
      add(log, event, bounds, [String(epoch), String(sequence)]),

    read,

    subscribe: subscriptions({
      channels,
      channelOf: keys.logChannel,
      read(message) {
        const line = lineIn(message)
        largest = Math.max(largest, line?.epoch ?? 0)
        return line
      },
      catchUp: latest,
      report,
    }),
  }
}

/** An event from the message on its log's channel: epoch, offset and moment on a line each, then the event. */
function lineIn(message: Buffer): LogLine | undefined {
  const fields: number[] = []
  let start = 0
  for (let i = 0; i < 3; i++) {
    const end = message.indexOf('\n', start)
    if (end === -1) return undefined
    fields.push(Number(message.subarray(start, end)))
    start = end + 1
  }
  const [epoch = 0, offset = 0, at = 0] = fields
  return { epoch, offset, at, event: unpooledCopy(message.subarray(start)) }
}

function list(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : []
}

function number(reply: Reply | undefined): number {
  return Number(Buffer.isBuffer(reply) ? reply.toString() : reply)
}

function bytes(reply: Reply | undefined): Buffer {
  return Buffer.isBuffer(reply) ? unpooledCopy(reply) : Buffer.alloc(0)
}
