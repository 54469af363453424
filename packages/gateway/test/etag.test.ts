import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http } from '../src/index.ts'
import { countingUpstream } from './counting-upstream.ts'

test.each([
  ['is cut', '{"price":', 'load'],
  ['has not what its schema wants', '{"price":"none"}', 'load'],
  ['has not what the feed wants', '{"price":"none"}', 'value'],
])('a body that %s is not kept for its ETag: the next ask is for the whole', async (_, bad, schema) => {
  await using upstream = await countingUpstream()
  let body = bad
  const conditions: (string | undefined)[] = []
  upstream.answer = (_path, response) => {
    const condition = response.req.headers['if-none-match']
    conditions.push(condition)
    response.setHeader('etag', '"always"')
    response.setHeader('content-type', 'application/json')
    if (condition === '"always"') response.writeHead(304).end()
    else response.end(body)
  }
  const Price = z.object({ price: z.number() })
  const price = feed('/price', {
    name: 'price',
    key: {},
    value: schema === 'value' ? Price : z.unknown(),
    from: http({ name: 'up', url: upstream.url, pastUsage: 'none', retries: 0, limits: [{ calls: 100, per: '1s' }] }),
    load: { one: (_key, call) => (schema === 'load' ? call.get('/', { answer: Price }) : call.get('/')) },
    fresh: '0ms',
    live: { every: '1h' },
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'app', use: [price] })] })
  await expect(price.get({})).rejects.toMatchObject({ code: 'upstream_invalid' })
  body = '{"price":2}'
  await price.drop({})
  // Failures are shared for a second; what a poller or a reader asks after that is what counts here.
  await expect
    .poll(
      () =>
        price.get({}).then(
          ({ value }) => value,
          () => undefined,
        ),
      { timeout: 10_000 },
    )
    .toEqual({ price: 2 })
  expect(conditions).toEqual([undefined, undefined])
  await gateway.close()
})
