import { describe, expect, test } from 'vitest'
import type { LogHistory, LogLine, Logs } from '../src/backend/ports.ts'
import { type Open, type Opened, withBackend } from './opened.ts'

const BOUNDS = { events: 5, age: 2000 }

/** How long a backend may take to begin to listen, in milliseconds. */
const CARRIED = 200

/** What every `Logs` does, wherever it keeps them. */
export function logsContract(name: string, open: Open): void {
  describe(`logs: ${name}`, () => {
    const run = (body: (opened: Opened) => Promise<void>) => withBackend(open, body)

    test(
      'a log that nothing was added to is empty',
      run(async ({ backend: { logs } }) => {
        expect(await logs.read('trades', 0, 10)).toMatchObject({ events: [], oldest: 1, newest: 0 })
      }),
    )

    test(
      'offsets count from 1, and events come back in order and whole',
      run(async ({ backend: { logs } }) => {
        expect(await append(logs, 3)).toEqual([1, 2, 3])
        const page = await logs.read('trades', 0, 10)
        expect(new Set([page, ...page.events].map(({ epoch }) => epoch)).size).toBe(1)
        expect(texts(page)).toEqual(['1:e1', '2:e2', '3:e3'])
        expect(page).toMatchObject({ oldest: 1, newest: 3 })
      }),
    )

    test.each([
      [0, 10, ['1:e1', '2:e2', '3:e3', '4:e4']],
      [0, 2, ['1:e1', '2:e2']],
      [2, 10, ['3:e3', '4:e4']],
      [2, 1, ['3:e3']],
      [4, 10, []],
      [9, 10, []],
      [1, 0, []],
    ])('of four events, those after %i, at most %i, are %j', (after, most, expected) =>
      run(async ({ backend: { logs } }) => {
        await append(logs, 4)
        const page = await logs.read('trades', after, most)
        expect(texts(page)).toEqual(expected)
        expect(page).toMatchObject({ oldest: 1, newest: 4 })
      })(),
    )

    test(
      'only the latest are kept, and what was lost shows as a larger oldest offset',
      run(async ({ backend: { logs } }) => {
        await append(logs, 8)
        const page = await logs.read('trades', 1, 10)
        expect(texts(page)).toEqual(['4:e4', '5:e5', '6:e6', '7:e7', '8:e8'])
        expect(page).toMatchObject({ oldest: 4, newest: 8 })
      }),
    )

    test(
      'what is to stand after an event is added only if that is the newest, and of two who try one succeeds',
      run(async ({ backend: { logs } }) => {
        const { epoch } = await logs.read('trades', 0, 10)
        const placed = (sequence: number, of = epoch) =>
          logs.appendAfter('trades', { epoch: of, sequence }, Buffer.from(`"${sequence}"`), BOUNDS)
        expect(await placed(1)).toBeUndefined()
        expect(await placed(0, epoch - 1)).toBeUndefined()
        expect(await placed(0)).toEqual({ epoch, sequence: 1 })
        expect(await placed(0)).toBeUndefined()
        const both = await Promise.all([1, 1].map((sequence) => placed(sequence)))
        expect(both.filter((position) => position !== undefined)).toEqual([{ epoch, sequence: 2 }])
        expect(texts(await logs.read('trades', 0, 10))).toEqual(['1:"0"', '2:"1"'])
      }),
    )

    test(
      'a reader inside the history has no gap',
      run(async ({ backend: { logs } }) => {
        await append(logs, 8)
        expect(texts(await logs.read('trades', 3, 2))).toEqual(['4:e4', '5:e5'])
        expect(texts(await logs.read('trades', 6, 10))).toEqual(['7:e7', '8:e8'])
      }),
    )

    test(
      'what is too old goes when the next event comes',
      run(async ({ backend: { logs }, advance }) => {
        await append(logs, 2)
        await advance(1200)
        await append(logs, 1)
        await advance(1200)
        await append(logs, 1)
        const page = await logs.read('trades', 0, 10)
        expect(page.events.map(({ offset }) => offset)).toEqual([3, 4])
        expect(page).toMatchObject({ oldest: 3, newest: 4 })
      }),
    )

    test(
      'what is too old is not read, also when nothing came since, and offsets go on',
      run(async ({ backend: { logs }, advance }) => {
        await append(logs, 3)
        await advance(2200)
        expect(await logs.read('trades', 0, 10)).toMatchObject({ events: [], oldest: 4, newest: 3 })
        expect(await append(logs, 1)).toEqual([4])
        expect(await logs.read('trades', 3, 10)).toMatchObject({ oldest: 4, newest: 4 })
      }),
    )

    test(
      'an event says when it came',
      run(async ({ backend: { logs }, advance }) => {
        await append(logs, 1)
        await advance(700)
        await append(logs, 1)
        const [first, second] = (await logs.read('trades', 0, 10)).events
        expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(700)
      }),
    )

    test(
      'logs do not meet',
      run(async ({ backend: { logs } }) => {
        await append(logs, 3)
        expect((await logs.append('other', Buffer.from('x'), BOUNDS)).sequence).toBe(1)
      }),
    )

    test(
      'those who listen hear each event once, in order, where it stands, until they stop',
      run(async ({ backend: { logs }, advance }) => {
        const heard: LogLine[] = []
        const stop = logs.subscribe('trades', (line) => heard.push(line))
        const others: LogLine[] = []
        logs.subscribe('other', (line) => others.push(line))
        await advance(CARRIED)
        await append(logs, 5)
        await expect.poll(() => heard.length).toBe(5)
        const { events } = await logs.read('trades', 0, 10)
        expect(heard.map(placed)).toEqual(events.map(placed))
        stop()
        await append(logs, 1)
        await logs.append('other', Buffer.from('x'), BOUNDS)
        await expect.poll(() => others.length).toBe(1)
        expect(heard).toHaveLength(5)
      }),
    )
  })
}

async function append(logs: Logs, count: number): Promise<readonly number[]> {
  const offsets: number[] = []
  const { newest } = await logs.read('trades', 0, 0)
  for (let i = 1; i <= count; i++) {
    offsets.push((await logs.append('trades', Buffer.from(`e${newest + i}`), BOUNDS)).sequence)
  }
  return offsets
}

function placed({ epoch, offset, at, event }: LogLine): readonly unknown[] {
  return [epoch, offset, at, event.toString()]
}

function texts({ events }: LogHistory): readonly string[] {
  return events.map(({ offset, event }) => `${offset}:${event}`)
}
