import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed } from '../src/index.ts'

const SHOP = 'https://shop.example'

async function opened(cors: readonly string[] | undefined) {
  const routes = new Hono()
  routes.get('/own', (context) => context.text('own'))
  routes.get('/open', (context) =>
    context.text('open', 200, { 'access-control-allow-origin': 'https://other.example' }),
  )
  const item = feed('/items/:id', {
    name: 'item',
    key: { id: z.string().max(5) },
    value: z.object({ id: z.string() }),
    load: { one: async ({ id }) => ({ id }) },
  })
  const app = defineApp({ name: 'shop', use: [item], routes, ...(cors && { cors }) })
  const gateway = createGateway({ apps: [app] })
  const [url] = await gateway.listen({ port: 0 })
  const get = async (path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET') => {
    const answer = await fetch(`${url}${path}`, { headers, method })
    await answer.body?.cancel()
    const vary = answer.headers.get('vary') ?? ''
    return { status: answer.status, headers: answer.headers, vary: vary.toLowerCase() }
  }
  return { get, [Symbol.asyncDispose]: () => gateway.close(1000) }
}

test('a page of a site that is named may read values, streams, routes and refusals, and what they say of themselves', async () => {
  await using site = await opened([SHOP])
  for (const path of ['/items/a', '/items/a?as=sse', '/items/abcdef', '/own', '/nowhere', '/health']) {
    const { headers, vary } = await site.get(path, { origin: SHOP })
    expect(headers.get('access-control-allow-origin')).toBe(SHOP)
    expect(headers.get('access-control-expose-headers')).toContain('weir-version')
    expect(headers.get('access-control-allow-credentials')).toBeNull()
    expect(vary).toContain('origin')
  }
})

test('a page of another may not, and no cache gives it what was given to one that may', async () => {
  await using site = await opened([SHOP])
  for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, {}]) {
    const answer = await site.get('/items/a', headers)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
    expect(answer.vary).toContain('origin')
    // What it varies by besides is not forgotten.
    expect(answer.vary).toContain('accept')
  }
})

test('a browser that asks first is told what it may, and nothing when it may not', async () => {
  await using site = await opened([SHOP])
  const asking = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-own' }
  const allowed = await site.get('/own', { ...asking, origin: SHOP }, 'OPTIONS')
  expect(allowed.status).toBe(204)
  expect(Object.fromEntries(allowed.headers)).toMatchObject({
    'access-control-allow-origin': SHOP,
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': 'content-type,x-own',
    'access-control-max-age': '7200',
  })
  const refused = await site.get('/own', { ...asking, origin: 'https://evil.example' }, 'OPTIONS')
  expect(refused.headers.get('access-control-allow-methods')).toBeNull()
  expect(refused.headers.get('access-control-allow-origin')).toBeNull()
})

test('with * all may, and what a route says itself stays', async () => {
  await using site = await opened(['*'])
  expect(
    (await site.get('/items/a', { origin: 'https://any.example' })).headers.get('access-control-allow-origin'),
  ).toBe('*')
  expect((await site.get('/open', { origin: SHOP })).headers.get('access-control-allow-origin')).toBe(
    'https://other.example',
  )
})

test('without origins nothing is said of them', async () => {
  await using site = await opened(undefined)
  const { headers, vary } = await site.get('/items/a', { origin: SHOP })
  expect(headers.get('access-control-allow-origin')).toBeNull()
  expect(vary).not.toContain('origin')
})
