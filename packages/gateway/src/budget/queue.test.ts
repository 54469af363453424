import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Priority } from '../events.ts'
import { createQueue, type FairQueue, type Place } from './queue.ts'

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/** Starts so many, and answers which. */
function start<Item>(queue: FairQueue<Item>, count: number, now = 0): readonly Item[] {
  const started: Item[] = []
  for (let i = 0; i < count; i++) {
    const place = queue.best(now)
    if (place === undefined) break
    queue.start(place)
    started.push(place.item)
  }
  return started
}

describe('a queue', () => {
  test('that is empty has no next', () => {
    const queue = createQueue<string>()
    expect(queue.best(0)).toBeUndefined()
    expect(queue.size).toBe(0)
    expect([...queue]).toEqual([])
  })

  test('takes the clients of a class in turn, and the calls of a client in order', () => {
    const queue = createQueue<string>()
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) queue.add(item, 'live', item.charAt(0), 0)
    expect(start(queue, 9)).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3'])
  })

  test('a new client waits for one call of each client, however many one of them has', () => {
    const queue = createQueue<string>()
    for (let i = 0; i < 10_000; i++) queue.add('crowd', 'live', 'crowd', 0)
    start(queue, 10)
    queue.add('light', 'live', 'light', 0)
    expect(queue.ahead('live', 'other')).toBe(2)
    expect(start(queue, 2)).toEqual(['crowd', 'light'])
  })

  test('asking for the best changes nothing', () => {
    const queue = createQueue<string>()
    for (const client of ['a', 'b']) queue.add(client, 'live', client, 0)
    expect([queue.best(0), queue.best(0), queue.best(0)].map((place) => place?.item)).toEqual(['a', 'a', 'a'])
  })

  test('higher classes go first until others have aged', () => {
    const queue = createQueue<Priority>()
    for (const priority of [...CLASSES].reverse()) for (let i = 0; i < 3; i++) queue.add(priority, priority, 'a', 0)
    const order = CLASSES.flatMap((priority) => [priority, priority, priority])
    expect(start(queue, 9, 500)).toEqual(order)
  })

  test.each([
    ['live', 500],
    ['background', 1000],
  ] as const)('%s ages after %i ms behind the best, and then gets one of eight starts', (priority, aged) => {
    const queue = createQueue<Priority>()
    for (let i = 0; i < 100; i++) queue.add('interactive', 'interactive', 'a', aged)
    for (let i = 0; i < 100; i++) queue.add(priority, priority, 'a', 0)
    expect(start(queue, 20, aged).filter((one) => one === priority)).toEqual([])
    const started = start(queue, 64, aged + 1)
    expect(started.filter((one) => one === priority)).toHaveLength(8)
    for (let i = 0; i + 8 <= 64; i++) expect(started.slice(i, i + 8).filter((one) => one === priority)).toHaveLength(1)
  })

  test('two classes that have aged take turns', () => {
    const queue = createQueue<Priority>()
    for (const priority of CLASSES) for (let i = 0; i < 200; i++) queue.add(priority, priority, 'a', 0)
    const started = start(queue, 160, 5000)
    const counts = CLASSES.map((priority) => started.filter((one) => one === priority).length)
    expect(counts).toEqual([140, 10, 10])
  })

  test('a raised call goes with its new class, behind those of its client that are there', () => {
    const queue = createQueue<string>()
    queue.add('i1', 'interactive', 'a', 0)
    const place = queue.add('b1', 'background', 'a', 0)
    queue.add('l1', 'live', 'a', 0)
    queue.raise(place, 'interactive')
    expect(place.priority).toBe('interactive')
    queue.raise(place, 'background')
    expect(place.priority).toBe('interactive')
    expect(start(queue, 3)).toEqual(['i1', 'b1', 'l1'])
    queue.raise(place, 'interactive')
    expect(queue.size).toBe(0)
  })

  test('one leaves once, and not after it was started', () => {
    const queue = createQueue<string>()
    const [first, second] = ['a', 'b'].map((item) => queue.add(item, 'live', item, 0)) as [Place<string>, Place<string>]
    expect([queue.leave(first), queue.leave(first)]).toEqual([true, false])
    queue.start(second)
    expect(queue.leave(second)).toBe(false)
    expect(queue.size).toBe(0)
  })

  test('says how many go first: higher classes, and of its own one of each client for each that it has; ageing bounds it', () => {
    const queue = createQueue<string>()
    for (let i = 0; i < 5; i++) queue.add('i', 'interactive', 'a', 0)
    for (let i = 0; i < 100; i++) queue.add('l', 'live', 'a', 0)
    queue.add('l', 'live', 'b', 0)
    expect(queue.ahead('interactive', 'b')).toBe(1)
    expect(queue.ahead('live', 'new')).toBe(7)
    expect(queue.ahead('live', 'a')).toBe(106)
    expect(queue.ahead('background', 'a')).toBe(16)
  })
})

describe('the law of fairness', () => {
  test('two clients of a class that always have calls are never more than one start apart', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ client: fc.nat({ max: 5 }), extra: fc.nat({ max: 3 }) }), { maxLength: 200 }),
        (steps) => {
          const queue = createQueue<number>()
          const counts = [0, 0, 0, 0]
          // Clients 0 to 3 ask again as soon as one starts; 4 and 5 come and go.
          for (let client = 0; client < 4; client++) queue.add(client, 'live', `${client}`, 0)
          for (const { client, extra } of steps) {
            for (let i = 0; i < extra; i++) queue.add(client, 'live', `${client}`, 0)
            const place = queue.best(0)
            if (place === undefined) throw new Error('expected somebody')
            const { item } = place
            if (item < 4) queue.add(item, 'live', `${item}`, 0)
            queue.start(place)
            if (item < 4) counts[item] = (counts[item] ?? 0) + 1
            expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  test('it does what a simple queue does that looks through all waiting calls', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120, size: 'max' }), (commands) => {
        const queue = createQueue<number>()
        const simple = new SimpleQueue()
        const places: Place<number>[] = []
        let now = 0
        for (const { does, of, priority, client, passes } of commands) {
          now += passes
          const place = places[of % Math.max(1, places.length)]
          if (does === 'add') {
            places.push(queue.add(places.length, priority, client, now))
            simple.add(places.length - 1, priority, client, now)
          } else if (does === 'start') {
            const best = queue.best(now)
            expect(best?.item).toBe(simple.best(now)?.item)
            if (best !== undefined) queue.start(best)
            simple.start(now)
          } else if (place !== undefined && does === 'leave') {
            expect(queue.leave(place)).toBe(simple.leave(place.item))
          } else if (place !== undefined) {
            queue.raise(place, priority)
            simple.raise(place.item, priority)
          }
          expect([...queue].sort((a, b) => a - b)).toEqual(simple.items)
          expect(queue.size).toBe(simple.items.length)
        }
      }),
      { numRuns: 500 },
    )
  })
})

const command = fc.record({
  does: fc.constantFrom('add', 'add', 'add', 'start', 'start', 'leave', 'raise'),
  of: fc.nat({ max: 200 }),
  priority: fc.constantFrom(...CLASSES),
  client: fc.constantFrom('a', 'b', 'c', 'd'),
  passes: fc.constantFrom(0, 0, 10, 300, 1500),
})

interface Waiting {
  readonly item: number
  readonly since: number
  readonly client: string
  priority: Priority
}

/** The law once more, as simply as it can be said: lists, searched from end to end. */
class SimpleQueue {
  #waiting: Waiting[] = []
  /** Clients of each class in the order of their turns. */
  readonly #turns: Record<Priority, string[]> = { interactive: [], live: [], background: [] }
  #better = 0
  #lastAged = 0

  get items(): readonly number[] {
    return this.#waiting.map(({ item }) => item).sort((a, b) => a - b)
  }

  add(item: number, priority: Priority, client: string, since: number): void {
    this.#append({ item, since, client, priority })
  }

  best(now: number): Waiting | undefined {
    const present = CLASSES.filter((priority) => this.#first(priority) !== undefined)
    const [best, ...rest] = present
    if (best === undefined) return undefined
    const aged = rest.filter((priority) => {
      const behind = CLASSES.indexOf(priority) - CLASSES.indexOf(best)
      return now - (this.#first(priority)?.since ?? now) > 500 * behind
    })
    const turn = aged.find((priority) => CLASSES.indexOf(priority) > this.#lastAged) ?? aged[0]
    return this.#first(this.#better >= 7 && turn !== undefined ? turn : best)
  }

  start(now: number): void {
    const best = this.best(now)
    if (best === undefined) return
    const { priority, client } = best
    const rank = CLASSES.indexOf(priority)
    if (CLASSES.slice(0, rank).some((better) => this.#first(better) !== undefined)) {
      this.#better = 0
      this.#lastAged = rank
    } else this.#better += 1
    const turns = this.#turns[priority]
    turns.push(...turns.splice(turns.indexOf(client), 1))
    this.leave(best.item)
  }

  leave(item: number): boolean {
    const gone = this.#waiting.find((waiting) => waiting.item === item)
    if (gone === undefined) return false
    const { priority, client } = gone
    this.#waiting = this.#waiting.filter((waiting) => waiting !== gone)
    const stays = this.#waiting.some((waiting) => waiting.priority === priority && waiting.client === client)
    if (!stays) this.#turns[priority] = this.#turns[priority].filter((name) => name !== client)
    return true
  }

  raise(item: number, priority: Priority): void {
    const raised = this.#waiting.find((waiting) => waiting.item === item)
    if (raised === undefined || CLASSES.indexOf(raised.priority) <= CLASSES.indexOf(priority)) return
    this.leave(item)
    this.#append({ ...raised, priority })
  }

  #append(waiting: Waiting): void {
    this.#waiting.push(waiting)
    const turns = this.#turns[waiting.priority]
    if (!turns.includes(waiting.client)) turns.push(waiting.client)
  }

  #first(priority: Priority): Waiting | undefined {
    const [client] = this.#turns[priority]
    return this.#waiting.find((waiting) => waiting.priority === priority && waiting.client === client)
  }
}
