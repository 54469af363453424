import { expect, test } from 'vitest'
import { stored } from '../../../test/content.ts'
import type { IpcRpc } from './ipc-rpc.ts'
import { outboxOf } from './outbox.ts'
import type { News, WorkerSide } from './protocol.ts'

/** A worker that reads when it is told to. */
function worker() {
  let latest = (): readonly [readonly News[]] | undefined => undefined
  let flushes = 0
  const line: IpcRpc<WorkerSide> = {
    request: () => Promise.reject(new Error('nothing is asked')),
    notify: () => {},
    notifyLatest(_name, make) {
      latest = make as typeof latest
      return () => {
        flushes += 1
      }
    },
    onClose: () => {},
  }
  return {
    outbox: outboxOf(line),
    read: () => latest()?.[0] ?? [],
    get flushes() {
      return flushes
    },
  }
}

test('all that is new since the last time is one message, each channel with its messages in order', () => {
  const { outbox, read } = worker()
  const [one, two] = [stored(1), stored(2, { sequence: 2 })]
  outbox.add('values', 'a', one, 1)
  outbox.add('words', 'a', 'dropped', 7)
  outbox.add('values', 'a', two, 1)
  expect(read()).toEqual([
    { kind: 'values', name: 'a', messages: [one, two], missed: false },
    { kind: 'words', name: 'a', messages: ['dropped'], missed: false },
  ])
  expect(read()).toEqual([])
})

test('for a worker that does not read a megabyte is kept; of what is beyond it is told that it missed something', () => {
  const { outbox, read } = worker()
  for (let i = 0; i < 10; i++) outbox.add('values', `topic ${i}`, stored(i), 200_000)
  const news = read()
  expect(news).toHaveLength(10)
  expect(news.filter(({ missed }) => missed)).toHaveLength(5)
  for (const { missed, messages } of news) expect(messages).toHaveLength(missed ? 0 : 1)
  // Read, it has room again.
  outbox.add('values', 'topic 9', stored(9), 200_000)
  expect(read()).toMatchObject([{ missed: false }])
})

test('what a channel had is let go with what it misses, so that others have the room', () => {
  const { outbox, read } = worker()
  for (let i = 0; i < 100; i++) outbox.add('values', 'hot', stored(i), 300_000)
  outbox.add('words', 'drops', 'a word', 6)
  const [hot, drops] = read()
  expect(hot?.missed).toBe(true)
  expect((hot?.messages.length ?? 0) * 300_000).toBeLessThan(1024 ** 2)
  expect(drops).toMatchObject({ messages: ['a word'], missed: false })
})

test('a channel that is left takes what waited with it', () => {
  const { outbox, read } = worker()
  outbox.add('values', 'a', stored(1), 1_000_000)
  outbox.drop('values', 'a')
  expect(read()).toEqual([])
  outbox.add('values', 'b', stored(1), 1_000_000)
  expect(read()).toMatchObject([{ name: 'b', missed: false }])
})
