import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http } from '../src/index.ts'

/** An upstream that answers its own name, for as long as the test. */
async function upstream(says: string): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(says))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected a port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

test('two apps of one gateway may use the same addresses and never meet', async () => {
  await using first = await upstream('first')
  await using second = await upstream('second')
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
