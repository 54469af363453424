import type { ClientMessage, SocketLimits, SocketMessage } from '@weir/protocol'
import { type Carrier, createFleet, createPipe, type OpenLink } from './link.ts'
import { ProblemError } from './problem-error.ts'

/** How long to stay away after a close code, in milliseconds: of the protocol's table those that say so; a test holds it to that. */
export const AWAY: Readonly<Record<number, number>> = { 1001: 1000, 4413: 1000, 4429: 10_000 }

/** Messages a second, and at once, of a server that does not say what it allows. */
const RATE = 50
const BURST = 500
/** The part of what is allowed that is used. */
const MARGIN = 0.8
/** How often messages that had to wait are sent, in milliseconds. */
const PACE = 100

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
    const publishing = new Map<unknown, Waiting>()
    /** Subscriptions that are not answered yet: the names that they were asked by. */
    const asked = new Map<unknown, string>()
    /** The server's one address of each name. */
    const addresses = new Map<string, string>()
    /** Names that the server has to send anew, whole. */
    const anew = new Set<string>()
    let wanted: ReadonlySet<string> = new Set()
    /** The names that the server was sent. */
    const sent = new Set<string>()
    let limits: SocketLimits | undefined
    let greeted = false
    let count = 0
    let lastId = 0
    /** Messages that may still be sent at this moment: below what the server allows, since pongs count there too. */
    let allowed = BURST
    let countedAt = 0
    let stopPacing: (() => void) | undefined

    const pipe = createPipe(parts, ears, () => {
      stopPacing?.()
      socket?.close()
      for (const { reject } of publishing.values())
        reject(new Error('Connection lost: whether the event was kept is not known'))
    })

    function send(message: ClientMessage): void {
      allowed -= 1
      socket?.send(JSON.stringify(message))
    }

    function mayTalk(): boolean {
      const now = parts.ports.now()
      const { rate, burst } = limits ?? { rate: RATE, burst: BURST }
      const grown = (Math.max(0, now - countedAt) * rate * MARGIN) / 1000
      allowed = Math.min(burst * MARGIN, allowed + grown)
      countedAt = now
      return allowed >= 1
    }

    function subscribe(name: string, since?: string): void {
      sent.add(name)
      lastId += 1
      asked.set(lastId, name)
      send({ type: 'subscribe', topic: name, id: lastId, ...(since && { since }) })
    }

    /** One message towards what is wanted; false when there is none. What changes back before its turn is never sent. */
    function step(): boolean {
      for (const name of sent) {
        if (wanted.has(name)) continue
        sent.delete(name)
        // Another name of the same topic needs its messages.
        const address = addresses.get(name)
        if (address !== undefined && [...sent].some((other) => addresses.get(other) === address)) return true
        send({ type: 'unsubscribe', topic: name })
        return true
      }
      for (const name of wanted) {
        if (sent.has(name)) continue
        subscribe(name, ears.since(name))
        return true
      }
      for (const name of anew) {
        anew.delete(name)
        if (!sent.has(name)) continue
        subscribe(name)
        return true
      }
      return false
    }

    function pace(): void {
      if (!greeted || stopPacing) return
      while (mayTalk()) if (!step()) return
      stopPacing = parts.ports.after(PACE, () => {
        stopPacing = undefined
        pace()
      })
    }

    function hear(message: SocketMessage): void {
      // Fewer came than were sent: this connection lives, and does not deliver.
      if ('seq' in message && message.seq !== count) pipe.fail(undefined, false)
      count += 1
      if (message.type === 'hello') {
        greeted = true
        limits = message.limits
        allowed = (limits?.burst ?? BURST) * MARGIN
        countedAt = parts.ports.now()
      }
      const id = 'id' in message ? message.id : undefined
      const waiter = publishing.get(id)
      const name = asked.get(id)
      publishing.delete(id)
      asked.delete(id)
      if (message.type === 'subscribed') {
        if (name === undefined) return
        addresses.set(name, message.topic)
        ears.onTopicRenamed(name, message.topic)
      } else if (waiter && 'problem' in message) waiter.reject(new ProblemError(message.problem))
      else if (waiter && 'position' in message) waiter.resolve(message.position)
      else if (name !== undefined && 'problem' in message)
        pipe.onMessage({ type: 'error', topic: name, problem: message.problem })
      else pipe.onMessage(message)
      if (message.type === 'hello') pace()
    }

    if (socket) {
      socket.onmessage = ({ data }) => hear(JSON.parse(data))
      socket.onclose = ({ code }) => pipe.fail(AWAY[code])
    } else parts.ports.after(0, pipe.fail)

    return {
      carry(topics) {
        wanted = new Set(topics)
        pace()
      },
      resync(topic) {
        anew.add(topic)
        pace()
      },
      close: pipe.close,
      publish(topic, event) {
        lastId += 1
        const message = { type: 'publish', id: lastId, topic, event } as const
        const size = new TextEncoder().encode(JSON.stringify(message)).length
        // Too large here, or one too many: as a request of its own it is answered by name, and harms no other.
        if (!mayTalk() || size > (limits?.message ?? Number.POSITIVE_INFINITY)) return undefined
        return new Promise((resolve, reject) => {
          publishing.set(message.id, { resolve, reject })
          send(message)
        })
      },
    }
  }
  return createFleet(createCarrier, Number.POSITIVE_INFINITY)
}
