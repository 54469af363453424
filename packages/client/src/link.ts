import type { Problem, SocketMessage, Subscribed } from '@weir/protocol'
import type { Ports } from './ports.ts'

/** What servers say here: nobody asks for `subscribed`. */
export type IncomingMessage = Exclude<SocketMessage, Subscribed>

/** One transport at work: it carries what is said of topics until it is closed or lost. */
export interface Link {
  /** From now on these topics, and no others. */
  want(topics: readonly string[]): void
  /** Has this topic said anew, whole: something of it was missed. */
  resync(topic: string): void
  close(): void
  /** Puts an event into a log; the position it got. Undefined where the transport can't, or can't take this event. */
  readonly publish?: ((topic: string, event: unknown) => Promise<string> | undefined) | undefined
}

export interface LinkEvents {
  /** `lineage`: of the versions of the connection that it came on. */
  onMessage(message: IncomingMessage, lineage?: string): void
  /**
   * The link is over, and closed. `pause` is what the server wants to be waited for, in milliseconds. `fair`: it said goodbye; false:
   * it fell silent; undefined: it is not known. `problem`: why, where the server says it.
   */
  onLost(pause?: number, fair?: boolean, problem?: Problem): void
  /** The server's one address of a topic. */
  onTopicRenamed(topic: string, address: string): void
  /** The version that is had of a topic. */
  since(topic: string): string | undefined
}

export interface LinkParts {
  readonly ports: Ports
  /** Where the server is: `https://example.com`. */
  readonly url: string
  /** Where its WebSockets are, if not there. */
  readonly socketUrl?: string
  /** How long the first word may take, in milliseconds. */
  readonly connectTimeout: number
  /** How often many topics are asked for where nothing streams, in milliseconds. */
  readonly interval: number
  /** Gets another credential when the one of a connection has expired. */
  readonly renew?: () => unknown
}

export type OpenLink = (parts: LinkParts, ears: LinkEvents) => Link

/** One connection of a link. */
export interface Pipe {
  onMessage(message: IncomingMessage): void
  /** It broke, or was refused. */
  fail(pause?: number, fair?: boolean, problem?: Problem): void
  /** Nothing is to come for so many milliseconds, beside the silence that is usual. */
  rest(milliseconds: number): void
  close(): void
}

/** Watches over one connection: it is given up after two heartbeats of silence. Nothing is heard of it once it is closed. */
export function createPipe({ ports, connectTimeout }: LinkParts, ears: LinkEvents, end: () => void): Pipe {
  let limit = connectTimeout
  let open = true
  let lineage: string | undefined
  const silent = () => fail(undefined, false)
  let hush = ports.after(limit, silent)
  function close(): void {
    if (!open) return
    open = false
    hush()
    end()
  }
  function fail(pause?: number, fair?: boolean, problem?: Problem): void {
    if (!open) return
    close()
    ears.onLost(pause, fair, problem)
  }
  return {
    close,
    fail,
    rest(milliseconds) {
      if (!open) return
      hush()
      hush = ports.after(limit + milliseconds, silent)
    },
    onMessage(message) {
      if (!open) return
      if (message.type === 'hello') {
        limit = 2 * message.heartbeat
        lineage = message.lineage
      }
      hush()
      hush = ports.after(limit, silent)
      if (message.type === 'goodbye') fail(message.retry, true, message.problem)
      else ears.onMessage(message, lineage)
    },
  }
}

/** One connection with the topics it carries. */
export interface Carrier extends Omit<Link, 'want'> {
  /** From now on these: never none. */
  carry(topics: readonly string[]): void
}

/** What one connection carries, by the server's limits: so many topics, and so long an address. */
const MOST_TOPICS = 500
const LONGEST_QUERY = 7000
/** What a topic takes in an address beside itself: its parameter, and the version that is had of it. */
const NAMED = 40

/** Topics as they stand in an address, each with what is had of it where that is asked for. */
export function topicQuery(topics: readonly string[], since?: LinkEvents['since']): string {
  return topics
    .map((topic) => `topic=${encodeURIComponent(topic)}${since ? `&since=${since(topic) ?? ''}` : ''}`)
    .join('&')
}

/** The address of a topic with something more in its query. */
export function within(topic: string, query: string): string {
  return `${topic}${topic.includes('?') ? '&' : '?'}${query}`
}

/** Topics in the order given, parted into what one connection carries. */
export function partTopics(topics: readonly string[], longest = LONGEST_QUERY): readonly (readonly string[])[] {
  let part: string[] = []
  let room = 0
  const parts: string[][] = []
  for (const topic of topics) {
    const length = encodeURIComponent(topic).length + NAMED
    room -= length
    if (room < 0 || part.length === MOST_TOPICS) {
      part = []
      room = longest - length
      parts.push(part)
    }
    part.push(topic)
  }
  return parts
}

/** As many connections as the topics take; those whose topics stay are left alone. */
export function createFleet(open: () => Carrier, longest?: number): Link {
  let fleet: { readonly carrier: Carrier; readonly topics: readonly string[] }[] = []
  return {
    want(topics) {
      const parts = partTopics(topics, longest)
      for (const { carrier } of fleet.splice(parts.length)) carrier.close()
      fleet = parts.map((topics, index) => {
        const { carrier, topics: before } = fleet[index] ?? { carrier: open(), topics: [] }
        if (String(before) !== String(topics)) carrier.carry(topics)
        return { carrier, topics }
      })
    },
    resync(topic) {
      for (const { carrier, topics } of fleet) if (topics.includes(topic)) carrier.resync(topic)
    },
    close() {
      for (const { carrier } of fleet) carrier.close()
    },
    get publish() {
      return fleet[0]?.carrier.publish
    },
  }
}
