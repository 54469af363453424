import { expect, test } from 'vitest'
import { PriceFeed } from '../page/src/price-feed.ts'
import { assignStreams } from '../page/src/stream-assignment.ts'
import { World } from './world.ts'

const HELLO = '{"now":1000,"heartbeat":5000,"level":"normal"}'

function watch(...mints: string[]) {
  const world = new World()
  const feed = new PriceFeed(world, () => {})
  feed.watch(mints)
  return { world, feed }
}

test('an empty list opens nothing', () => {
  const { world, feed } = watch()
  expect(world.opened).toHaveLength(0)
  expect(feed.status().phase).toBe('idle')
})

test('a changed list keeps the old stream until the new one speaks', () => {
  const { world, feed } = watch('A')
  const old = world.last
  old.event('hello', HELLO)
  feed.watch(['B', 'A'])
  feed.watch(['C', 'B', 'A'])
  world.pass(250)
  expect(world.opened.map(({ url }) => url)).toEqual(['/api/stream?mints=A', '/api/stream?mints=A,C,B'])
  expect(old.closed).toBe(false)
  expect(feed.status().phase).toBe('live')
  world.last.event('hello', HELLO)
  expect(old.closed).toBe(true)
  expect(feed.status().phase).toBe('live')
})

test('when the old stream dies first, the new one takes its place', () => {
  const { world, feed } = watch('A')
  const old = world.last
  old.event('hello', HELLO)
  feed.watch(['A', 'B'])
  world.pass(250)
  old.failed()
  expect(feed.status().phase).not.toBe('live')
  world.last.event('hello', HELLO)
  expect(feed.status().phase).toBe('live')
  world.pass(9_000)
  expect(world.opened).toHaveLength(2)
})

test('removing the last token closes the stream, and adding one opens it again', () => {
  const { world, feed } = watch('A')
  const first = world.last
  first.event('hello', HELLO)
  feed.watch([])
  world.pass(250)
  expect(first.closed).toBe(true)
  expect(feed.status().phase).toBe('idle')
  feed.watch(['B'])
  expect(world.last.url).toBe('/api/stream?mints=B')
})

test('is lost while any stream is, since the first of them went', () => {
  const { world, feed } = watch(...Array.from({ length: 501 }, (_, index) => `M${index}`))
  expect(world.opened).toHaveLength(2)
  for (const stream of world.opened) stream.event('hello', HELLO)
  expect(feed.status().phase).toBe('live')
  world.pass(6_000)
  world.opened[0]?.failed()
  world.pass(100)
  world.opened[1]?.failed()
  expect(feed.status()).toMatchObject({ phase: 'lost', lostAt: 6_000 })
})

test('tokens that stay keep their stream, and only streams that changed are new', () => {
  const before = [
    ['A', 'B'],
    ['C', 'D'],
  ]
  const after = assignStreams(before, ['E', 'A', 'B', 'C'], 2)
  expect(after).toEqual([
    ['A', 'B'],
    ['C', 'E'],
  ])
  expect(after[0]).toBe(before[0])
  expect(assignStreams(after, ['C', 'E', 'F'], 2)).toEqual([['F'], ['C', 'E']])
  expect(assignStreams([['A']], [], 2)).toEqual([[]])
})
