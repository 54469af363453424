import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Address, lamports, type Signature } from '@solana/kit'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Sockets } from '../upstream.ts'
import { type Existing, showAccount } from './accounts.ts'
import { type Chain, type Change, type Commitment, DEPTH } from './chain.ts'
import type { Processed } from './history.ts'
import { stringify } from './json.ts'
import { type AccountOptions, type Filter, Params, toAddress, toSignature } from './params.ts'
import { type RpcCall, readRequest } from './request.ts'
import { invalidParams, methodNotFound, RpcError } from './rpc-error.ts'

const SYSTEM_PROGRAM = '11111111111111111111111111111111'

/** What there is to be told: that an account has changed, or what became of a transaction. */
type News = Change | Processed

interface Subscription {
  readonly id: number
  readonly socket: WebSocket
  readonly kind: 'account' | 'program' | 'slot' | 'logs' | 'signature'
  readonly commitment: Commitment
  /** What it is told of some news; undefined for nothing. */
  hear(news: News): unknown
}

/**
 * The subscriptions of a node. As Agave has it: nothing is told at the beginning and nothing again, so who comes back
 * must fetch; and the first subscription's id is 0.
 */
export class Subscriptions implements Sockets {
  readonly fault = 'socket-drop'
  /** How many slots all that is told lies back. */
  lag: () => number = () => 0
  readonly #chain: Chain
  readonly #server = new WebSocketServer({ noServer: true })
  readonly #subscriptions = new Map<number, Subscription>()
  /** What is still to be told at each commitment: of several changes of an account in one slot, the last counts. */
  readonly #due: Readonly<Record<Commitment, Map<string, News>>> = {
    processed: new Map(),
    confirmed: new Map(),
    finalized: new Map(),
  }
  #last = -1
  /** The newest that was told. */
  #slot = 0
  #told = 0

  constructor(chain: Chain) {
    this.#chain = chain
    chain.listen({
      changed: (changes) => this.#heard(changes),
      passed: () => this.#passed(),
      processed: (processed) => this.#heard([processed]),
    })
  }

  get gauges(): Readonly<Record<string, number>> {
    return { sockets: this.#server.clients.size, subscriptions: this.#subscriptions.size, notifications: this.#told }
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (message) => this.#receive(client, String(message)))
      // A frame that breaks the protocol ends its connection, and nothing else.
      client.on('error', () => client.terminate())
      client.on('close', () => {
        for (const { id, socket } of this.#subscriptions.values()) if (socket === client) this.#subscriptions.delete(id)
      })
    })
  }

  cut(): void {
    for (const client of this.#server.clients) client.terminate()
    this.#subscriptions.clear()
    this.#slot = 0
    for (const due of Object.values(this.#due)) due.clear()
  }

  #receive(client: WebSocket, text: string): void {
    const { batch, calls } = readRequest(text)
    const answers = calls.map((call) => this.#answer(client, call)).filter((answer) => answer !== undefined)
    if (answers.length > 0) client.send(batch ? `[${answers.join()}]` : answers.join())
  }

  #answer(client: WebSocket, call: RpcCall): string | undefined {
    const { id, method, params, error } = call
    try {
      if (error !== undefined) throw error
      const result = this.#call(client, method, new Params(params))
      return id === undefined ? undefined : stringify({ jsonrpc: '2.0', result, id })
    } catch (thrown) {
      if (!(thrown instanceof RpcError)) throw thrown
      return id === undefined ? undefined : stringify({ jsonrpc: '2.0', error: thrown, id })
    }
  }

  #call(socket: WebSocket, method: string, params: Params): unknown {
    switch (method) {
      case 'slotSubscribe':
        return this.#add({ socket, kind: 'slot', commitment: 'processed', hear: () => undefined })
      case 'accountSubscribe': {
        const address = params.address(0)
        const options = params.accountOptions(1, 'legacy')
        const hear = (news: News) =>
          'address' in news && news.address === address ? this.#showAccount(news, options) : undefined
        return this.#add({ socket, kind: 'account', commitment: params.commitment(1), hear })
      }
      case 'programSubscribe': {
        const program = params.address(0)
        const options = params.accountOptions(1, 'legacy')
        const filter = params.filters(1)
        const hear = (news: News) => ('address' in news ? this.#showOwned(news, program, filter, options) : undefined)
        return this.#add({ socket, kind: 'program', commitment: params.commitment(1), hear })
      }
      case 'logsSubscribe': {
        const wanted = readMentions(params.value(0))
        const hear = (news: News) =>
          'signature' in news && (wanted === undefined || news.before.some(({ address }) => address === wanted))
            ? { signature: news.signature, err: news.error, logs: news.logs }
            : undefined
        return this.#add({ socket, kind: 'logs', commitment: params.commitment(1), hear })
      }
      case 'signatureSubscribe':
        return this.#await(socket, toSignature(params.text(0)), params.commitment(1))
      case 'slotUnsubscribe':
      case 'logsUnsubscribe':
      case 'signatureUnsubscribe':
      case 'accountUnsubscribe':
      case 'programUnsubscribe':
        return this.#remove(socket, method.slice(0, -'Unsubscribe'.length), params.number(0))
      default:
        throw methodNotFound()
    }
  }

  #add(subscription: Omit<Subscription, 'id'>): number {
    this.#last += 1
    this.#subscriptions.set(this.#last, { ...subscription, id: this.#last })
    return this.#last
  }

  /** One piece of news, and the subscription is over. What is known already is told at once. */
  #await(socket: WebSocket, signature: Signature, commitment: Commitment): number {
    const hear = (news: News) => ('signature' in news && news.signature === signature ? { err: news.error } : undefined)
    const id = this.#add({ socket, kind: 'signature', commitment, hear })
    const known = this.#chain.history.get(signature)
    // Not before the answer that has the subscription's id.
    if (known !== undefined && known.slot <= this.#view(commitment)) setImmediate(() => this.#tellOne(id, known))
    return id
  }

  #remove(socket: WebSocket, kind: string, id: number): true {
    const found = this.#subscriptions.get(id)
    if (found?.socket !== socket || found.kind !== kind) throw invalidParams('Invalid subscription id.')
    this.#subscriptions.delete(id)
    return true
  }

  #heard(all: readonly News[]): void {
    for (const due of Object.values(this.#due)) {
      for (const news of all) due.set('address' in news ? `${news.slot} ${news.address}` : news.signature, news)
    }
    this.#tell('processed')
  }

  #passed(): void {
    const slot = this.#view('processed')
    // A node that falls behind stands still for as long as it takes: it goes back for nobody.
    if (slot > this.#slot) {
      this.#slot = slot
      const result = { parent: slot - 1, root: slot - DEPTH.finalized, slot }
      for (const subscription of this.#subscriptions.values()) {
        if (subscription.kind === 'slot') this.#notify(subscription, result)
      }
    }
    this.#tell('processed')
    this.#tell('confirmed')
    this.#tell('finalized')
  }

  /** The newest slot at a commitment. */
  #view(commitment: Commitment): number {
    return this.#chain.slot - this.lag() - DEPTH[commitment]
  }

  #tell(commitment: Commitment): void {
    const due = this.#due[commitment]
    for (const [key, news] of due) {
      if (news.slot > this.#view(commitment)) return
      due.delete(key)
      for (const { id, commitment: wanted } of this.#subscriptions.values()) {
        if (wanted === commitment) this.#tellOne(id, news)
      }
    }
  }

  #tellOne(id: number, news: News): void {
    const subscription = this.#subscriptions.get(id)
    const value = subscription?.hear(news)
    if (subscription === undefined || value === undefined) return
    if (subscription.kind === 'signature') this.#subscriptions.delete(id)
    this.#notify(subscription, { context: { slot: news.slot }, value })
  }

  #notify({ id, kind, socket }: Subscription, result: unknown): void {
    this.#told += 1
    socket.send(stringify({ jsonrpc: '2.0', method: `${kind}Notification`, params: { result, subscription: id } }))
  }

  #showAccount({ address, slot }: Change, options: AccountOptions): unknown {
    const account = this.#chain.account(address, slot)
    return this.#show(account.exists ? account : closed(address), slot, options)
  }

  #showOwned({ address, slot }: Change, program: Address, filter: Filter, options: AccountOptions): unknown {
    const account = this.#chain.account(address, slot)
    if (!account.exists || account.programAddress !== program || !filter(account.data)) return undefined
    return { pubkey: address, account: this.#show(account, slot, options) }
  }

  #show(account: Existing, slot: number, options: AccountOptions): unknown {
    return showAccount(account, options, (mint) => this.#chain.account(mint, slot))
  }
}

/** The address whose transactions are asked for; undefined for all. */
function readMentions(filter: unknown): Address | undefined {
  if (filter === 'all' || filter === 'allWithVotes') return undefined
  const { mentions }: Record<string, unknown> = { ...Object(filter) }
  if (!Array.isArray(mentions)) throw invalidParams('Invalid params: expected `all`, `allWithVotes` or `mentions`.')
  if (mentions.length !== 1) throw invalidParams('Invalid Request: Only 1 address supported')
  return toAddress(mentions[0])
}

/** An account that is gone looks like one of the system's, empty. */
function closed(address: Address): Existing {
  return {
    address,
    exists: true,
    lamports: lamports(0n),
    programAddress: toAddress(SYSTEM_PROGRAM),
    data: new Uint8Array(),
    executable: false,
    space: 0n,
  }
}
