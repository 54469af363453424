import { expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { at, createGateway, defineApp, feed, http, type LiveOptions } from '../src/index.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'

const Sum = z.object({ total: z.number(), at: z.number() })

/** Numbers of an upstream, and sums of two that are made of them. */
async function opened(upstream: CountingUpstream, live: Omit<LiveOptions, 'dependsOn'> = { revalidateEvery: '1h' }) {
  const numbers = new Map([
    ['/a', 1],
    ['/b', 10],
  ])
  upstream.answer = (path, response) => {
    const number = numbers.get(path)
    if (number === undefined) json(response, {}, 500)
    else json(response, number)
  }
  const number = feed('/numbers/:name', {
    name: 'number',
    key: { name: z.string() },
    value: z.number(),
    from: http({ name: 'numbers', url: upstream.url, pastUsage: 'none', retries: 0 }),
    load: { one: ({ name }, call) => call.get(`/${name}`) as Promise<number> },
    ...{ fresh: '20ms', stale: '1h', live: { every: '20ms', linger: '0ms' } },
  })
  let made = 0
  const sum = feed('/sums/:one/:other', {
    name: 'sum',
    key: { one: z.string(), other: z.string() },
    value: Sum,
    load: {
      one: async ({ one, other }) => {
        made += 1
        const parts = await Promise.all([number.get({ name: one }), number.get({ name: other })])
        const age = Math.max(...parts.map((part) => part.age))
        return { total: parts.reduce((sum, { value }) => sum + value, 0), at: Math.floor(Date.now() - age) }
      },
    },
    fresh: '1s',
    stale: '1h',
    asOf: ({ at }) => at,
    live: {
      every: '50ms',
      linger: '0ms',
      ...live,
      dependsOn: ({ one, other }) => [at(number, { name: one }), at(number, { name: other })],
    },
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'sums', use: [sum, number] })], heartbeat: '50ms' })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    url,
    numbers,
    made: () => made,
    stream: async (path: string) => new EventStream(await fetch(`${url}${path}?as=sse`)),
    [Symbol.asyncDispose]: () => gateway.close(1000),
  }
}

const totals = (stream: EventStream, total: number) =>
  stream.until('snapshot', ({ data }) => (data.value as z.infer<typeof Sum>).total === total)

test('a value that is made of others follows each of them, and is not made while nothing changes', async () => {
  await using upstream = await countingUpstream()
  await using site = await opened(upstream)
  await using stream = await site.stream('/sums/a/b')
  await totals(stream, 11)
  site.numbers.set('/b', 20)
  await totals(stream, 21)
  site.numbers.set('/a', 2)
  await totals(stream, 22)
  const made = site.made()
  const asked = upstream.calls
  await expect.poll(() => upstream.calls).toBeGreaterThan(asked + 10)
  expect(site.made()).toBe(made)
})

test('what it is made of is asked for as long as somebody watches it, and then no more', async () => {
  await using upstream = await countingUpstream()
  await using site = await opened(upstream)
  {
    await using stream = await site.stream('/sums/a/b')
    await totals(stream, 11)
  }
  let before = -1
  await expect
    .poll(
      () => {
        const still = upstream.calls === before
        before = upstream.calls
        return still
      },
      { interval: 200 },
    )
    .toBe(true)
})

test('who asks once gets it made of what is there, and its age is that of the oldest', async () => {
  await using upstream = await countingUpstream()
  await using site = await opened(upstream)
  expect(await (await fetch(`${site.url}/sums/a/b`)).json()).toMatchObject({ total: 11 })
  // One of them can't be asked for any more: the sum grows old with it, however often it is made.
  await using stream = await site.stream('/sums/a/b')
  await totals(stream, 11)
  site.numbers.delete('/a')
  await expect
    .poll(
      async () => {
        site.numbers.set('/b', (site.numbers.get('/b') ?? 0) + 1)
        const answer = await fetch(`${site.url}/sums/a/b`)
        await answer.arrayBuffer()
        return Number(answer.headers.get('age'))
      },
      { timeout: 10_000, interval: 100 },
    )
    .toBeGreaterThanOrEqual(2)
  // It went on following the other.
  await totals(stream, 13)
})

test('it is stale when one of them is, and not for being made long ago', async () => {
  await using upstream = await countingUpstream()
  await using site = await opened(upstream)
  await using stream = await site.stream('/sums/a/b')
  await totals(stream, 11)
  // Older than it is fresh for, made of what is confirmed all the time.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect((await stream.until('heartbeat', ({ data }) => Number(data.now) > Date.now() - 100)).data.stale).toBe(false)
  site.numbers.delete('/b')
  await stream.until('heartbeat', ({ data }) => data.stale === true)
  site.numbers.set('/b', 30)
  await totals(stream, 31)
  await stream.until('heartbeat', ({ data }) => data.stale === false)
})

test('it waits for what belongs to a change, and is made once for all of it', async () => {
  await using upstream = await countingUpstream()
  await using site = await opened(upstream, { revalidateEvery: '1h', within: '300ms' })
  await using stream = await site.stream('/sums/a/b')
  await totals(stream, 11)
  const made = site.made()
  site.numbers.set('/a', 2)
  await new Promise((resolve) => setTimeout(resolve, 100))
  site.numbers.set('/b', 20)
  expect((await stream.until('snapshot')).data.value).toMatchObject({ total: 22 })
  expect(site.made()).toBe(made + 1)
})

test('it is made anew every so often although nothing changed, which moves the moment it says', async () => {
  await using upstream = await countingUpstream()
  await using site = await opened(upstream, { revalidateEvery: '50ms' })
  await using stream = await site.stream('/sums/a/b')
  const first = (await totals(stream, 11)).data.value as z.infer<typeof Sum>
  await stream.until('snapshot', ({ data }) => (data.value as z.infer<typeof Sum>).at > first.at)
})

test('one that has an upstream too is not confirmed while it is asked for, however long that takes', async () => {
  await using upstream = await countingUpstream()
  let hangs = false
  upstream.answer = (path, response) => {
    if (path === '/part' || !hangs) json(response, hangs ? 2 : 1)
  }
  const from = http({ name: 'numbers', url: upstream.url, pastUsage: 'none', retries: 0, timeout: '3s' })
  const shared = { key: {}, value: z.number(), from, stale: '1h' } as const
  const part = feed('/part', {
    ...{ ...shared, name: 'part', fresh: '20ms', live: { every: '20ms' } },
    load: { one: (_key, call) => call.get('/part') as Promise<number> },
  })
  const whole = feed('/whole', {
    ...{
      ...shared,
      name: 'whole',
      fresh: '20ms',
      live: { every: '20ms', revalidateEvery: '1h', dependsOn: () => [at(part, {})] },
    },
    load: { one: (_key, call) => call.get('/whole') as Promise<number> },
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'parts', use: [part, whole] })], heartbeat: '50ms' })
  await using _ = { [Symbol.asyncDispose]: () => gateway.close(100) }
  const [url] = await gateway.listen({ port: 0 })
  await using stream = new EventStream(await fetch(`${url}/whole?as=sse`))
  await stream.until('snapshot')
  await stream.until('heartbeat', ({ data }) => Number(data.now) - Number(data.checkedAt) < 500)
  hangs = true
  await stream.until('heartbeat', ({ data }) => Number(data.now) - Number(data.checkedAt) > 1000 && data.stale === true)
})

test('one that follows what is not a feed is refused', async () => {
  const options = {
    name: 'sum',
    key: {},
    value: z.number(),
    load: { one: async () => 1 },
  }
  expect(() => feed('/sum', { ...options, live: { dependsOn: [] as never } })).toThrow(/dependsOn: expected a function/)
  expect(() => at({} as never, {})).toThrow(/at\(\): feed: expected a feed/)
})
