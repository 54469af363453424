import type { ClientMessage } from '@weir/protocol'
import { type Carrier, createFleet, createPipe, type Heard, type OpenLink } from './link.ts'
import { ProblemError } from './problem-error.ts'

/** How long to stay away after a close code, in milliseconds: of the protocol's table those that say so; a test holds it to that. */
export const AWAY: Readonly<Record<number, number>> = { 1001: 1000, 4413: 1000, 4429: 10_000 }

interface Waiting {
  resolve(position: string): void
  reject(reason: Error): void
}

/** WebSocket: topics come and go on one connection, changes come as patches. */
export const openSocket: OpenLink = (parts, ears) => {
  function connect(): WebSocket | undefined {
    try {
      return (
        parts.ports.WebSocket &&
        new parts.ports.WebSocket(`${(parts.socketUrl ?? parts.url).replace(/^http/, 'ws')}/weir/ws`)
      )
    } catch {
      // A page's own policy forbids it: blocked like any other way.
      return undefined
    }
  }

  function createCarrier(): Carrier {
    const socket = connect()
    const waiting = new Map<unknown, Waiting>()
    let wanted: readonly string[] = []
    /** Those that the server was told of. */
    let told: readonly string[] = []
    let greeted = false
    let count = 0
    let lastId = 0
    const send = (message: ClientMessage) => socket?.send(JSON.stringify(message))
    const pipe = createPipe(parts, ears, () => {
      socket?.close()
      for (const { reject } of waiting.values()) reject(new Error('Connection lost'))
    })

    function carry(topics: readonly string[]): void {
      wanted = topics
      if (!greeted) return
      for (const topic of told) if (!topics.includes(topic)) send({ type: 'unsubscribe', topic })
      for (const topic of topics) {
        const since = ears.since(topic)
        if (!told.includes(topic)) send({ type: 'subscribe', topic, ...(since && { since }) })
      }
      told = topics
    }

    function hear(message: Heard): void {
      // Fewer came than were sent: this connection lives, and does not deliver.
      if ('seq' in message && message.seq !== count) pipe.fail(undefined, false)
      count += 1
      if (message.type === 'hello') {
        greeted = true
        carry(wanted)
      }
      const id = 'id' in message && message.id
      const waiter = waiting.get(id)
      waiting.delete(id)
      if (!waiter) pipe.hear(message)
      else if ('problem' in message) waiter.reject(new ProblemError(message.problem))
      else if ('position' in message) waiter.resolve(message.position)
    }

    if (socket) {
      socket.onmessage = ({ data }) => hear(JSON.parse(data))
      socket.onclose = ({ code }) => pipe.fail(AWAY[code])
    } else parts.ports.after(0, pipe.fail)

    return {
      carry,
      again: (topic) => greeted && send({ type: 'subscribe', topic }),
      close: pipe.close,
      publish: (topic, event) =>
        new Promise((resolve, reject) => {
          lastId += 1
          waiting.set(lastId, { resolve, reject })
          send({ type: 'publish', id: lastId, topic, event })
        }),
    }
  }
  return createFleet(createCarrier, Number.POSITIVE_INFINITY)
}
