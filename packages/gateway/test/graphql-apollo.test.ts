import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { createClient as createSseClient } from 'graphql-sse'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'

const FOLLOW = gql`
  subscription ($mint: String!) {
    price(mint: $mint) {
      usd
    }
  }
`

/** A site with a price that the test moves. */
async function open() {
  const upstream = await countingUpstream()
  const now = { usd: 1 }
  upstream.answer = (_, response) => json(response, now)
  const price = feed('/prices/:mint', {
    name: 'price',
    key: { mint: z.string().max(10) },
    value: z.object({ usd: z.number() }),
    from: http({ name: 'source', url: upstream.url, pastUsage: 'none' }),
    load: { one: ({ mint }, call) => call.get(`/${mint}`, { answer: z.object({ usd: z.number() }) }) },
    // Longer than a busy machine stands still: what is stale is marked in each result.
    fresh: '1m',
    live: { every: '20ms', linger: '50ms' },
  })
  const apps = [defineApp({ name: 'test', use: [price], graphql: true })]
  const gateway = createGateway({ apps, heartbeat: '50ms' })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    url: `${url}/graphql`,
    now,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway.close(1000)
      await upstream[Symbol.asyncDispose]()
    },
  }
}

test('Apollo’s client follows a value over HTTP, past heartbeats, and is let go of when it leaves', async () => {
  await using site = await open()
  const client = new ApolloClient({ link: new HttpLink({ uri: site.url }), cache: new InMemoryCache() })
  const seen: unknown[] = []
  const failures: unknown[] = []
  const following = client
    .subscribe({ query: FOLLOW, variables: { mint: 'SOL' } })
    .subscribe({ next: ({ data, error }) => seen.push(error ?? data), error: (error) => failures.push(error) })
  await expect.poll(() => seen).toEqual([{ price: { __typename: 'Price', usd: 1 } }])
  site.now.usd = 2
  await expect.poll(() => seen.length).toBe(2)
  expect(seen[1]).toMatchObject({ price: { usd: 2 } })
  following.unsubscribe()
  await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
  expect(failures).toEqual([])
  client.stop()
})

test('Apollo’s client is told what is wrong with a subscription', async () => {
  await using site = await open()
  const client = new ApolloClient({ link: new HttpLink({ uri: site.url }), cache: new InMemoryCache() })
  const told = new Promise<unknown>((resolve) => {
    client
      .subscribe({ query: FOLLOW, variables: { mint: 'far too long for a mint' } })
      .subscribe({ next: ({ data, error }) => resolve(error ?? data), error: resolve })
  })
  expect(String(await told)).toContain('mint')
  client.stop()
})

test('each part of a body is whole when it is sent: its delimiter comes with it', async () => {
  await using site = await open()
  const answer = await fetch(site.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0,application/json',
    },
    body: JSON.stringify({ query: 'subscription { price(mint: "SOL") { usd } }' }),
  })
  expect(answer.headers.get('content-type')).toBe('multipart/mixed;boundary="graphql";subscriptionSpec=1.0')
  let text = ''
  for await (const bytes of answer.body ?? []) {
    text += Buffer.from(bytes).toString()
    expect(text.endsWith('\r\n--graphql')).toBe(true)
    if (text.includes('payload')) break
  }
  const parts = text.split('\r\n--graphql').slice(1, -1)
  // The value may have to be waited for, past a heartbeat.
  const first = parts.find((part) => part.includes('payload'))
  expect(first).toBe('\r\ncontent-type: application/json\r\n\r\n{"payload":{"data":{"price":{"usd":1}}}}')
})

test('graphql-sse’s single connection mode is refused in words that say what to use', async () => {
  await using site = await open()
  const answer = await fetch(site.url, { method: 'PUT' })
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, POST'])
  expect(await answer.json()).toMatchObject({ detail: expect.stringContaining('singleConnection: false') })
  const client = createSseClient({ url: site.url, singleConnection: true, retryAttempts: 0 })
  const query = 'subscription { price(mint: "SOL") { usd } }'
  const failure = new Promise<unknown>((resolve) =>
    client.subscribe({ query }, { next: resolve, error: resolve, complete: () => resolve('complete') }),
  )
  expect(String(await failure)).toMatch(/405/)
  client.dispose()
})
