import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, Dialog, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launch } from '../../../scripts/browser.ts'
import { openRoad } from '../../../scripts/road.ts'
import type { Client, Entry } from '../src/index.ts'
import { bundle } from './bundle.ts'
import { isLeft, rising, serveWorld, type World } from './world.ts'

/** State of the test pages, readable from the test. */
interface Seen {
  readonly client: Client
  readonly heard: Entry[]
}

let browser: Browser
let all: string
let reactPage: string
let files: Record<string, string>

beforeAll(async () => {
  const scripts = ['all.ts', 'worker.ts', 'service-worker.ts'].map(bundle)
  const [page = '', worker = '', serviceWorker = ''] = await Promise.all(scripts)
  all = page
  reactPage = await bundle('react.ts')
  files = { '/worker.js': worker, '/service-worker.js': serviceWorker, '/all.js': page }
  browser = await launch()
})

afterAll(() => browser?.close())

/** A page with a client subscribed to `/items/a`; `options` is the source of the client's options. */
async function open(context: BrowserContext, url: string, options = '{}', script = all): Promise<Page> {
  const page = await context.newPage()
  await page.goto(`${url}/blank`)
  await page.addScriptTag({ content: script })
  await page.evaluate(`
    window.heard = []
    window.client = weir.createClient(${options})
    client.subscribe('/items/a', (entry) => heard.push(entry))
  `)
  return page
}

const status = (page: Page) => page.evaluate(() => (window as unknown as Seen).client.status())
const heard = (page: Page) => page.evaluate(() => (window as unknown as Seen).heard)
const serving = (page: Page) => expect.poll(async () => (await status(page)).transport, { timeout: 15_000 })
const versionsOf = async (page: Page) => (await heard(page)).flatMap(({ version }) => version ?? [])

/** Waits until the page has received more than before. */
async function moves(page: Page): Promise<void> {
  const { length } = await heard(page)
  await expect.poll(async () => (await heard(page)).length).toBeGreaterThan(length)
}

test('the script-tag build continues by WebSocket and by long poll while others are blocked, and returns; versions only rise', async () => {
  await using world = await serveWorld({ heartbeat: '500ms', files })
  await using road = await openRoad(world.url)
  const context = await browser.newContext()
  const script = readFileSync(join(import.meta.dirname, '../dist/weir.global.js'), 'utf8')
  const page = await open(context, road.url, '{ interval: 100, connectTimeout: 1000 }', script)
  await serving(page).toBe('sse')
  await moves(page)
  road.block('sse')
  await serving(page).toBe('ws')
  await moves(page)
  road.block('sse', 'ws')
  await serving(page).toBe('poll')
  await moves(page)
  road.block()
  // A better transport is tried again within ten seconds.
  await serving(page).toBe('sse')
  await moves(page)
  const versions = await versionsOf(page)
  expect(versions).toEqual(rising(versions))
  await context.close()
  // A better transport is tried again after at most ten seconds.
}, 60_000)

test.each([
  ['a SharedWorker', `{ share: weir.shareTabs({ worker: () => new SharedWorker('/worker.js') }) }`],
  ['one of them', '{ share: weir.shareTabs() }'],
  [
    'one of them, since the SharedWorker can’t be had',
    `{ share: weir.shareTabs({ worker: () => new SharedWorker('/none.js') }) }`,
  ],
])(
  'ten tabs share one connection, which %s holds',
  async (_, options) => {
    await using world = await serveWorld({ files })
    const context = await browser.newContext()
    const tabs: Page[] = []
    for (let count = 0; count < 10; count += 1) tabs.push(await open(context, world.url, options))
    for (const tab of tabs) await moves(tab)
    await connections(world).toBe(1)
    expect(await status(tabs[9] as Page)).toMatchObject({ state: 'live', transport: 'sse' })
    // The leading tab closes, and another takes over.
    await tabs.shift()?.close()
    for (const tab of tabs) await moves(tab)
    await connections(world).toBe(1)
    for (const tab of tabs) {
      const versions = await versionsOf(tab)
      expect(versions).toEqual(rising(versions))
    }
    // After the last tab closes, nothing is left.
    for (const tab of tabs) await tab.close()
    await connections(world).toBe(0)
    await context.close()
  },
  60_000,
)

const connections = (world: World) => expect.poll(() => world.gateway.metrics.summary.connections, { timeout: 15_000 })

test('a leading tab that is stuck is detected and replaced; a new tab is served meanwhile; versions only rise', async () => {
  await using world = await serveWorld({ files })
  const context = await browser.newContext()
  const options = '{ share: weir.shareTabs() }'
  const leading = await open(context, world.url, options)
  await moves(leading)
  const other = await open(context, world.url, options)
  await moves(other)
  await other.evaluate(`window.states = []; client.watchStatus(() => states.push(client.status().state))`)
  // An open dialog blocks all scripts of the page.
  const asked = new Promise<Dialog>((resolve) => {
    leading.once('dialog', resolve)
  })
  const stood = leading.evaluate('alert("stand still")')
  const dialog = await asked
  await expect.poll(() => other.evaluate('states'), { timeout: 15_000 }).toContain('offline')
  const late = await open(context, world.url, options)
  await moves(other)
  await moves(late)
  expect((await status(other)).state).toBe('live')
  expect((await status(late)).state).toBe('live')
  await dialog.accept()
  await stood
  await moves(leading)
  await connections(world).toBe(1)
  for (const tab of [leading, other, late]) {
    const versions = await versionsOf(tab)
    expect(versions).toEqual(rising(versions))
  }
  await context.close()
}, 60_000)

test('pages of one origin that use different servers share nothing', async () => {
  await using one = await serveWorld({ files, origins: '*' })
  await using two = await serveWorld({ files, origins: '*' })
  await one.sell(1)
  await two.sell(1, 2)
  const context = await browser.newContext()
  const optionsOf = (world: World) => `{ url: '${world.url}', persist: weir.keepValues(), share: weir.shareTabs() }`
  const pages = [await open(context, one.url, optionsOf(one)), await open(context, one.url, optionsOf(two))]
  for (const page of pages) await moves(page)
  await connections(one).toBe(1)
  await connections(two).toBe(1)
  const [first = [], second = []] = await Promise.all(pages.map(versionsOf))
  expect(first.filter((version) => second.includes(version))).toEqual([])
  for (const page of pages) await page.evaluate(`dispatchEvent(new Event('pagehide'))`)
  const keys = await pages[0]?.evaluate('Object.keys(localStorage)')
  expect(keys).toEqual(expect.arrayContaining([`weir.values ${one.url}`, `weir.values ${two.url}`]))
  await context.close()
})

test('a topic of a single tab ends with it, and each tab gets what it requested', async () => {
  await using world = await serveWorld({ files })
  const context = await browser.newContext()
  const options = '{ linger: 0, share: weir.shareTabs() }'
  const first = await open(context, world.url, options)
  const second = await open(context, world.url, options)
  await second.evaluate(`client.subscribe('/items/b', (entry) => heard.push(entry))`)
  await expect.poll(async () => new Set((await heard(second)).map(({ topic }) => topic)).size).toBe(2)
  await second.close()
  await isLeft(world, '/items/b', '/items/a')
  expect(new Set((await heard(first)).map(({ topic }) => topic))).toEqual(new Set(['/items/a']))
  await context.close()
})

test('a React component renders live values, and one that returns shows its value at once', async () => {
  await using world = await serveWorld({ files })
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${world.url}/blank`)
  await page.addScriptTag({ content: reactPage })
  await page.getByText('0 ').waitFor()
  await expect.poll(() => page.locator('#one').textContent()).toMatch(/^0 \d+:\d+ live false true$/)
  await expect.poll(() => page.locator('#many').textContent()).toBe('/items/still /items/b')
  const toggle = page.getByRole('button')
  await toggle.click()
  expect(await page.locator('#one').count()).toBe(0)
  // Rendered in the same step in which it is mounted, without waiting.
  const shown = await page.evaluate(() => {
    document.querySelector('button')?.click()
    return new Promise((resolve) => queueMicrotask(() => resolve(document.querySelector('#one')?.textContent)))
  })
  expect(shown).toMatch(/^0 \d+:\d+ live false true$/)
  await context.close()
})

test('a page hydrates server-rendered content though the client knows more, and renders a late problem', async () => {
  await using world = await serveWorld({ files })
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${world.url}/blank`)
  await page.addScriptTag({ content: await bundle('hydrate.ts') })
  await expect.poll(() => page.locator('p').textContent()).toBe('stale /items/still /items/still not_found')
  expect(await page.evaluate('[drawn, ...errors]')).toEqual(['connecting undefined nothing nothing'])
  await context.close()
})

test('a server restart: no version goes back, without a reload', async () => {
  const first = await serveWorld({ heartbeat: '500ms', files })
  const context = await browser.newContext()
  const page = await open(context, first.url)
  const loaded = await page.evaluate(() => performance.timeOrigin)
  await moves(page)
  await first[Symbol.asyncDispose]()
  await expect.poll(async () => (await status(page)).state).toBe('offline')
  await using _second = await serveWorld({ heartbeat: '500ms', files, port: Number(new URL(first.url).port) })
  await moves(page)
  const versions = await versionsOf(page)
  expect(versions).toEqual(rising(versions))
  expect(new Set(versions.map((version) => version.split(':')[0])).size).toBe(2)
  expect(await page.evaluate(() => performance.timeOrigin)).toBe(loaded)
  await context.close()
})

test('a page opened offline shows its last values with their age', async () => {
  const first = await serveWorld({ files })
  const context = await browser.newContext()
  const page = await open(context, first.url, '{ persist: weir.keepValues() }')
  await page.evaluate(`(async () => {
    await navigator.serviceWorker.register('/service-worker.js')
    await navigator.serviceWorker.ready
    while (navigator.serviceWorker.controller === null) await new Promise((resolve) => setTimeout(resolve, 20))
    await fetch('/items/still')
  })()`)
  await page.reload()
  await page.addScriptTag({ url: '/all.js' })
  await page.evaluate(
    `window.heard = []; weir.createClient({ persist: weir.keepValues() }).subscribe('/items/a', (entry) => heard.push(entry))`,
  )
  await moves(page)
  await expect
    .poll(() => page.evaluate('caches.match("/items/still", { ignoreVary: true }).then((kept) => kept !== undefined)'))
    .toBe(true)
  const last = (await heard(page)).at(-1)
  await page.evaluate(`dispatchEvent(new Event('pagehide'))`)
  await first[Symbol.asyncDispose]()

  await page.reload()
  expect(await page.title()).toBe('blank')
  await page.addScriptTag({ url: '/all.js' })
  await page.evaluate(`
    window.heard = []
    window.client = weir.createClient({ persist: weir.keepValues() })
    client.subscribe('/items/a', (entry) => heard.push(entry))
  `)
  const [kept] = await heard(page)
  expect(kept).toMatchObject({ topic: '/items/a', value: { path: '/items/a' }, stale: true })
  expect(rising([last?.version ?? '', kept?.version ?? ''])).toEqual([last?.version, kept?.version])
  const old = await page.evaluate(() => {
    const { client, heard } = window as unknown as Seen
    return client.now() - (heard[0]?.checkedAt ?? 0)
  })
  expect(old).toBeGreaterThan(0)
  expect(old).toBeLessThan(60_000)
  const answer = await page.evaluate(async () => {
    // Bypasses the browser’s cache, which may still have it for a moment.
    const answer = await fetch('/items/still', { cache: 'no-store' })
    return [answer.status, answer.headers.get('weir-stale'), Number(answer.headers.get('age')) >= 0]
  })
  expect(answer).toEqual([200, '?1', true])
  await context.close()
})
