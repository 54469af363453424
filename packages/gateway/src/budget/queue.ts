import type { Priority } from '../events.ts'

/** How long one of a lower class waits before it may go ahead of better ones, in milliseconds, for each class between. */
const AGED = 500

/** One of so many starts goes to the aged, while there are any. */
const TURN_OF_THE_AGED = 8

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/** Somebody's place in the queue. */
export interface Place<Item> {
  readonly item: Item
  readonly since: number
  /** As it is now: it may have been raised. */
  readonly priority: Priority
}

/**
 * Who waits: classes by urgency, and inside a class clients in turn, so that ten thousand asks of one client hold up nobody
 * else by more than one. Every operation is constant work.
 */
export interface FairQueue<Item> {
  readonly size: number
  add(item: Item, priority: Priority, client: string, now: number): Place<Item>
  /** Who is to start next. Asking changes nothing. */
  best(now: number): Place<Item> | undefined
  /** Takes one out that starts. */
  start(place: Place<Item>): void
  /** Takes one out that does not wait any more; false when it is not there. */
  leave(place: Place<Item>): boolean
  /** Moves one up to a better class. */
  raise(place: Place<Item>, priority: Priority): void
  /** How many will start before one that comes now, as things stand. */
  ahead(priority: Priority, client: string): number
  /** Everybody who waits. */
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
  /** Whose turn it is. */
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

  /** A newcomer's turn comes after everybody's who is there. */
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

  /** Two classes that have aged take turns: else a crowd in the middle one would keep out the last for ever. */
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

  /** Whether somebody of a better class waits. */
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
      // Every client has one turn for each that I have had: whoever has fewer is done before.
      const own = Math.min(of.size, (mine + 1) * of.clients.size)
      let better = 0
      for (let above = 0; above < rank; above++) better += classes[above]?.size ?? 0
      if (better === 0) return own
      // Once it has aged, a class has its turns however many better ones wait; with another such class in turn.
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
