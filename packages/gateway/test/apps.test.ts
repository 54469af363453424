import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http, log } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'

test('two apps of one gateway may use the same addresses and never meet', async () => {
  await using first = await countingUpstream()
  await using second = await countingUpstream()
  first.answer = (_, response) => json(response, 'first')
  second.answer = (_, response) => json(response, 'second')
  const app = (name: string, url: string) => {
    const names = feed('/names/:id', {
      name: 'names',
      key: { id: z.string() },
      value: z.string(),
      from: http({ name, url }),
      fresh: '1m',
      load: { one: (_, call) => call.get('/', { answer: z.string() }) },
    })
    return { names, app: defineApp({ name, use: [names] }) }
  }
  const apps = [app('first', first.url), app('second', second.url)]
  const gateway = createGateway({ apps: apps.map(({ app }) => app) })
  try {
    for (let round = 0; round < 2; round++) {
      const read: string[] = []
      for (const { names } of apps) read.push((await names.get({ id: 'x' })).value)
      expect(read).toEqual(['first', 'second'])
    }
    const answers = await Promise.all(gateway.sites.map((site) => site.fetch(new Request('http://localhost/names/x'))))
    expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual(['first', 'second'])
  } finally {
    await gateway.close()
  }
})

test('logs of two apps do not meet, also when they have one address', async () => {
  const app = (name: string) => {
    const names = log('/names/:id', { name: 'names', key: { id: z.string() }, event: z.string() })
    return { names, app: defineApp({ name, use: [names] }) }
  }
  const apps = [app('first'), app('second')]
  const gateway = createGateway({ apps: apps.map(({ app }) => app) })
  try {
    const polls = gateway.sites.map((site) => {
      const empty = site.fetch(new Request('http://localhost/names/x'))
      const after = empty.then(async (answer) => ((await answer.json()) as { readonly newest: string }).newest)
      return after.then((after) => site.fetch(new Request(`http://localhost/names/x?as=poll&after=${after}`)))
    })
    await expect.poll(() => gateway.metrics.summary.connections).toBe(2)
    for (const { names, app } of apps) await names.publish({ id: 'x' }, app.name)
    const pages = await Promise.all(polls.map(async (poll) => (await poll).json()))
    expect(pages).toMatchObject([{ events: [{ event: 'first' }] }, { events: [{ event: 'second' }] }])
  } finally {
    await gateway.close()
  }
})

test('two apps of one name are refused, since by it they are told apart', () => {
  const apps = [defineApp({ name: 'prices', use: [] }), defineApp({ name: 'prices', use: [] })]
  expect(() => createGateway({ apps })).toThrow('gateway: apps: expected apps with different names, got "prices"')
})

test.each([1, 2, 3, 5, 7])('%d apps share any amount of memory', async (count) => {
  const apps = Array.from({ length: count }, (_, index) => defineApp({ name: `app-${index}`, use: [] }))
  for (const memory of ['64mb', '1kb', '1.1kb', '100.3mb', undefined] as const) {
    const gateway = createGateway({ apps, ...(memory === undefined ? {} : { memory }) })
    await gateway.close()
  }
})

describe('a gateway that could not be made', () => {
  const key = { id: z.string() }
  const load = { one: async () => 1 }
  const from = http({ name: 'source', url: 'http://127.0.0.1:1' })
  const item = () => feed('/items/:id', { name: 'item', key, value: z.number(), from, load })

  test.each([
    ['keys to prewarm that its schema refuses', { prewarm: [{ id: 1 }] }, 'prewarm[0]'],
    ['a file of keys that is not there', { prewarm: new URL('file:///nowhere.json') }, 'prewarm'],
  ])('leaves its declarations free: %s', async (_what, bad, named) => {
    const good = item()
    const broken = feed('/broken/:id', { name: 'broken', key, value: z.number(), from, load, ...(bad as object) })
    const apps = [defineApp({ name: 'good', use: [good] }), defineApp({ name: 'broken', use: [broken] })]
    // The same cause each time, and not that a gateway has them already.
    for (let round = 0; round < 3; round++) expect(() => createGateway({ apps })).toThrow(named)
    await createGateway({ apps: apps.slice(0, 1) }).close()
  })

  test('takes nothing from a gateway that runs', async () => {
    const one = item()
    const broken = feed('/broken/:id', {
      name: 'broken',
      key,
      value: z.number(),
      from,
      load,
      prewarm: [{ id: 1 as never }],
    })
    const running = createGateway({ apps: [defineApp({ name: 'one', use: [one] })] })
    try {
      const apps = [defineApp({ name: 'one', use: [one] }), defineApp({ name: 'two', use: [broken] })]
      expect(() => createGateway({ apps })).toThrow('prewarm[0]')
      expect((await one.get({ id: 'a' })).value).toBe(1)
    } finally {
      await running.close()
    }
  })
})
