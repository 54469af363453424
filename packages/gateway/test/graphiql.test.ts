import { expect, test } from 'vitest'
import { z } from 'zod'
import { launch, visit } from '../../../scripts/browser.ts'
import { createGateway, defineApp, log } from '../src/index.ts'

test('GraphiQL, in a browser, asks nobody else for anything, knows the schema and follows a log', async () => {
  const trades = log('/trades/:mint', { name: 'trades', key: { mint: z.string() }, event: z.object({ n: z.int() }) })
  const gateway = createGateway({ apps: [defineApp({ name: 'test', use: [trades], graphql: { graphiql: true } })] })
  const browser = await launch()
  try {
    const [url = ''] = await gateway.listen({ port: 0 })
    const query = 'subscription { trades(mint: "SOL") { event { n } } }'
    await using seen = await visit(browser, `${url}/graphql?${new URLSearchParams({ query })}`)
    const { page } = seen
    await page.getByLabel('Execute query').click()
    await expect.poll(() => gateway.metrics.summary.connections).toBe(1)
    const result = page.getByLabel('Result Window')
    for (const n of [101, 102]) {
      await trades.publish({ mint: 'SOL' }, { n })
      await expect.poll(() => result.textContent()).toContain(String(n))
    }
    await page.getByLabel('Show Documentation Explorer').click()
    await expect.poll(() => page.getByText('Subscription', { exact: true }).count()).toBeGreaterThan(0)
    expect(seen.strangers).toEqual([])
  } finally {
    await browser.close()
    await gateway.close(1000)
  }
}, 60_000)
