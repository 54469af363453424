import type { Priority } from '../events.ts'

/** How long a call of a lower class waits before it may go ahead of a higher one: milliseconds for each class between. */
const AGED = 500

/** One start in this many goes to an aged call, while there is one. */
const TURN_OF_THE_AGED = 8

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/** A place in the queue. */
export interface Place<Item> {
  readonly item: Item
  readonly since: number
  /** The current one: it may have been raised. */
  readonly priority: Priority
}

/**
 * A queue of classes by urgency, and inside a class of clients in turn, so that ten thousand calls of one client delay another client by
 * one call. Every operation is constant work.
 */
export interface FairQueue<Item> {
  readonly size: number
  add(item: Item, priority: Priority, client: string, now: number): Place<Item>
  /** The next to start. It stays in the queue. */
  best(now: number): Place<Item> | undefined
  /** Removes one that starts. */
  start(place: Place<Item>): void
  /** Removes one that no longer waits; false if it is not there. */
  leave(place: Place<Item>): boolean
  /** Moves one up to a higher class. */
  raise(place: Place<Item>, priority: Priority): void
  /** How many will start before one that comes now, given the queue as it is. */
  ahead(priority: Priority, client: string): number
  /** All that wait. */
  [Symbol.iterator](): Iterator<Item>
}

interface Node<Item> extends Place<Item> {
  priority: Priority
  client: Client<Item> | undefined
  before: Node<Item> | undefined
  after: Node<Item> | undefined
}

/** The places of one client in one class: a list of its own, in a ring with the other clients. */
class Client<Item> {
  readonly name: string
  readonly rank: number
  first: Node<Item> | undefined
  last: Node<Item> | undefined
  size = 0
  left: Client<Item> = this
  right: Client<Item> = this

  constructor(name: string, rank: number) {
    this.name = name
    this.rank = rank
  }
}

interface Class<Item> {
  readonly clients: Map<string, Client<Item>>
  /** The client whose turn it is. */
  turn: Client<Item> | undefined
  size: number
}

export function createQueue<Item>(): FairQueue<Item> {
  const classes: readonly Class<Item>[] = CLASSES.map(() => ({ clients: new Map(), turn: undefined, size: 0 }))
  let size = 0
  let startsSinceAged = 0
  let lastAged = 0

  function append(node: Node<Item>, rank: number, name: string): void {
    const of = classes[rank]
    if (of === undefined) return
    let client = of.clients.get(name)
    if (client === undefined) {
      client = enter(of, name, rank)
      of.clients.set(name, client)
    }
    node.client = client
    node.before = client.last
    node.after = undefined
    if (client.last === undefined) client.first = node
    else client.last.after = node
    client.last = node
    client.size += 1
    of.size += 1
    size += 1
  }

  /** A new client's turn comes after those of all others. */
  function enter(of: Class<Item>, name: string, rank: number): Client<Item> {
    const client = new Client<Item>(name, rank)
    const { turn } = of
    if (turn === undefined) {
      of.turn = client
    } else {
      client.left = turn.left
      client.right = turn
      turn.left.right = client
      turn.left = client
    }
    return client
  }

  function remove(node: Node<Item>): boolean {
    const { client } = node
    if (client === undefined) return false
    const of = classes[client.rank]
    if (of === undefined) return false
    if (node.before === undefined) client.first = node.after
    else node.before.after = node.after
    if (node.after === undefined) client.last = node.before
    else node.after.before = node.before
    node.client = undefined
    client.size -= 1
    of.size -= 1
    size -= 1
    if (client.size === 0) {
      of.clients.delete(client.name)
      if (of.turn === client) of.turn = client.right === client ? undefined : client.right
      client.left.right = client.right
      client.right.left = client.left
    }
    return true
  }

  function rankOf(now: number): number {
    let best = 0
    while (classes[best]?.size === 0) best += 1
    return startsSinceAged < TURN_OF_THE_AGED - 1 ? best : (agedBehind(best, now) ?? best)
  }

  /** Two aged classes take turns: otherwise a crowd in the middle class would keep out the last one for ever. */
  function agedBehind(best: number, now: number): number | undefined {
    let first: number | undefined
    for (let rank = best + 1; rank < classes.length; rank++) {
      const since = classes[rank]?.turn?.first?.since
      if (since === undefined || now - since <= AGED * (rank - best)) continue
      if (rank > lastAged) return rank
      first ??= rank
    }
    return first
  }

  /** Whether a call of a higher class waits. */
  function isPassed(rank: number): boolean {
    for (let better = 0; better < rank; better++) if (classes[better]?.size !== 0) return true
    return false
  }

  return {
    get size() {
      return size
    },

    add(item, priority, client, now) {
      const node: Node<Item> = { item, since: now, priority, client: undefined, before: undefined, after: undefined }
      append(node, CLASSES.indexOf(priority), client)
      return node
    },

    best(now) {
      return size === 0 ? undefined : classes[rankOf(now)]?.turn?.first
    },

    start(place) {
      const node = place as Node<Item>
      const { client } = node
      if (client === undefined) return
      const of = classes[client.rank]
      if (isPassed(client.rank)) {
        startsSinceAged = 0
        lastAged = client.rank
      } else {
        startsSinceAged += 1
      }
      if (of !== undefined && of.turn === client) of.turn = client.right
      remove(node)
    },

    leave: (place) => remove(place as Node<Item>),

    raise(place, priority) {
      const node = place as Node<Item>
      const rank = CLASSES.indexOf(priority)
      const { client } = node
      if (client === undefined || client.rank <= rank) return
      remove(node)
      node.priority = priority
      append(node, rank, client.name)
    },

    ahead(priority, name) {
      const rank = CLASSES.indexOf(priority)
      const of = classes[rank]
      if (of === undefined) return size
      const mine = of.clients.get(name)?.size ?? 0
      // Clients take turns, so each has at most as many starts before as this client has calls.
      const own = Math.min(of.size, (mine + 1) * of.clients.size)
      let better = 0
      for (let above = 0; above < rank; above++) better += classes[above]?.size ?? 0
      if (better === 0) return own
      // An aged class has its turns however many higher calls wait. Two aged classes share these turns.
      const others = classes.filter((other) => other !== of && other.size > 0).length
      return Math.min(better + own, TURN_OF_THE_AGED * others * (own + 1))
    },

    *[Symbol.iterator]() {
      for (const { clients } of classes) {
        for (const client of clients.values())
          for (let node = client.first; node !== undefined; node = node.after) yield node.item
      }
    },
  }
}
