import type { Client, Entry } from '@weir/client'
import { parseVersion } from '@weir/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HistoryEvent } from '../page/src/history-lines.ts'
import { TicketCount } from '../page/src/ticket-count.ts'
import { ticketWords } from '../page/src/wallet-check.tsx'

const EPOCH = 5

/** A history without the events before `oldest`, and a way to send updates. */
function world(events: readonly (readonly [wallet: string, tickets: number] | 'draw')[], oldest = 1) {
  const log = events.map((each, index): HistoryEvent => {
    const base = { signature: `s${index}`, at: 0 }
    if (each === 'draw') return { ...base, entries: [], draw: { winner: 'w', amount: 1, tickets: 1 } }
    return { ...base, entries: [{ wallet: each[0], tickets: each[1], amount: 1 }] }
  })
  const ears = new Set<(news: Entry<HistoryEvent> | undefined) => void>()
  let newest = log.length
  let asked = 0
  const client = {
    subscribe: () => () => {},
    async get(topic: string) {
      asked += 1
      const query = new URLSearchParams(topic.split('?')[1])
      const after = parseVersion(query.get('after') ?? '')?.sequence ?? 0
      const from = Math.max(after, oldest - 1)
      const page = log.slice(from, from + Number(query.get('most')))
      const value = {
        events: page.map((event, index) => ({ position: `${EPOCH}:${from + index + 1}`, at: 0, event })),
        oldest: `${EPOCH}:${oldest}`,
        newest: `${EPOCH}:${newest}`,
        ...(from > after && { gap: { from: `${EPOCH}:${after}`, to: `${EPOCH}:${from}` } }),
      }
      return { value }
    },
  } as unknown as Pick<Client, 'get' | 'subscribe'>
  const history = {
    position: () => ({ epoch: EPOCH, sequence: log.length }),
    subscribe(hear: (news: Entry<HistoryEvent> | undefined) => void) {
      ears.add(hear)
      return () => ears.delete(hear)
    },
  }
  const times = { changedAt: 0, checkedAt: 0, stale: false, log: true } as const
  return {
    count: new TicketCount(client, history, 'me'),
    get asked() {
      return asked
    },
    say(value: Partial<HistoryEvent>) {
      newest += 1
      const event = { signature: `n${newest}`, at: 0, entries: [], ...value }
      for (const hear of ears) hear({ topic: 'log', version: `${EPOCH}:${newest}`, value: event, ...times })
    },
    miss(from: string, to: string) {
      for (const hear of ears) hear({ topic: 'log', version: to, value: undefined, gap: { from, to }, ...times })
    },
  }
}

const mine = (tickets: number) => ({ entries: [{ wallet: 'me', tickets, amount: 1 }] })
const draw = { winner: 'w', amount: 1, tickets: 1 }

test('counts tickets since the last draw, at any length, and missing events make the count a minimum', async () => {
  const bought = fc.oneof(
    fc.tuple(fc.constantFrom('me', 'you'), fc.integer({ min: 1, max: 5 })),
    fc.constant('draw' as const),
  )
  const others = fc.integer({ min: 0, max: 2500 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(bought, { maxLength: 30 }),
      others,
      fc.integer({ min: 1, max: 40 }),
      async (some, many, before) => {
        const events = [
          ...some,
          ...Array.from({ length: many }, () => ['you', 1] as const),
          ...some.filter((each) => each !== 'draw'),
        ]
        // At most the whole history may be missing.
        const first = Math.min(before, events.length + 1)
        const { count } = world(events, first)
        await expect.poll(() => count.get().known, { interval: 1 }).toBe(true)
        const drawn = events.lastIndexOf('draw')
        const had = events.slice(Math.max(0, drawn, first - 1))
        const expected = had.reduce((sum, each) => sum + (each !== 'draw' && each[0] === 'me' ? each[1] : 0), 0)
        expect(count.get()).toEqual({ count: expected, whole: first === 1 || drawn >= first - 1, known: true })
        count.close()
      },
    ),
    { numRuns: 50 },
  )
})

test('a ticket bought while the history is read counts once, and a draw ends the read', async () => {
  const one = world([['me', 2]])
  one.say(mine(3))
  await expect.poll(() => one.count.get()).toEqual({ count: 5, whole: true, known: true })
  const two = world([['me', 2]])
  two.say({ ...mine(1), draw })
  await new Promise(setImmediate)
  expect(two.count.get()).toEqual({ count: 1, whole: true, known: true })
})

test('a very long round is read for ten responses, and is then a minimum', async () => {
  const all = world(Array.from({ length: 12_000 }, () => ['me', 1] as const))
  await expect.poll(() => all.count.get()).toEqual({ count: 10_000, whole: false, known: true })
  expect(all.asked).toBe(10)
  expect(ticketWords(all.count.get(), 12_000)).toBe('at least 10000 of 12000')
})

test('without the beginning, the remaining events count once', async () => {
  const rest = world(
    Array.from({ length: 1500 }, () => ['me', 1] as const),
    401,
  )
  await expect.poll(() => rest.count.get()).toEqual({ count: 1100, whole: false, known: true })
})

test('a gap makes the count a minimum until the next draw, and a restarted history is recounted', async () => {
  const one = world([['me', 2]])
  await expect.poll(() => one.count.get().known).toBe(true)
  one.miss('5:1', '5:4')
  expect(one.count.get()).toEqual({ count: 2, whole: false, known: true })
  one.say({ draw })
  expect(one.count.get()).toEqual({ count: 0, whole: true, known: true })
  one.miss('5:5', '6:0')
  one.say(mine(2))
  expect(one.count.get()).toEqual({ count: 2, whole: true, known: true })
  one.miss('6:1', '7:9')
  expect(one.count.get()).toEqual({ count: 0, whole: false, known: true })
})

test('two numbers from different sources never contradict each other', () => {
  const tickets = { count: 4, whole: true, known: true }
  expect([ticketWords(tickets, 9), ticketWords(tickets, 3), ticketWords(tickets, 0)]).toEqual(['4 of 9', '4', '4'])
})
