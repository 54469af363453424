import { expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { createGateway, defineApp, feed, http, push } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'

const Position = z.object({ at: z.number() })

const PATIENT = { timeout: 15_000, interval: 50 }

/** A gateway that serves a feed whose values say where they stand, somebody who watches two of them, and what health says. */
async function open(live: 'polled' | 'pushed') {
  const upstream = await countingUpstream()
  let at = 100
  upstream.answer = (_, response) => json(response, { at })
  const chain = feed('/chain/:id', {
    name: 'chain',
    key: { id: z.string() },
    value: Position,
    order: (value) => value.at,
    from: http({ name: 'source', url: upstream.url, pastUsage: 'none', timeout: '1s' }),
    load: { one: ({ id }, call) => call.get(`/chain/${id}`, { answer: Position }) },
    fresh: '50ms',
    live:
      live === 'polled'
        ? { every: '100ms' }
        : push<{ id: string }, { at: number }>({
            url: upstream.url.replace('http', 'ws'),
            subscribe: ({ id }) => ({ id }),
            read: () => undefined,
            every: '100ms',
          }),
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'app', use: [chain] })] })
  const [url = ''] = await gateway.listen({ port: 0, host: '127.0.0.1' })
  const stream = new EventStream(await fetch(`${url}/weir/stream?topic=/chain/a&topic=/chain/b`))
  const known = new Set<unknown>()
  while (known.size < 2) {
    const event = await stream.next()
    if (event?.event === 'snapshot') known.add(event.data.topic)
  }
  return {
    upstream,
    stands: (next: number) => {
      at = next
    },
    health: async () => {
      const { status, troubles } = await (await fetch(`${url}/api/health`)).json()
      return { status, troubles: troubles.filter(({ of }: { of: string }) => of === 'feed') }
    },
    async [Symbol.asyncDispose]() {
      await stream[Symbol.asyncDispose]()
      await gateway.close(0)
      await upstream[Symbol.asyncDispose]()
    },
  }
}

test.each(['polled', 'pushed'] as const)(
  'health names a feed whose watched values are stale behind an upstream that answers well, and why: %s',
  async (live) => {
    await using site = await open(live)
    await expect.poll(site.health, PATIENT).toMatchObject({ troubles: [] })
    site.stands(50)
    await expect.poll(site.health, PATIENT).toMatchObject({
      status: 'degraded',
      troubles: [
        {
          of: 'feed',
          name: 'chain',
          state: 'stale',
          reason: expect.stringMatching(/^[12] watched values?: the upstream answers older values than before$/),
        },
      ],
    })
    site.stands(200)
    await expect.poll(site.health, PATIENT).toMatchObject({ troubles: [] })
  },
)

test('and one whose upstream hangs', async () => {
  await using site = await open('polled')
  site.upstream.answer = () => {}
  await expect
    .poll(async () => String((await site.health()).troubles[0]?.reason), PATIENT)
    .toMatch(/watched values?: (no answer has confirmed them in time|refreshing them fails \(upstream_timeout\))$/)
})
