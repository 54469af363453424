import { expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { at, createGateway, defineApp, feed, type Log, log } from '../src/index.ts'

const Block = z.object({ n: z.int() })

/** A chain of blocks, each published to a log when the height is asked for. */
async function opened() {
  const chain = { height: 1, fails: false }
  let asked = 0
  const blocks: Log<Readonly<Record<string, never>>, z.infer<typeof Block>, z.infer<typeof Block>> = log('/blocks', {
    ...{ name: 'blocks', key: {}, event: Block },
    dependsOn: () => at(height, {}),
  })
  let published = 0
  const height = feed('/height', {
    ...{ name: 'height', key: {}, value: z.int(), fresh: '50ms', stale: '0ms', spread: 0 },
    live: { every: '50ms', linger: '100ms' },
    load: {
      one: async () => {
        asked += 1
        if (chain.fails) throw new Error('away')
        // It reads its own log, as one that publishes each block once does.
        await blocks.read({}, { most: 1 })
        for (; published < chain.height; published++) await blocks.publish({}, { n: published + 1 })
        return chain.height
      },
    },
  })
  const gateway = createGateway({
    apps: [defineApp({ name: 'chain', use: [blocks, height], graphql: true })],
    heartbeat: '40ms',
  })
  const [url = ''] = await gateway.listen({ port: 0 })
  return { chain, asked: () => asked, url, [Symbol.asyncDispose]: () => gateway.close(500) }
}

test('who reads a log has what is new in it first, in every form, and nobody has to watch the value', async () => {
  await using site = await opened()
  const { url, chain } = site
  const page = async () => {
    const answer = await fetch(`${url}/blocks`)
    const { events } = await answer.json()
    return [events.length, answer.headers.get('weir-stale')]
  }
  expect(await page()).toEqual([1, '?0'])
  await new Promise((resolve) => setTimeout(resolve, 100))
  chain.height = 3
  expect(await page()).toEqual([3, '?0'])
  await new Promise((resolve) => setTimeout(resolve, 100))
  chain.height = 4
  expect((await (await fetch(`${url}/weir/values?topic=/blocks`)).json()).values).toMatchObject([{ event: { n: 4 } }])
  await new Promise((resolve) => setTimeout(resolve, 100))
  chain.height = 5
  const query = encodeURIComponent('{ blocks { events { event { n } } } }')
  const said = await (await fetch(`${url}/graphql?query=${query}`)).json()
  expect(said.data.blocks.events).toHaveLength(5)
})

test('who listens to a log alone keeps its value moving, is told when it is stale, and then it is asked for no more', async () => {
  await using site = await opened()
  const { url, chain, asked } = site
  {
    await using stream = new EventStream(await fetch(`${url}/blocks?as=sse`))
    const sees = (n: number) => stream.until('event', ({ data }) => (data.event as z.infer<typeof Block>).n === n)
    await sees(1)
    chain.height = 2
    await sees(2)
    chain.fails = true
    await stream.until('heartbeat', ({ data }) => data.stale === true)
    expect((await fetch(`${url}/blocks`)).headers.get('weir-stale')).toBe('?1')
    chain.fails = false
    chain.height = 3
    await sees(3)
    await stream.until('heartbeat', ({ data }) => data.stale === false)
  }
  // The tail of the log stays in memory for a while; what it follows is let go sooner.
  await expect
    .poll(
      async () => {
        const before = asked()
        await new Promise((resolve) => setTimeout(resolve, 300))
        return asked() - before
      },
      { timeout: 60_000 },
    )
    .toBe(0)
}, 70_000)

test('what it follows has to be a function', () => {
  expect(() => log('/a', { name: 'a', key: {}, event: Block, dependsOn: 'b' as never })).toThrow(
    /dependsOn: expected a function/,
  )
})
