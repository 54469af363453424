import { createGateway, defineApp, feed, http, type Identity, log, type Routes } from '@weir/gateway'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { launch } from '../../../scripts/browser.ts'
import { openRoad } from '../../../scripts/road.ts'
import { countingUpstream, json } from '../../gateway/test/counting-upstream.ts'
import { bundle } from './bundle.ts'

let browser: Browser
let files: Record<string, string>

beforeAll(async () => {
  const [all = '', serviceWorker = ''] = await Promise.all(['all.ts', 'service-worker.ts'].map(bundle))
  files = { '/all.js': all, '/service-worker.js': serviceWorker }
  browser = await launch()
})

afterAll(() => browser?.close())

/** Links that are not part of the page, and hosts that are not reachable from here. */
const ELSEWHERE =
  '<link rel="preconnect" href="https://cdn.invalid"><link href="https://www.invalid/" rel="canonical"><link rel="stylesheet" href="https://cdn.invalid/a.css" media="print" disabled>'

/** A site that identifies callers by a cookie. Every value of a caller contains the caller's name. */
async function serveCallers() {
  const upstream = await countingUpstream()
  let count = 0
  upstream.answer = (_, response) => json(response, { count: count++ })
  const source = http({ name: 'source', url: upstream.url, pastUsage: 'none', timeout: '2s' })
  const live = { every: '50ms', linger: '1s' } as const
  const me = feed('/me', {
    name: 'me',
    key: {},
    value: z.unknown(),
    from: source,
    scope: 'user',
    load: { one: async (_, call) => ({ of: `value-of-${call.caller.user}`, ...((await call.get('/x')) as object) }) },
    fresh: '5s',
    stale: '1m',
    live,
  })
  const open = feed('/open', {
    name: 'open',
    key: {},
    value: z.unknown(),
    from: source,
    load: { one: async (_, call) => call.get('/x') },
    fresh: '100ms',
    live,
  })
  const inbox = log('/inbox', {
    name: 'inbox',
    key: {},
    event: z.string(),
    scope: 'user',
    history: { events: 9, age: '1h' },
  })
  const userOf = (cookie: string | null | undefined) => /user=(\w+)/.exec(cookie ?? '')?.[1]
  const html = (body: string, headers = {}) =>
    new Response(`<!doctype html><title>site</title>${ELSEWHERE}<script src="/all.js"></script><body>${body}`, {
      headers: { 'content-type': 'text/html', ...headers },
    })
  const routes: Routes = {
    fetch(request) {
      const { pathname, searchParams } = new URL(request.url)
      const user = userOf(request.headers.get('cookie'))
      // A page without caching headers, as is common.
      if (pathname === '/') return html(user === undefined ? 'nobody' : `page-of-${user}`)
      if (pathname === '/profile') return new Response(`profile-of-${user}`, { headers: { vary: 'cookie' } })
      if (pathname === '/mark.css')
        return new Response(`/* mark-of-${user} */`, { headers: { 'content-type': 'text/css' } })
      const cookie = { 'set-cookie': `user=${searchParams.get('user')}; Path=/` }
      if (pathname === '/login') return html('in', cookie)
      if (pathname === '/logout') return html('out', { 'set-cookie': 'user=; Path=/; Max-Age=0' })
      const script = files[pathname]
      if (script === undefined) return new Response('', { status: 404 })
      return new Response(script, { headers: { 'content-type': 'text/javascript' } })
    },
  }
  const app = defineApp({
    name: 'callers',
    use: [me, open, inbox],
    routes,
    identify({ header }): Identity | undefined {
      const user = userOf(header('cookie'))
      return user === undefined ? undefined : { user }
    },
  })
  const gateway = createGateway({ apps: [app], heartbeat: '1s' })
  const [url = ''] = await gateway.listen({ port: 0 })
  for (const user of ['alice', 'bob', 'carol']) await inbox.publish({}, `mail-of-${user}`, { user })
  return {
    url,
    async [Symbol.asyncDispose]() {
      await gateway.close(0)
      await upstream[Symbol.asyncDispose]()
    },
  }
}

/** A page that shows values, as pages do, and stores what it may. */
async function open(context: BrowserContext, url: string, options: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(url)
  await show(page, options)
  return page
}

async function show(page: Page, options: string): Promise<void> {
  await page.evaluate(`(async () => {
    document.body.innerHTML = ''
    window.client = weir.createClient(${options})
    for (const topic of ['/me', '/inbox', '/open']) {
      const line = document.body.appendChild(document.createElement('p'))
      line.id = topic.slice(1)
      client.subscribe(topic, ({ value, problem }) => { line.textContent = JSON.stringify([value, problem?.code]) })
    }
    await navigator.serviceWorker.register('/service-worker.js')
    await navigator.serviceWorker.ready
    while (navigator.serviceWorker.controller === null) await new Promise((resolve) => setTimeout(resolve, 20))
  })()`)
}

/** Reads in every way that a page can. */
const askAll = (page: Page) =>
  page.evaluate(`(async () => {
    await client.get('/me').catch(() => {})
    for (const path of ['/me', '/profile', '/', '/open', '/weir/values?topic=/me']) await (await fetch(path)).text()
    await new Promise((resolve) => {
      const style = document.head.appendChild(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: '/mark.css' }))
      style.onload = style.onerror = resolve
    })
  })()`)

/** Everything that a browser has of a page: shown, in memory, stored and cached. */
const everything = (page: Page): Promise<string> =>
  page.evaluate(`(async () => {
    const held = [document.body.innerText, JSON.stringify(client.entry('/me')), JSON.stringify(client.entry('/inbox'))]
    held.push(JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }))
    held.push(JSON.stringify((await indexedDB.databases()).map(({ name }) => name)))
    for (const name of await caches.keys()) {
      const cache = await caches.open(name)
      // A cache may be gone: the service worker may be clearing them right now.
      for (const request of await cache.keys()) held.push(request.url, (await (await cache.match(request, { ignoreVary: true }))?.text()) ?? '')
    }
    return held.join('\\n')
  })()`)

const shows = (page: Page, id: string, text: string) =>
  expect.poll(() => page.locator(`#${id}`).textContent(), { timeout: 20_000 }).toContain(text)

/** Asserts that a page has nothing of these callers, now and later. */
async function holdsNothingOf(pages: readonly Page[], ...users: string[]): Promise<void> {
  for (const page of pages) {
    const held = await everything(page)
    for (const user of users) expect(held).not.toMatch(new RegExp(`(value|mail|page|profile|mark)-of-${user}`))
  }
}

test.each([
  ['sse', false],
  ['ws', false],
  ['poll', false],
  ['sse', true],
  ['ws', true],
] as const)(
  'several callers in one browser, by %s, with shared tabs: %s: none sees a value of another',
  async (transport, share) => {
    await using site = await serveCallers()
    await using road = await openRoad(site.url)
    const context = await browser.newContext()
    const { url } = road
    const options = `{ transports: ['${transport}'], interval: 100, persist: weir.keepValues()${share ? ', share: weir.shareTabs()' : ''} }`
    const enter = async (page: Page, user: string) => {
      await page.evaluate(`fetch('/login?user=${user}').then((answer) => answer.text())`)
      await page.evaluate('client.signIn()')
    }
    const leave = async (page: Page) => {
      await page.evaluate(`fetch('/logout').then((answer) => answer.text())`)
      await page.evaluate('client.signOut()')
    }
    const first = await open(context, url, options)
    const second = await open(context, url, options)
    const both = [first, second]

    // Signed in: both tabs are served as the caller, and public values are stored.
    await enter(first, 'alice')
    for (const page of both) {
      await shows(page, 'me', 'value-of-alice')
      await shows(page, 'inbox', 'mail-of-alice')
      await askAll(page)
    }
    // Even now nothing of her is on disk.
    await second.evaluate(`dispatchEvent(new Event('pagehide'))`)
    const stored = (await everything(second)).split('\n').slice(1).join('\n')
    expect(await second.evaluate(`JSON.stringify({ ...localStorage })`)).toContain('"topic')
    expect(await second.evaluate(`JSON.stringify({ ...localStorage })`)).not.toMatch(/-of-alice/)
    expect(stored).not.toMatch(/(page|profile|mark)-of-alice/)

    // Signed out in one tab: both tabs have nothing, at once and later.
    await leave(first)
    await shows(second, 'me', 'unauthenticated')
    await holdsNothingOf(both, 'alice')

    // The next caller signs in from the other tab.
    await enter(second, 'bob')
    for (const page of both) {
      await shows(page, 'me', 'value-of-bob')
      await shows(page, 'inbox', 'mail-of-bob')
      await askAll(page)
    }
    await holdsNothingOf(both, 'alice')

    // The cookie changes without a call from a page: the first page opened afterwards is enough.
    await second.evaluate(`fetch('/login?user=carol').then((answer) => answer.text())`)
    const third = await open(context, url, options)
    for (const page of [...both, third]) await shows(page, 'me', 'value-of-carol')
    await holdsNothingOf([...both, third], 'alice', 'bob')
    await askAll(third)

    // Signed out by a cookie, and reloaded.
    await third.evaluate(`fetch('/logout').then((answer) => answer.text())`)
    await third.reload()
    await show(third, options)
    await shows(third, 'me', 'unauthenticated')
    for (const page of both) await shows(page, 'me', 'unauthenticated')
    await holdsNothingOf([...both, third], 'alice', 'bob', 'carol')

    // Offline: the page is there as an unknown caller sees it, with public values.
    await enter(first, 'bob')
    for (const page of [...both, third]) await shows(page, 'me', 'value-of-bob')
    for (const page of [...both, third]) await page.evaluate(`dispatchEvent(new Event('pagehide'))`)
    await road[Symbol.asyncDispose]()
    await third.reload()
    await show(third, options)
    await shows(third, 'open', 'count')
    await holdsNothingOf([third], 'alice', 'bob', 'carol')
    // Signed out offline.
    await first.evaluate('client.signOut()')
    await expect.poll(() => second.locator('#me').textContent()).not.toContain('-of-')
    await holdsNothingOf([...both, third], 'alice', 'bob', 'carol')
    await context.close()
  },
  120_000,
)
