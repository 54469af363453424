import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Address, lamports, address as toAddress } from '@solana/kit'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Sockets } from '../upstream.ts'
import { type Existing, showAccount } from './accounts.ts'
import { type Chain, type Change, type Commitment, DEPTH } from './chain.ts'
import { stringify } from './json.ts'
import { type AccountOptions, type Filter, Params } from './params.ts'
import { type RpcCall, readRequest } from './request.ts'
import { invalidParams, methodNotFound, RpcError } from './rpc-error.ts'

const SYSTEM_PROGRAM = '11111111111111111111111111111111'

interface Subscription {
  readonly id: number
  readonly socket: WebSocket
  readonly kind: 'account' | 'program' | 'slot'
  readonly commitment: Commitment
  /** What it is told of a change; undefined for nothing. */
  hear(change: Change): unknown
}

/**
 * The subscriptions of a node. As Agave has it: nothing is told at the beginning and nothing again, so who comes back
 * must fetch; and the first subscription's id is 0.
 */
export class Subscriptions implements Sockets {
  readonly fault = 'socket-drop'
  readonly #chain: Chain
  readonly #server = new WebSocketServer({ noServer: true })
  readonly #subscriptions = new Map<number, Subscription>()
  /** What is still to be told at each commitment, by slot and address: of several changes in one slot, the last counts. */
  readonly #due: Readonly<Record<Commitment, Map<string, Change>>> = {
    processed: new Map(),
    confirmed: new Map(),
    finalized: new Map(),
  }
  #last = -1
  #told = 0

  constructor(chain: Chain) {
    this.#chain = chain
    chain.listen(
      (changes) => this.#changed(changes),
      (slot) => this.#passed(slot),
    )
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
        const hear = (change: Change) => (change.address === address ? this.#showAccount(change, options) : undefined)
        return this.#add({ socket, kind: 'account', commitment: params.commitment(1), hear })
      }
      case 'programSubscribe': {
        const program = params.address(0)
        const options = params.accountOptions(1, 'legacy')
        const filter = params.filters(1)
        const hear = (change: Change) => this.#showOwned(change, program, filter, options)
        return this.#add({ socket, kind: 'program', commitment: params.commitment(1), hear })
      }
      case 'slotUnsubscribe':
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

  #remove(socket: WebSocket, kind: string, id: number): true {
    const found = this.#subscriptions.get(id)
    if (found?.socket !== socket || found.kind !== kind) throw invalidParams('Invalid subscription id.')
    this.#subscriptions.delete(id)
    return true
  }

  #changed(changes: readonly Change[]): void {
    if (this.#subscriptions.size === 0) return
    for (const due of Object.values(this.#due)) {
      for (const change of changes) due.set(`${change.slot} ${change.address}`, change)
    }
    this.#tell('processed')
  }

  #passed(slot: number): void {
    const result = { parent: slot - 1, root: slot - DEPTH.finalized, slot }
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.kind === 'slot') this.#notify(subscription, result)
    }
    this.#tell('confirmed')
    this.#tell('finalized')
  }

  #tell(commitment: Commitment): void {
    const view = this.#chain.slot - DEPTH[commitment]
    const due = this.#due[commitment]
    for (const [key, change] of due) {
      if (change.slot > view) return
      due.delete(key)
      for (const subscription of this.#subscriptions.values()) {
        if (subscription.commitment !== commitment) continue
        const value = subscription.hear(change)
        if (value !== undefined) this.#notify(subscription, { context: { slot: change.slot }, value })
      }
    }
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
