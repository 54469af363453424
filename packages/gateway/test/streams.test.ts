import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http, stream } from '../src/index.ts'

const price = feed('/prices/:mint', {
  name: 'price',
  key: { mint: z.string().min(2) },
  value: z.number(),
  from: http({ name: 'jupiter', url: 'http://127.0.0.1:1' }),
  load: { one: async () => 1 },
})
const chosen = stream('/stream', { of: price, choose: { query: 'mints', part: 'mint' }, maxKeys: 2 })

test.each([
  ['', 'mints: expected at least one key, got none'],
  [',,', 'mints: expected at least one key, got none'],
  ['aa,bb,cc', 'mints: expected at most 2 keys, got 3'],
  ['aa,aa,aa', 'mints: expected at most 2 keys, got 3'],
])('a stream of "%s" is refused before it opens', async (mints, detail) => {
  const gateway = createGateway({ apps: [defineApp({ name: 'prices', use: [price, chosen] })] })
  try {
    const answer = await gateway.sites[0]?.fetch(new Request(`http://localhost/stream?mints=${mints}`))
    expect(answer?.status).toBe(400)
    expect(await answer?.json()).toMatchObject({ code: 'bad_key', detail })
  } finally {
    await gateway.close()
  }
})
