import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http } from '../src/index.ts'
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

test('two apps of one name are refused, since by it they are told apart', () => {
  const apps = [defineApp({ name: 'prices', use: [] }), defineApp({ name: 'prices', use: [] })]
  expect(() => createGateway({ apps })).toThrow('gateway: apps: expected apps with different names, got "prices"')
})
