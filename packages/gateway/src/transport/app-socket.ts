import type { Call, MessageSocket, SocketAnswer } from '../call.ts'
import { Entry } from '../entry.ts'
import type { Emit } from '../events.ts'
import type { Hub, Wire } from '../hub/hub.ts'
import { stringifyJson } from '../json.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { AppSocket, SocketClient } from '../topic/socket.ts'
import { deflatedFrame, textFrame } from './frame.ts'
import { Peer, type Peers } from './peers.ts'

export interface AppSocketParts {
  readonly hub: Hub
  readonly peers: Peers
  readonly emit: Emit
  readonly feedOf: (path: string) => FeedRuntime
}

/** Opens WebSockets that speak an app's own messages. */
export function appSocket(parts: AppSocketParts, declared: AppSocket): (call: Call) => SocketAnswer {
  const plain = wireOf(parts.emit, declared, 'app', textFrame)
  const deflated = wireOf(parts.emit, declared, 'app-deflate', deflatedFrame)
  const followed = declared.follow.map(({ feed, readKey }) => ({ feed: parts.feedOf(feed.path), readKey }))
  return ({ identity }) => ({
    kind: 'socket',
    open(socket) {
      const client = new Client(parts, socket, declared, identity)
      const listener = parts.hub.listen(client, socket.deflates ? deflated : plain)
      for (const { feed, readKey } of followed) feed.watch(listener, readKey, undefined)
    },
  })
}

/** Stands for what the app has no message for: nothing is sent. */
const UNSAID = Buffer.alloc(0)

function wireOf(emit: Emit, { path, follow }: AppSocket, name: string, frame: (text: string) => Buffer): Wire {
  const says = new Map(follow.map(({ readKey, say }) => [readKey.topic, say]))
  return {
    name,
    encode(subject) {
      const say = subject instanceof Entry && !subject.absent ? says.get(subject.topic) : undefined
      if (say === undefined) return UNSAID
      try {
        const text = stringifyJson(say((subject as Entry).value))
        return text === undefined ? UNSAID : frame(text)
      } catch (error) {
        emit({ type: 'failed', where: `socket ${path}`, error })
        return UNSAID
      }
    },
  }
}

class Client extends Peer implements SocketClient {
  readonly identity: Call['identity']
  readonly #declared: AppSocket
  readonly #emit: Emit

  constructor({ peers, emit }: AppSocketParts, socket: MessageSocket, declared: AppSocket, identity: Call['identity']) {
    super(peers, socket)
    this.identity = identity
    this.#declared = declared
    this.#emit = emit
  }

  send(message: unknown): void {
    const text = stringifyJson(message)
    if (text !== undefined) this.write((this.socket.deflates ? deflatedFrame : textFrame)(text))
  }

  protected override hear(message: unknown): boolean {
    const { receive, path } = this.#declared
    // In a promise, so that what it throws at once fails no other.
    Promise.resolve(message)
      .then((message) => receive(message, this))
      .catch((error: unknown) => this.#emit({ type: 'failed', where: `socket ${path}`, error }))
    return true
  }

  protected override refuse(): void {
    // The app has no message for it. A client that goes on is disconnected.
  }
}
