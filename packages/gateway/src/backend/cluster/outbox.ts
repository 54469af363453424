import type { IpcRpc } from './ipc-rpc.ts'
import type { Heard, Kind, News, WorkerSide } from './protocol.ts'

/** What a worker is yet to be told. */
export interface Outbox {
  /** `bytes`: of the message, near enough. */
  add<Of extends Kind>(kind: Of, name: string, message: Heard[Of], bytes: number): void
  /** It may have missed something of this. */
  missed(kind: Kind, name: string): void
  /** It no longer listens. */
  drop(kind: Kind, name: string): void
}

/** What waits for one worker that does not read, in bytes. */
const MOST_WAITING = 1024 ** 2

/** What a message takes beside its own bytes. */
const MESSAGE = 200

interface Waiting extends News {
  messages: Heard[Kind][]
  missed: boolean
  bytes: number
}

/**
 * All that is new goes in one message, and the next when the system has taken that. For a worker that does not read so much is kept
 * and no more: of what is beyond only the names are, and when it reads again it is told to catch up with those.
 */
export function outboxOf(line: IpcRpc<WorkerSide>): Outbox {
  let waiting = new Map<string, Waiting>()
  let bytes = 0

  const flushSoon = line.notifyLatest('news', (): [readonly News[]] | undefined => {
    if (waiting.size === 0) return undefined
    const all: readonly News[] = [...waiting.values()].map(({ bytes: _, ...news }) => news)
    waiting = new Map()
    bytes = 0
    return [all]
  })

  function channel(kind: Kind, name: string): Waiting {
    const key = `${kind} ${name}`
    const known = waiting.get(key)
    if (known !== undefined) return known
    const one: Waiting = { kind, name, messages: [], missed: false, bytes: 0 }
    waiting.set(key, one)
    flushSoon()
    return one
  }

  function forget(one: Waiting): void {
    bytes -= one.bytes
    one.bytes = 0
    one.messages = []
  }

  return {
    add(kind, name, message, size) {
      const one = channel(kind, name)
      if (bytes + size + MESSAGE > MOST_WAITING) {
        forget(one)
        one.missed = true
        return
      }
      one.messages.push(message)
      one.bytes += size + MESSAGE
      bytes += size + MESSAGE
    },

    missed(kind, name) {
      channel(kind, name).missed = true
    },

    drop(kind, name) {
      const key = `${kind} ${name}`
      const one = waiting.get(key)
      if (one !== undefined) forget(one)
      waiting.delete(key)
    },
  }
}
