import type { ClientMessage, Problem, Publish, RequestId, SocketMessage, Version } from '@weir/protocol'
import type { Call, Identity, MaybePromise, MessageSocket, SocketAnswer } from '../call.ts'
import { addressOf, type Encoding, Entry } from '../entry.ts'
import { asWeirError, problemOf, show, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Listener, Wire } from '../hub/hub.ts'
import { isRecord } from '../options.ts'
import { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { ReadKey } from '../topic/key.ts'
import { LogRuntime } from '../topic/log/log-runtime.ts'
import { LoggedEvent } from '../topic/log/logged-event.ts'
import { readVersion } from '../topic/version.ts'
import { callerOf } from './credential.ts'
import { entryFields } from './entry-fields.ts'
import { deflatedFrame, textFrame } from './frame.ts'
import { type Newest, newest } from './log.ts'
import { patchOf } from './patch.ts'
import { Peer, type Peers } from './peers.ts'
import { helloOf, type SseParts } from './sse.ts'
import type { Topic } from './topics.ts'

export interface WebSocketParts extends SseParts {
  readonly peers: Peers
  readonly emit: Emit
  readonly find: (topic: string, identity: Identity | undefined) => Topic
}

/** Opens a WebSocket that speaks Weir's protocol. */
export function websocket(parts: WebSocketParts, { identity, remote }: Call): SocketAnswer {
  return { kind: 'socket', open: (socket) => void new Client(parts, socket, { identity, remote }) }
}

/** Every message on a WebSocket, as a frame. */
interface Frames extends Encoding<Entry | SocketMessage>, Pick<Wire, 'steps'> {}

const PLAIN = framesBy('ws', textFrame)
const DEFLATED = framesBy('ws-deflate', deflatedFrame)

function framesBy(name: string, frame: (text: string) => Buffer): Frames {
  const frames: Frames = {
    name,
    encode: (subject) => frame(messageOf(subject)),
    steps: {
      name: `${name}-step`,
      // As a patch, when that is smaller.
      encode({ from, to }) {
        const [whole, patch] = [to.encoded.as(frames), patchOf(from, to)?.as(frames)]
        return patch !== undefined && patch.length < whole.length ? patch : whole
      },
      taken: (connection, topic) => connection instanceof Client && connection.takesPatches(topic),
    },
  }
  return frames
}

function messageOf(subject: Entry | SocketMessage): string {
  if (subject instanceof Entry) return entryMessage(subject)
  return subject instanceof LoggedEvent ? eventMessage(subject) : JSON.stringify(subject)
}

function entryMessage(entry: Entry, id?: RequestId, stale = entry.stale): string {
  return `{"type":"${entry.absent ? 'absent' : 'snapshot'}",${answering(id)}${entryFields(entry, stale)}}`
}

function eventMessage({ text }: LoggedEvent, id?: RequestId): string {
  return `{"type":"event",${answering(id)}${text.slice(1)}`
}

/** Which request is answered. */
function answering(id: RequestId | undefined): string {
  return id === undefined ? '' : `"id":${JSON.stringify(id)},`
}

/** A topic that a client has joined. */
interface Subscription {
  readonly topic: Topic
  readonly patches: boolean
}

const LONGEST_ID = 64

class Client extends Peer {
  readonly #parts: WebSocketParts
  readonly #caller: Pick<Call, 'identity' | 'remote'>
  readonly #frames: Frames
  readonly #listener: Listener
  readonly #subscriptions = new Map<string, Subscription>()
  /** Aborted when it leaves; made for the first answer that has to be waited for. */
  #leaving: AbortController | undefined

  constructor(parts: WebSocketParts, socket: MessageSocket, caller: Pick<Call, 'identity' | 'remote'>) {
    super(parts.peers, socket)
    this.#parts = parts
    this.#caller = caller
    this.#frames = socket.deflates ? DEFLATED : PLAIN
    this.#listener = parts.hub.listen(this, this.#frames)
    this.#say({ ...helloOf(parts, callerOf(caller.identity)), limits: parts.peers.limits })
  }

  takesPatches(topic: string): boolean {
    return this.#subscriptions.get(topic)?.patches === true
  }

  override closed(): void {
    this.#leaving?.abort()
    super.closed()
  }

  override expire(problem: Problem): void {
    this.#say({ type: 'goodbye', retry: 0, problem })
    super.expire(problem)
  }

  protected override beat(): void {
    const { clock, level } = this.#parts
    this.#say({ type: 'heartbeat', seq: this.sent, now: clock.now(), level: level() })
  }

  protected override refuse(detail: string, id?: RequestId): void {
    this.#fail(new WeirError('bad_message', detail), id)
  }

  protected override hear(given: unknown): boolean {
    const id = isRecord(given) && isId(given.id) ? given.id : undefined
    try {
      this.#obey(readMessage(given))
      return true
    } catch (thrown) {
      this.#fail(thrown, id)
      return asWeirError(thrown).code !== 'bad_message'
    }
  }

  #obey(message: ClientMessage): void {
    switch (message.type) {
      case 'subscribe': {
        const { topic, since, patches = true, id } = message
        try {
          const one = this.#subscribe(topic, readVersion('since', since), patches)
          if (id !== undefined) this.#say({ type: 'subscribed', id, topic: one })
        } catch (thrown) {
          if (id !== undefined) throw thrown
          this.#say({ type: 'error', topic, problem: problemOf(asWeirError(thrown)) })
        }
        break
      }
      case 'unsubscribe':
        this.#unsubscribe(this.#find(message.topic).readKey.topic)
        break
      case 'get':
        this.#get(message.topic, message.id)
        break
      case 'publish':
        this.#publish(message)
        break
      case 'ping': {
        const id = message.id === undefined ? {} : { id: message.id }
        this.#say({ type: 'pong', now: this.#parts.clock.now(), ...id })
      }
    }
  }

  /** @returns the topic's address */
  #subscribe(topic: string, since: Version | undefined, patches: boolean): string {
    const found = this.#find(topic)
    const { of, readKey } = found
    const { topics } = this.#parts.peers.limits
    this.#unsubscribe(readKey.topic)
    if (this.#subscriptions.size >= topics)
      throw new WeirError('too_many_topics', `expected at most ${topics} topics on one connection, got one more`)
    this.#subscriptions.set(readKey.topic, { topic: found, patches })
    of.watch(this.#listener, readKey, since)
    return addressOf(readKey.topic)
  }

  #unsubscribe(topic: string): void {
    const subscription = this.#subscriptions.get(topic)
    if (subscription === undefined) return
    this.#subscriptions.delete(topic)
    const { of, readKey } = subscription.topic
    of.unwatch(this.#listener, readKey)
  }

  #get(topic: string, id: RequestId): void {
    const { of, readKey } = this.#find(topic)
    const had = of instanceof LogRuntime ? newest(of, readKey, this.#caller.remote) : this.#read(of, readKey)
    // Asked for by itself, it is followed by no heartbeat that would say so.
    const shown = (had: Entry | Newest) =>
      this.#show(had, id, had instanceof Entry && of instanceof FeedRuntime ? of.stale(had) : undefined)
    if (had instanceof Entry) shown(had)
    else
      had.then(
        (had) => shown(had),
        (thrown) => this.#fail(thrown, id),
      )
  }

  #publish({ topic, event, id }: Publish): void {
    const { of, readKey } = this.#find(topic)
    if (!(of instanceof LogRuntime))
      throw new WeirError('not_published', `${show(topic)}: expected the address of a log, got that of a feed`)
    of.submit(readKey, event, this.#caller.identity).then(
      (position) => this.#say({ type: 'published', id, position }),
      (thrown) => this.#fail(thrown, id),
    )
  }

  #read(feed: FeedRuntime, readKey: ReadKey): MaybePromise<Entry> {
    const hit = feed.fresh(readKey.topic) !== undefined
    if (!hit) this.#leaving ??= new AbortController()
    return feed.read(readKey, { client: this.#caller.remote, signal: hit ? undefined : this.#leaving?.signal })
  }

  #find(topic: string): Topic {
    return this.#parts.find(topic, this.#caller.identity)
  }

  #show(had: Entry | Newest, id: RequestId, stale?: boolean): void {
    if (had instanceof Entry || had instanceof LoggedEvent) {
      const frame = this.#frames === PLAIN ? textFrame : deflatedFrame
      this.write(frame(had instanceof Entry ? entryMessage(had, id, stale) : eventMessage(had, id)))
    } else this.#fail(new WeirError('absent', `${had.topic}: the log keeps no event`), id)
  }

  #fail(thrown: unknown, id: RequestId | undefined): void {
    // The client has left: the answer has no reader, and nothing failed.
    if (this.#leaving?.signal.aborted === true) return
    const error = asWeirError(thrown)
    if (error.code === 'internal') this.#parts.emit({ type: 'failed', where: 'websocket', error: thrown })
    const problem = problemOf(error)
    this.#say({ type: 'error', ...(id === undefined ? {} : { id }), problem })
  }

  #say(message: SocketMessage): void {
    this.write(this.#frames.encode(message))
  }
}

/** @throws WeirError `bad_message` naming what was expected and what came */
function readMessage(given: unknown): ClientMessage {
  if (!isRecord(given)) throw bad('an object', given)
  const { type, topic, id, since, patches } = given
  if (typeof type !== 'string' || !Object.hasOwn(TYPES, type))
    throw bad(`type: ${Object.keys(TYPES).join(', ')}`, given.type)
  const { named, numbered } = TYPES[type as ClientMessage['type']]
  if (named && typeof topic !== 'string') throw bad('topic: the address of a value', topic)
  if (id === undefined ? numbered : !isId(id))
    throw bad(`id: a whole number, or a text of at most ${LONGEST_ID} characters`, id)
  if (since !== undefined && typeof since !== 'string') throw bad('since: a version', since)
  if (patches !== undefined && typeof patches !== 'boolean') throw bad('patches: true or false', patches)
  return given as unknown as ClientMessage
}

/** Which messages need a topic, and an id. */
const TYPES: Readonly<Record<ClientMessage['type'], { readonly named: boolean; readonly numbered: boolean }>> = {
  subscribe: { named: true, numbered: false },
  unsubscribe: { named: true, numbered: false },
  get: { named: true, numbered: true },
  publish: { named: true, numbered: true },
  ping: { named: false, numbered: false },
}

function isId(id: unknown): id is RequestId {
  return typeof id === 'string' ? id.length <= LONGEST_ID : Number.isSafeInteger(id)
}

function bad(expected: string, got: unknown): WeirError {
  return new WeirError('bad_message', `expected ${expected}, got ${show(got)}`)
}
