import type { Problem } from '@weir/protocol'
import { type GraphQLError, type GraphQLFormattedError, GraphQLError as Refusal } from 'graphql'
import {
  CloseCode,
  GRAPHQL_TRANSPORT_WS_PROTOCOL,
  type Message,
  MessageType,
  type SubscribePayload,
  validateMessage,
} from 'graphql-ws'
import type { Call, Connection, ConnectionOwner, MessageSocket, SocketAnswer } from '../../call.ts'
import type { Clock, Timer } from '../../clock.ts'
import type { Encoded } from '../../entry.ts'
import { show, WeirError } from '../../errors.ts'
import type { Hub, Wire } from '../../hub/hub.ts'
import { textFrame } from '../frame.ts'
import { Peer, type Peers } from '../peers.ts'
import type { GraphqlContext, News } from './context.ts'
import type { CodedError } from './error-codes.ts'
import type { Followed, SharedSubscription } from './shared-subscription.ts'

export interface GraphqlSocketParts {
  readonly hub: Hub
  readonly peers: Peers
  readonly clock: Clock
  readonly coded: CodedError
  /** Whether there is room for one more subscription. @throws WeirError `too_many_connections`, `draining`, `maintenance` */
  readonly checkRoom: () => void
  /** Runs an operation: a subscription to follow, the JSON text of a result, or why it can't be run. */
  readonly run: (
    operation: SubscribePayload,
    asker: GraphqlContext,
  ) => Promise<Followed | string | readonly GraphQLError[]>
}

/** How long a client may take to say that it begins, in milliseconds. */
const BEGIN_WITHIN = 3000

/** Bytes of the longest reason of a close (RFC 6455, 5.5). */
const LONGEST_REASON = 123

const NOTHING = Buffer.alloc(0)

/** The hub sends nothing to the socket itself; it only counts and closes it. */
const SILENT: Wire = { name: 'graphql-socket', encode: () => NOTHING }

/**
 * Opens WebSockets that speak `graphql-transport-ws` (the protocol of graphql-ws): what clients say is checked by graphql-ws, what
 * they are sent comes from the hub.
 */
export function graphqlSocket(parts: GraphqlSocketParts): (call: Call) => SocketAnswer {
  return (call) => {
    const given = call.header('sec-websocket-protocol')
    if (!given?.split(',').some((name) => name.trim() === GRAPHQL_TRANSPORT_WS_PROTOCOL)) {
      const expected = `expected ${GRAPHQL_TRANSPORT_WS_PROTOCOL}, got ${show(given)}`
      throw new WeirError('bad_request', `Sec-WebSocket-Protocol: ${expected}`)
    }
    const { identity, remote: client } = call
    return {
      kind: 'socket',
      protocol: GRAPHQL_TRANSPORT_WS_PROTOCOL,
      open(socket) {
        parts.hub.listen(new Client(parts, socket, { identity, client }), SILENT)
      },
    }
  }
}

/** One WebSocket with its operations. */
class Client extends Peer {
  readonly #parts: GraphqlSocketParts
  readonly #asker: GraphqlContext
  readonly #operations = new Map<string, Operation>()
  readonly #late: Timer
  /** Aborted when the client leaves, so that its operations end. */
  readonly #leaving = new AbortController()
  #begun = false

  constructor(parts: GraphqlSocketParts, socket: MessageSocket, caller: Omit<GraphqlContext, 'signal'>) {
    super(parts.peers, socket)
    this.#parts = parts
    this.#asker = { ...caller, signal: this.#leaving.signal }
    this.#late = parts.clock.after(BEGIN_WITHIN, () =>
      this.cut(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout'),
    )
  }

  say(message: Message): void {
    this.write(textFrame(JSON.stringify(message)))
  }

  override expire({ code, detail }: Problem): void {
    this.cut(CloseCode.Forbidden, `${code}: ${detail}`)
  }

  override drained(): void {
    super.drained()
    for (const operation of this.#operations.values()) operation.owner?.drained()
  }

  override closed(): void {
    this.#late.stop()
    this.#leaving.abort()
    for (const operation of this.#operations.values()) operation.owner?.closed()
    this.#operations.clear()
    super.closed()
  }

  cut(code: CloseCode, reason: string): void {
    this.socket.end(
      code,
      Buffer.from(reason)
        .subarray(0, LONGEST_REASON)
        .toString()
        .replace(/\uFFFD$/, ''),
    )
  }

  protected override hear(given: unknown): boolean {
    let message: Message
    try {
      message = validateMessage(given)
    } catch (error) {
      this.cut(CloseCode.BadRequest, error instanceof Error ? error.message : 'Invalid message received')
      return false
    }
    if (message.type === MessageType.ConnectionInit) this.#begin()
    else if (message.type === MessageType.Subscribe) this.#subscribe(message.id, message.payload)
    else if (message.type === MessageType.Complete) this.#complete(message.id)
    else if (message.type === MessageType.Ping) this.say({ ...message, type: MessageType.Pong })
    else if (message.type !== MessageType.Pong)
      this.cut(CloseCode.BadRequest, `Unexpected message of type ${message.type} received`)
    return true
  }

  protected override refuse(): void {
    this.cut(CloseCode.BadRequest, 'Invalid message received')
  }

  #begin(): void {
    if (this.#begun) this.cut(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests')
    else this.say({ type: MessageType.ConnectionAck })
    this.#begun = true
    this.#late.stop()
  }

  #subscribe(id: string, payload: SubscribePayload): void {
    const operations = this.#operations
    const { topics } = this.#parts.peers.limits
    if (!this.#begun) this.cut(CloseCode.Unauthorized, 'Unauthorized')
    else if (operations.has(id)) this.cut(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`)
    else if (operations.size >= topics)
      this.#fail(
        id,
        new WeirError('too_many_topics', `expected at most ${topics} operations on a connection, got more`),
      )
    else {
      const operation = new Operation(this, id)
      operations.set(id, operation)
      this.#run(operation, payload).catch((thrown) => {
        if (operations.get(id) !== operation) return
        operations.delete(id)
        this.#fail(id, thrown)
      })
    }
  }

  async #run(operation: Operation, payload: SubscribePayload): Promise<void> {
    const { id } = operation
    const { hub, checkRoom, run } = this.#parts
    const outcome = await run(payload, this.#asker)
    // It was given up meanwhile, or the client is gone.
    if (this.#operations.get(id) !== operation) return
    if (typeof outcome === 'object' && 'follow' in outcome) {
      checkRoom()
      operation.follow = outcome.follow
      outcome.join(hub.listen(operation, operation))
      return
    }
    this.#operations.delete(id)
    if (typeof outcome !== 'string') {
      this.#refuse(id, outcome)
      return
    }
    this.write(nextFrame(id, outcome))
    this.say({ id, type: MessageType.Complete })
  }

  #fail(id: string, thrown: unknown): void {
    const originalError = thrown instanceof Error ? thrown : new Error(String(thrown))
    this.#refuse(id, [this.#parts.coded(new Refusal(originalError.message, { originalError }))])
  }

  #refuse(id: string, errors: readonly GraphQLError[]): void {
    const payload: readonly GraphQLFormattedError[] = errors.map((error) => error.toJSON())
    this.say({ id, type: MessageType.Error, payload: [...payload] })
  }

  #complete(id: string): void {
    this.#operations.get(id)?.owner?.closed()
    this.#operations.delete(id)
  }
}

/** A result of an operation. */
function nextFrame(id: string, result: string): Buffer {
  return textFrame(`{"id":${JSON.stringify(id)},"type":"next","payload":${result}}`)
}

/**
 * One subscription of a client: to the hub a connection like others, on the client's socket. Its wire is its own, since each
 * message names the operation; the result in it is everybody's.
 */
class Operation implements Connection, Wire {
  readonly name = 'graphql-operation'
  readonly id: string
  owner: ConnectionOwner | undefined
  follow: SharedSubscription | undefined
  readonly #client: Client

  constructor(client: Client, id: string) {
    this.#client = client
    this.id = id
  }

  /** The goodbye is the closing of the connection. */
  encode(): Buffer {
    return NOTHING
  }

  said(news: Encoded<News>): Buffer {
    const result = this.follow?.result(news) ?? ''
    return result === '' ? NOTHING : nextFrame(this.id, result)
  }

  write(frame: Uint8Array): boolean {
    return this.#client.write(frame)
  }

  cork(): void {
    this.#client.cork()
  }

  uncork(): void {
    this.#client.uncork()
  }

  get waiting(): number {
    return this.#client.waiting
  }

  close(): void {
    this.#client.close()
  }
}
