import type { Problem, SocketMessage, Subscribed } from '@weir/protocol'
import type { Ports } from './ports.ts'

/** Messages of a server, except `subscribed`, which the transport handles. */
export type IncomingMessage = Exclude<SocketMessage, Subscribed>

/** A transport in use. It delivers messages about topics until it is closed or lost. */
export interface Link {
  /** Sets the topics to deliver. */
  want(topics: readonly string[]): void
  /** Requests a whole value again, because a message was missed. */
  resync(topic: string): void
  close(): void
  /** Appends an event to a log and returns its position. Undefined if the transport cannot, or cannot send this event. */
  readonly publish?: ((topic: string, event: unknown) => Promise<string> | undefined) | undefined
}

export interface LinkEvents {
  /** @param lineage the lineage of the connection's versions */
  onMessage(message: IncomingMessage, lineage?: string): void
  /**
   * The link ended and is closed.
   *
   * @param pause how long the server asks to wait, in milliseconds
   * @param graceful true after a goodbye, false after silence, undefined if unknown
   * @param problem the reason, if the server gave one
   */
  onLost(pause?: number, graceful?: boolean, problem?: Problem): void
  /** The canonical address of a topic. */
  onTopicRenamed(topic: string, address: string): void
  /** The version that the client has of a topic. */
  since(topic: string): string | undefined
}

export interface LinkParts {
  readonly ports: Ports
  /** The address of the server: `https://example.com`. */
  readonly url: string
  /** The address for WebSockets, if different. */
  readonly socketUrl?: string
  /** How long the first message may take, in milliseconds. */
  readonly connectTimeout: number
  /** Polling interval for several topics, in milliseconds. */
  readonly interval: number
  /** Renews the credential when that of a connection has expired. */
  readonly renew?: () => unknown
}

export type OpenLink = (parts: LinkParts, events: LinkEvents) => Link

/** One connection of a link. */
export interface Pipe {
  onMessage(message: IncomingMessage): void
  /** The connection broke or was refused. */
  fail(pause?: number, graceful?: boolean, problem?: Problem): void
  /** Extends the allowed silence once by this many milliseconds. */
  extendSilence(milliseconds: number): void
  close(): void
}

/** Supervises one connection: it is closed after two heartbeats of silence. After the close no message is delivered. */
export function createPipe({ ports, connectTimeout }: LinkParts, events: LinkEvents, end: () => void): Pipe {
  let limit = connectTimeout
  let open = true
  let lineage: string | undefined
  const silent = () => fail(undefined, false)
  let stopTimer = ports.after(limit, silent)
  function close(): void {
    if (!open) return
    open = false
    stopTimer()
    end()
  }
  function fail(pause?: number, graceful?: boolean, problem?: Problem): void {
    if (!open) return
    close()
    events.onLost(pause, graceful, problem)
  }
  return {
    close,
    fail,
    extendSilence(milliseconds) {
      if (!open) return
      stopTimer()
      stopTimer = ports.after(limit + milliseconds, silent)
    },
    onMessage(message) {
      if (!open) return
      if (message.type === 'hello') {
        limit = 2 * message.heartbeat
        lineage = message.lineage
      }
      stopTimer()
      stopTimer = ports.after(limit, silent)
      if (message.type === 'goodbye') fail(message.retry, true, message.problem)
      else events.onMessage(message, lineage)
    },
  }
}

/** One connection with its topics. */
export interface Carrier extends Omit<Link, 'want'> {
  /** Sets the topics, at least one. */
  carry(topics: readonly string[]): void
}

/** Limits of the server for one connection: topics, and length of the address. */
const MAX_TOPICS = 500
const MAX_QUERY = 7000
/** Length of a topic in an address besides its name: the parameter, and its `since` version. */
const PARAMETER_LENGTH = 40

/** Formats topics for an address, each with the version that the client has if `since` is given. */
export function topicQuery(topics: readonly string[], since?: LinkEvents['since']): string {
  return topics
    .map((topic) => `topic=${encodeURIComponent(topic)}${since ? `&since=${since(topic) ?? ''}` : ''}`)
    .join('&')
}

/** Adds to the query of an address. */
export function withQuery(topic: string, query: string): string {
  return `${topic}${topic.includes('?') ? '&' : '?'}${query}`
}

/** Splits topics into groups that fit one connection, in order. */
export function splitTopics(topics: readonly string[], longest = MAX_QUERY): readonly (readonly string[])[] {
  let part: string[] = []
  let room = 0
  const parts: string[][] = []
  for (const topic of topics) {
    const length = encodeURIComponent(topic).length + PARAMETER_LENGTH
    room -= length
    if (room < 0 || part.length === MAX_TOPICS) {
      part = []
      room = longest - length
      parts.push(part)
    }
    part.push(topic)
  }
  return parts
}

/** Opens as many connections as the topics need. Connections whose topics stay are not touched. */
export function createCarriers(open: () => Carrier, longest?: number): Link {
  let carriers: { readonly carrier: Carrier; readonly topics: readonly string[] }[] = []
  return {
    want(topics) {
      const parts = splitTopics(topics, longest)
      for (const { carrier } of carriers.splice(parts.length)) carrier.close()
      carriers = parts.map((topics, index) => {
        const { carrier, topics: before } = carriers[index] ?? { carrier: open(), topics: [] }
        if (String(before) !== String(topics)) carrier.carry(topics)
        return { carrier, topics }
      })
    },
    resync(topic) {
      for (const { carrier, topics } of carriers) if (topics.includes(topic)) carrier.resync(topic)
    },
    close() {
      for (const { carrier } of carriers) carrier.close()
    },
    get publish() {
      return carriers[0]?.carrier.publish
    },
  }
}
