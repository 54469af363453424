import type { ClientMessage, SocketLimits, SocketMessage } from '@weir/protocol'
import { type Carrier, createCarriers, createPipe, type OpenLink } from './link.ts'
import { ProblemError } from './problem-error.ts'

/** Minimum reconnect delays by close code, in milliseconds, from the protocol's table; a test compares both. */
export const RECONNECT_AFTER: Readonly<Record<number, number>> = { 1001: 1000, 4413: 1000, 4429: 10_000 }

/** Messages per second and at once, for a server that does not name its limits. */
const RATE = 50
const BURST = 500
/** The share of the limits that is used. */
const USED_SHARE = 0.8
/** Interval at which delayed messages are sent, in milliseconds. */
const SEND_INTERVAL = 100

interface PendingPublish {
  resolve(position: string): void
  reject(reason: Error): void
}

/** WebSocket: topics are added and removed on one connection, and changes arrive as patches. */
export const openSocket: OpenLink = (parts, events) => {
  function connect(): WebSocket | undefined {
    try {
      return (
        parts.ports.WebSocket &&
        new parts.ports.WebSocket(`${(parts.socketUrl ?? parts.url).replace(/^http/, 'ws')}/weir/ws`)
      )
    } catch {
      // The page's own policy forbids it, so it counts as blocked.
      return undefined
    }
  }

  function createCarrier(): Carrier {
    const socket = connect()
    const publishing = new Map<unknown, PendingPublish>()
    /** Unanswered subscriptions: the requested names by id. */
    const subscribing = new Map<unknown, string>()
    /** The canonical address of each name. */
    const addresses = new Map<string, string>()
    /** Names whose whole value must be sent again. */
    const resyncs = new Set<string>()
    let wanted: ReadonlySet<string> = new Set()
    /** Names that were sent to the server. */
    const sent = new Set<string>()
    let limits: SocketLimits | undefined
    let greeted = false
    let count = 0
    let lastId = 0
    /** Messages that may still be sent now. Kept below the server's limit, since pongs count there too. */
    let allowed = BURST
    let countedAt = 0
    let stopPacing: (() => void) | undefined

    const pipe = createPipe(parts, events, () => {
      stopPacing?.()
      socket?.close()
      for (const { reject } of publishing.values())
        reject(new Error('The connection was lost before the server confirmed the event'))
    })

    function send(message: ClientMessage): void {
      allowed -= 1
      socket?.send(JSON.stringify(message))
    }

    function maySend(): boolean {
      const now = parts.ports.now()
      const { rate, burst } = limits ?? { rate: RATE, burst: BURST }
      const gained = (Math.max(0, now - countedAt) * rate * USED_SHARE) / 1000
      allowed = Math.min(burst * USED_SHARE, allowed + gained)
      countedAt = now
      return allowed >= 1
    }

    function subscribe(name: string, since?: string): void {
      sent.add(name)
      lastId += 1
      subscribing.set(lastId, name)
      send({ type: 'subscribe', topic: name, id: lastId, ...(since && { since }) })
    }

    /**
     * Sends one message towards the wanted topics; false if none is left. A change that is reverted before its turn is
     * never sent.
     */
    function sendNext(): boolean {
      for (const name of sent) {
        if (wanted.has(name)) continue
        sent.delete(name)
        // Another name of the same topic still needs its messages.
        const address = addresses.get(name)
        if (address !== undefined && [...sent].some((other) => addresses.get(other) === address)) return true
        send({ type: 'unsubscribe', topic: name })
        return true
      }
      for (const name of wanted) {
        if (sent.has(name)) continue
        subscribe(name, events.since(name))
        return true
      }
      for (const name of resyncs) {
        resyncs.delete(name)
        if (!sent.has(name)) continue
        subscribe(name)
        return true
      }
      return false
    }

    function sendPaced(): void {
      if (!greeted || stopPacing) return
      while (maySend()) if (!sendNext()) return
      stopPacing = parts.ports.after(SEND_INTERVAL, () => {
        stopPacing = undefined
        sendPaced()
      })
    }

    function onMessage(message: SocketMessage): void {
      // Fewer messages arrived than were sent: the connection lives, but does not deliver.
      if ('seq' in message && message.seq !== count) pipe.fail(undefined, false)
      count += 1
      if (message.type === 'hello') {
        greeted = true
        limits = message.limits
        allowed = (limits?.burst ?? BURST) * USED_SHARE
        countedAt = parts.ports.now()
      }
      const id = 'id' in message ? message.id : undefined
      const waiter = publishing.get(id)
      const name = subscribing.get(id)
      publishing.delete(id)
      subscribing.delete(id)
      if (message.type === 'subscribed') {
        if (name === undefined) return
        addresses.set(name, message.topic)
        events.onTopicRenamed(name, message.topic)
      } else if (waiter && 'problem' in message) waiter.reject(new ProblemError(message.problem))
      else if (waiter && 'position' in message) waiter.resolve(message.position)
      else if (name !== undefined && 'problem' in message)
        pipe.onMessage({ type: 'error', topic: name, problem: message.problem })
      else pipe.onMessage(message)
      if (message.type === 'hello') sendPaced()
    }

    if (socket) {
      socket.onmessage = ({ data }) => onMessage(JSON.parse(data))
      socket.onclose = ({ code }) => pipe.fail(RECONNECT_AFTER[code])
    } else parts.ports.after(0, pipe.fail)

    return {
      carry(topics) {
        wanted = new Set(topics)
        sendPaced()
      },
      resync(topic) {
        resyncs.add(topic)
        sendPaced()
      },
      close: pipe.close,
      publish(topic, event) {
        lastId += 1
        const message = { type: 'publish', id: lastId, topic, event } as const
        const size = new TextEncoder().encode(JSON.stringify(message)).length
        // Too large for the socket, or over the rate: a separate HTTP request gets its own answer and harms no other.
        if (!maySend() || size > (limits?.message ?? Number.POSITIVE_INFINITY)) return undefined
        return new Promise((resolve, reject) => {
          publishing.set(message.id, { resolve, reject })
          send(message)
        })
      },
    }
  }
  return createCarriers(createCarrier, Number.POSITIVE_INFINITY)
}
