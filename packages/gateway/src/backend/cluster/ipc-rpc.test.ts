import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/manual-clock.ts'
import type { IpcPort } from './ipc-port.ts'
import { type IpcRpc, openIpcRpc } from './ipc-rpc.ts'

interface Echo {
  echo(text: string): string
  slow(text: string): Promise<string>
  fail(): string
  note(text: string): void
}

/** A carrier in this test's hands: what one end posts the other hears when it is let through. */
function carriers() {
  const ends = [0, 1].map(() => ({
    posted: [] as { readonly message: unknown; taken(): void }[],
    hear: (_message: unknown) => {},
    gone: () => {},
  }))
  const [one, other] = ends as [(typeof ends)[number], (typeof ends)[number]]
  const carrierOf = (end: typeof one): IpcPort => ({
    post: (message, taken) => void end.posted.push({ message, taken }),
    onMessage: (listener) => {
      end.hear = listener
    },
    onClose: (listener) => {
      const before = end.gone
      end.gone = () => {
        before()
        listener()
      }
    },
  })
  return {
    one,
    other,
    carrier: carrierOf(one),
    otherCarrier: carrierOf(other),
    /** The system takes what lies with it, and each end reads. */
    async flow() {
      for (let rounds = 0; rounds < 20; rounds++) {
        await new Promise((resolve) => setImmediate(resolve))
        for (const [from, to] of [
          [one, other],
          [other, one],
        ] as const) {
          for (const { message, taken } of from.posted.splice(0)) {
            taken()
            to.hear(message)
          }
        }
      }
    },
  }
}

function open() {
  const clock = new ManualClock()
  const road = carriers()
  const noted: string[] = []
  const reported: unknown[] = []
  const held = Promise.withResolvers<string>()
  const answers: Echo = {
    echo: (text) => text,
    slow: () => held.promise,
    fail: () => {
      throw new Error('broken')
    },
    note: (text) => void noted.push(text),
  }
  const report = (error: unknown) => void reported.push(error)
  const line: IpcRpc<Echo> = openIpcRpc({
    ...{ carrier: road.carrier, answers: {}, clock, deadline: 100, peer: 'the other', report },
  })
  openIpcRpc({ carrier: road.otherCarrier, answers, clock, deadline: 100, peer: 'the one', report })
  return { clock, road, line, noted, reported, held }
}

const unavailable = { code: 'backend_unavailable' }

test('questions have their answers, and what is only told is heard in its order with them', async () => {
  const { road, line, noted } = open()
  const answers = [line.request('echo', ['a']), line.request('echo', ['b'])]
  line.notify('note', ['c'])
  await road.flow()
  expect(await Promise.all(answers)).toEqual(['a', 'b'])
  expect(noted).toEqual(['c'])
})

test('what is said in one go is one message, and the next follows when the system has taken it', async () => {
  const { road, line, noted } = open()
  for (const text of ['a', 'b', 'c']) line.notify('note', [text])
  await Promise.resolve()
  for (const text of ['d', 'e']) line.notify('note', [text])
  await Promise.resolve()
  expect(road.one.posted).toHaveLength(1)
  await road.flow()
  expect(noted).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('a question that fails there fails here, and is reported there', async () => {
  const { road, line, reported } = open()
  const answer = expect(line.request('fail', [])).rejects.toMatchObject({
    ...unavailable,
    message: /the other: .*broken/,
  })
  await road.flow()
  await answer
  expect(reported).toHaveLength(1)
})

test('a question has failed by its deadline; an answer that comes later can be undone', async () => {
  const { clock, road, line, held } = open()
  const late: string[] = []
  const answer = expect(line.request('slow', ['x'], (value) => late.push(value))).rejects.toMatchObject(unavailable)
  await road.flow()
  await clock.advance(100)
  await answer
  held.resolve('done all the same')
  await road.flow()
  expect(late).toEqual(['done all the same'])
})

test('a question that nobody waits for any more, and that was not sent, is never asked', async () => {
  const { clock, road, line, noted } = open()
  line.notify('note', ['first'])
  await Promise.resolve()
  // The system does not take any more.
  const answer = expect(line.request('slow', ['x'], () => {})).rejects.toMatchObject(unavailable)
  line.notify('note', ['second'])
  await clock.advance(100)
  await answer
  await road.flow()
  expect(noted).toEqual(['first', 'second'])
  expect(JSON.stringify(road.other.posted)).not.toContain('slow')
  expect(clock.timers).toBe(0)
})

test('who has let a deadline pass is not asked for a moment, unless it is heard of', async () => {
  const { clock, road, line } = open()
  const first = expect(line.request('slow', ['x'])).rejects.toMatchObject(unavailable)
  await Promise.resolve()
  await clock.advance(100)
  await first
  await expect(line.request('echo', ['a'])).rejects.toMatchObject({ message: /did not answer of late/ })
  await clock.advance(250)
  const again = line.request('echo', ['b'])
  await road.flow()
  expect(await again).toBe('b')
})

test('when the other side goes, all that wait fail at once, and all that ask later', async () => {
  const { road, line } = open()
  const waiting = expect(line.request('slow', ['x'])).rejects.toMatchObject({ ...unavailable, message: /it is gone/ })
  await road.flow()
  road.one.gone()
  await waiting
  await expect(line.request('echo', ['a'])).rejects.toMatchObject(unavailable)
})
