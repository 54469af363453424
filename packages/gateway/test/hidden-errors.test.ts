import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'

/** Quotes of an upstream that answers 200 always, and says in the body what it thinks. */
function app(url: string) {
  const source = http({
    name: 'source',
    url,
    pastUsage: 'none',
    statusOf: ({ body }) => {
      const said: { code?: number } = JSON.parse(body.toString())
      return said.code ?? 200
    },
  })
  const quote = feed('/quotes/:symbol', {
    name: 'quote',
    key: { symbol: z.string() },
    value: z.unknown(),
    from: source,
    load: { one: ({ symbol }, call) => call.get(`/quote/${symbol}`) },
    fresh: '0ms',
    spread: 0,
  })
  return { quote, app: defineApp({ name: 'quotes', use: [quote] }) }
}

test('an error in the body of a 200 is no value: what was there before is served', async () => {
  await using upstream = await countingUpstream()
  const declared = app(upstream.url)
  const gateway = createGateway({ apps: [declared.app] })
  try {
    upstream.answer = (_, response) => json(response, { price: 1 })
    expect((await declared.quote.get({ symbol: 'A' })).value).toEqual({ price: 1 })
    upstream.answer = (_, response) => json(response, { code: 400, status: 'error' })
    await declared.quote.get({ symbol: 'A' })
    expect((await declared.quote.get({ symbol: 'A' })).value).toEqual({ price: 1 })
    await expect(declared.quote.get({ symbol: 'B' })).rejects.toMatchObject({ code: 'upstream_failed' })
  } finally {
    await gateway.close()
  }
})

test('a refusal for too many calls in the body of a 200 makes the budget rest', async () => {
  await using upstream = await countingUpstream()
  const declared = app(upstream.url)
  const gateway = createGateway({ apps: [declared.app] })
  try {
    upstream.answer = (_, response) => json(response, { code: 429, message: 'You have run out of API credits' })
    await expect(declared.quote.get({ symbol: 'A' })).rejects.toMatchObject({ code: 'upstream_limited' })
    const health = await gateway.sites[0]?.fetch(new Request('http://localhost/metrics'))
    expect(await health?.text()).toMatch(/weir_budget_closed_total\{[^}]*upstream="source"[^}]*\} [1-9]/)
  } finally {
    await gateway.close()
  }
})
