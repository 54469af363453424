import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../../test/manual-clock.ts'
import { memoryBackend } from '../../backend/memory/backend.ts'
import { createCallSharing } from './call-sharing.ts'

const BATCH = 10
const BELIEVED = 2000

/** Nodes that hear each other, and how many topics each watches. */
function open(counts: readonly number[]) {
  const clock = new ManualClock()
  const { bus } = memoryBackend(clock, 1000)
  const parts = { bus, channel: 'price', clock, batch: BATCH, believed: () => BELIEVED }
  const nodes = counts.map((count, index) => {
    const node = `n${index}`
    const topics = Array.from({ length: count }, (_, number) => `/prices/${node}-${number}`)
    return { node, topics, partition: createCallSharing({ ...parts, node }) }
  })
  /** What each asks for in a round of all, in calls of so many. */
  const round = (those = nodes) =>
    those.map(({ topics, partition }) => {
      const { delegated, adopted } = partition.share(topics)
      return [...topics.filter((topic) => !delegated.has(topic)), ...adopted]
    })
  const callsIn = (asked: readonly (readonly string[])[]) =>
    asked.reduce((sum, { length }) => sum + Math.ceil(length / BATCH), 0)
  return { clock, nodes, round, callsIn }
}

const all = (nodes: readonly { readonly topics: readonly string[] }[]) => nodes.flatMap(({ topics }) => topics).sort()

describe('nodes that share a feed', () => {
  test('ask in as many calls as one would', () => {
    const { round, callsIn } = open([3, 2, 4, 1])
    round()
    const asked = round()
    expect(callsIn(asked)).toBe(1)
    expect(asked.map(({ length }) => length)).toEqual([10, 0, 0, 0])
  })

  test('keep their own full calls', () => {
    const { round } = open([20, 12, 3])
    round()
    expect(round().map(({ length }) => length)).toEqual([20, 15, 0])
  })

  test('ask for everything once, in as few calls as can be, whatever each watches', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(35), { minLength: 1, maxLength: 8 }), (counts) => {
        const { nodes, round, callsIn } = open(counts)
        round()
        const asked = round()
        expect(asked.flat().sort()).toEqual(all(nodes))
        expect(callsIn(asked)).toBe(Math.ceil(all(nodes).length / BATCH))
      }),
    )
  })

  test('ask for their own when the one that asked for it is not heard any more', async () => {
    const { clock, nodes, round } = open([4, 3])
    round()
    expect(round().map(({ length }) => length)).toEqual([7, 0])
    const left = nodes.slice(1)
    await clock.advance(BELIEVED)
    expect(round(left).map(({ length }) => length)).toEqual([0])
    await clock.advance(1)
    expect(round(left)).toEqual([all(left)])
  })

  test('hear at once of one that goes', () => {
    const { nodes, round } = open([4, 3])
    round()
    nodes[0]?.partition.stop()
    expect(round(nodes.slice(1))).toEqual([all(nodes.slice(1))])
  })

  test('ask once for what several watch', () => {
    const { nodes, round } = open([4, 3])
    const common = nodes.map((node) => ({ ...node, topics: [...node.topics, '/prices/common'] }))
    round(common)
    expect(round(common).flat().sort()).toEqual([...new Set(all(common))].sort())
  })

  test('say nothing while nothing is watched', () => {
    const { bus } = memoryBackend(new ManualClock(), 1000)
    const words: string[] = []
    bus.onBroadcast('price', (word) => void words.push(word))
    const parts = { bus, channel: 'price', node: 'n', clock: new ManualClock(), batch: BATCH, believed: () => BELIEVED }
    const partition = createCallSharing(parts)
    partition.share([])
    partition.share(['/prices/a'])
    partition.share([])
    partition.share([])
    expect(words.filter((word) => word !== '')).toEqual(['["n","/prices/a"]', '["n"]'])
  })

  test('are delegated by no message without meaning', () => {
    const { bus } = memoryBackend(new ManualClock(), 1000)
    const parts = { bus, channel: 'price', node: 'n', clock: new ManualClock(), batch: BATCH, believed: () => BELIEVED }
    const partition = createCallSharing(parts)
    for (const word of ['', '[]']) bus.broadcast('price', word)
    expect(partition.share(['/prices/a'])).toEqual({ delegated: new Set(), adopted: [] })
  })
})
