import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { at, createGateway, defineApp, type Feed, feed } from '../src/index.ts'
import { ManualClock } from './manual-clock.ts'

interface Shown {
  readonly topic: string
  readonly value?: number
  readonly checkedAt: number
  readonly stale: boolean
}

interface Leaf {
  value: number
  fails: boolean
}

type Node = { readonly of: readonly number[]; readonly follows: boolean; readonly every: number }

type Step =
  | { readonly do: 'pass'; readonly for: number }
  | { readonly do: 'fail' | 'heal' | 'change' | 'watch' | 'leave'; readonly node: number }

type Value = Feed<Readonly<Record<string, never>>, number>

/** Feeds of which each is made of some before it, or has a value of its own. */
function graph(clock: ManualClock, nodes: readonly Node[]) {
  const leaves = nodes.map((): Leaf => ({ value: 1, fails: false }))
  const feeds: Value[] = []
  for (const [index, { of, follows, every }] of nodes.entries()) {
    const parts = of.flatMap((part) => feeds[part] ?? [])
    const load = async () => {
      const leaf = leaves[index]
      if (parts.length === 0 && leaf?.fails) throw new Error('away')
      const read = await Promise.all(parts.map((part) => part.get({})))
      return parts.length === 0 ? (leaf?.value ?? 0) : read.reduce((sum, { value }) => sum + value, 0)
    }
    const followed =
      follows && parts.length > 0
        ? { dependsOn: () => parts.map((part) => at(part, {})), revalidateEvery: '10s' as const }
        : {}
    feeds.push(
      feed(`/${index}`, {
        ...{ name: `n${index}`, key: {}, value: z.number(), load: { one: load }, spread: 0 },
        ...{ fresh: `${every}ms`, stale: '1h', live: { every: `${every}ms`, linger: '2s', ...followed } },
      }) as Value,
    )
  }
  const gateway = createGateway({ apps: [defineApp({ name: 'graph', use: feeds })], clock })
  const site = gateway.sites[0]
  const ask = (path: string, init?: RequestInit) => site?.fetch(new Request(`http://here${path}`, init))
  return {
    leaves,
    ask,
    async shown(): Promise<readonly Shown[]> {
      const topics = nodes.map((_, index) => `topic=/${index}`).join('&')
      const asked = ask(`/weir/values?${topics}`)
      await clock.settle()
      const answer = await asked
      if (answer === undefined) throw new Error('expected an answer')
      return ((await answer.json()) as { readonly values: readonly Shown[] }).values
    },
    close: () => gateway.close(0),
  }
}

const node = fc.record({
  of: fc.array(fc.nat(5), { maxLength: 3 }),
  follows: fc.boolean(),
  every: fc.constantFrom(100, 500, 1000),
})
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('pass' as const), for: fc.constantFrom(20, 150, 700, 3000, 20_000) }),
  fc.record({
    do: fc.constantFrom('fail' as const, 'heal' as const, 'change' as const, 'watch' as const, 'leave' as const),
    node: fc.nat(5),
  }),
)

describe('a value that is made of others', () => {
  test('is as old as the oldest of them, and stale when one of them is, whatever fails, changes and is watched', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(node, { minLength: 2, maxLength: 6 }),
        fc.array(step, { maxLength: 25 }),
        async (given, steps) => {
          const nodes = given.map((node, index) => ({ ...node, of: node.of.filter((part) => part < index) }))
          const clock = new ManualClock()
          const { leaves, ask, shown, close } = graph(clock, nodes)
          const streams = new Map<number, AbortController>()
          for (const step of steps) {
            if (step.do === 'pass') await clock.advance(step.for)
            else {
              const leaf = leaves[step.node]
              if (leaf !== undefined && step.do === 'change') leaf.value += 1
              else if (leaf !== undefined && (step.do === 'fail' || step.do === 'heal')) leaf.fails = step.do === 'fail'
              else if (step.do === 'watch' && step.node < nodes.length && !streams.has(step.node)) {
                const controller = new AbortController()
                streams.set(step.node, controller)
                void ask(`/${step.node}?as=sse`, { signal: controller.signal })?.then(({ body }) =>
                  body?.pipeTo(new WritableStream(), controller).catch(() => {}),
                )
              } else if (step.do === 'leave') {
                streams.get(step.node)?.abort()
                streams.delete(step.node)
              }
            }
            await clock.settle()
            const all = await shown()
            for (const [index, { of }] of nodes.entries()) {
              const made = all[index]
              if (made?.value === undefined) continue
              for (const part of of.flatMap((part) => all[part] ?? [])) {
                if (part.value === undefined) continue
                expect(made.checkedAt, `age of ${made.topic} of ${part.topic}`).toBeLessThanOrEqual(part.checkedAt)
                if (part.stale) expect(made.stale, `staleness of ${made.topic} of ${part.topic}`).toBe(true)
              }
            }
          }
          for (const controller of streams.values()) controller.abort()
          await clock.settle()
          await close()
        },
      ),
      { numRuns: 100 },
    )
  }, 60_000)
})

/** A chain: `/part`, `/half` made of it, and `/whole` of both. Each counts how often it is made. */
function chain(clock: ManualClock) {
  const made = { part: 0, half: 0, whole: 0 }
  const world = { part: 1, halfFails: false }
  const shared = { key: {}, spread: 0, fresh: '1s', stale: '1h' } as const
  const live = { every: '1s', linger: '30s' } as const
  const part = feed('/part', {
    ...{ ...shared, name: 'part', value: z.number(), live },
    load: {
      one: async () => {
        made.part += 1
        return world.part
      },
    },
  })
  const half = feed('/half', {
    ...{
      ...shared,
      name: 'half',
      value: z.number(),
      live: { ...live, revalidateEvery: '1h', dependsOn: () => [at(part, {})] },
    },
    load: {
      one: async () => {
        made.half += 1
        const { value } = await part.get({})
        if (world.halfFails) throw new Error('away')
        return value * 10
      },
    },
  })
  const whole = feed('/whole', {
    ...{ ...shared, name: 'whole', value: z.array(z.number()) },
    live: { ...live, revalidateEvery: '1h', dependsOn: () => [at(part, {}), at(half, {})] },
    load: {
      one: async () => {
        made.whole += 1
        const parts = await Promise.all([part.get({}), half.get({})])
        return parts.map(({ value }) => value)
      },
    },
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'chain', use: [part, half, whole] })], clock })
  const [site] = gateway.sites
  const ask = (path: string, init?: RequestInit) => site?.fetch(new Request(`http://here${path}`, init))
  return {
    made,
    world,
    /** What listeners of `/whole` are told, and how to stop. */
    listen() {
      const controller = new AbortController()
      const texts: string[] = []
      const sink = new WritableStream<Uint8Array>({ write: (chunk) => void texts.push(Buffer.from(chunk).toString()) })
      const stop = () => controller.abort()
      void ask('/whole?as=sse', { signal: controller.signal })?.then(({ body }) =>
        body?.pipeTo(sink, controller).catch(() => {}),
      )
      return { stop, values: () => [...texts.join('').matchAll(/"value":(\[[^\]]*\])/g)].map(([, value]) => value) }
    },
    async whole() {
      const asked = ask('/whole')
      await clock.settle()
      const answer = await asked
      return { value: await answer?.json(), stale: answer?.headers.get('weir-stale') ?? '?0' }
    },
    close: () => gateway.close(0),
  }
}

describe('values that belong together', () => {
  test('are told together when all of them can be had', async () => {
    const clock = new ManualClock()
    const { world, listen, whole, close } = chain(clock)
    const { values, stop } = listen()
    await clock.advance(1000)
    for (world.part = 2; world.part < 10; world.part++) await clock.advance(1500)
    expect(await whole()).toEqual({ value: [9, 90], stale: '?0' })
    expect(values()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((part) => `[${part},${part * 10}]`))
    stop()
    await close()
  })

  test('are marked when one of them is known to be another and can not be had, until it can', async () => {
    const clock = new ManualClock()
    const { world, listen, whole, close } = chain(clock)
    const { stop } = listen()
    await clock.advance(1000)
    expect(await whole()).toEqual({ value: [1, 10], stale: '?0' })
    world.halfFails = true
    world.part = 2
    await clock.advance(2000)
    for (let second = 0; second < 75; second++) {
      // Each confirms the part, and none of them the half.
      expect(await whole()).toMatchObject({ stale: '?1' })
      await clock.advance(1000)
    }
    world.halfFails = false
    await clock.advance(3000)
    expect(await whole()).toEqual({ value: [2, 20], stale: '?0' })
    stop()
    await close()
  })

  test('are asked for no longer than the last of them lingers by itself', async () => {
    const clock = new ManualClock()
    const { made, listen, close } = chain(clock)
    const { stop } = listen()
    await clock.advance(5000)
    stop()
    await clock.advance(32_000)
    const before = { ...made }
    await clock.advance(100_000)
    expect(made).toEqual(before)
    await close()
  })
})

test('a GraphQL subscription that asks for a value alone marks it while it is stale, also for who comes then, and says when that is over', async () => {
  let fails = false
  const number = feed('/number', {
    ...{ name: 'number', key: {}, value: z.number(), fresh: '50ms', stale: '1h', spread: 0 },
    live: { every: '50ms', linger: '1h' },
    load: {
      one: async () => {
        if (fails) throw new Error('away')
        return 1
      },
    },
  })
  const app = defineApp({ name: 'numbers', use: [number], graphql: true })
  const gateway = createGateway({ apps: [app], heartbeat: '100ms' })
  await using _ = { [Symbol.asyncDispose]: () => gateway.close(500) }
  const [url] = await gateway.listen({ port: 0 })
  const subscribe = async () =>
    new EventStream(
      await fetch(`${url}/graphql?query=${encodeURIComponent('subscription { number }')}`, {
        headers: { accept: 'text/event-stream' },
      }),
    )
  type Result = { readonly data: unknown; readonly extensions?: { readonly weir: { readonly stale: boolean } } }
  const next = async (stream: EventStream) => (await stream.until('next')).data as unknown as Result
  const stale = (result: Result) => result.extensions?.weir.stale
  await using first = await subscribe()
  expect(await next(first)).toEqual({ data: { number: 1 } })
  fails = true
  const marked = await next(first)
  expect([marked.data, stale(marked)]).toEqual([{ number: 1 }, true])
  await using second = await subscribe()
  expect(stale(await next(second))).toBe(undefined)
  expect(stale(await next(second))).toBe(true)
  fails = false
  for (const stream of [first, second]) {
    let result = await next(stream)
    while (stale(result) === true) result = await next(stream)
    expect([result.data, stale(result)]).toEqual([{ number: 1 }, false])
  }
})
