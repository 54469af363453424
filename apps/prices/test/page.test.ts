import { type Jupiter, startJupiter } from '@weir/simulators'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  change,
  colorOf,
  connection,
  launch,
  nameless,
  overflow,
  paintOf,
  token,
  UNREACHED,
  type Visit,
  visit,
} from '../../../scripts/browser.ts'
import { openRoad } from '../../../scripts/road.ts'
import type { Served } from '../../../scripts/served.ts'
import { KEY, reaching, serve } from './served.ts'

const SOL = 'So11111111111111111111111111111111111111112'
const JUP = 'JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN'
const BONK = 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263'
/** A valid but unknown mint. */
const UNKNOWN = 'Nobody1111111111111111111111111111111111111'

let browser: Browser
let jupiter: Jupiter
let served: Served
const visits: Visit[] = []
let excused: RegExp | undefined

beforeAll(async () => {
  jupiter = await simulator()
  ;[browser, served] = await Promise.all([launch(), serve(reaching(jupiter))])
})

afterAll(async () => {
  await browser?.close()
  await served?.[Symbol.asyncDispose]()
  await jupiter?.close()
})

afterEach(async () => {
  const said = visits.flatMap(({ complaints }) => complaints).filter((complaint) => excused?.test(complaint) !== true)
  const strangers = visits.flatMap(({ strangers }) => strangers)
  excused = undefined
  for (const each of visits.splice(0)) await each[Symbol.asyncDispose]()
  expect(said).toEqual([])
  expect(strangers).toEqual([])
})

function simulator(): Promise<Jupiter> {
  return startJupiter({ strict: true, keys: { [KEY]: 'weir' } })
}

/** Opens the page in a fresh profile. Console errors and requests to other hosts fail the test. */
async function open(path: string, options: BrowserContextOptions = {}, site: Served = served): Promise<Page> {
  const visited = await visit(browser, `${site.url}${path}`, options)
  visited.page.setDefaultTimeout(10_000)
  visits.push(visited)
  return visited.page
}

function row(page: Page, mint: string): Locator {
  return page.locator(`tr[data-mint="${mint}"]`)
}

/** The mints of the rows, in order. */
function rows(page: Page): Promise<readonly (string | null)[]> {
  return page.locator('tbody tr').evaluateAll((all) => all.map((each) => each.getAttribute('data-mint')))
}

/** The price of a row for screen readers. */
function priceOf(page: Page, mint: string): Locator {
  return row(page, mint).locator('.price .hidden')
}

const PHONE = { viewport: { width: 390, height: 844 } }

describe('the list', () => {
  test('a copied link contains even the default list, so a reader with another list sees the shared one', async () => {
    const sender = await open('/')
    await sender.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await sender.getByRole('button', { name: 'Copy link' }).click()
    const link = await sender.evaluate('navigator.clipboard.readText()')
    const sent = await rows(sender)
    expect(link).toContain(`mints=`)
    const reader = await open(`/?mints=${BONK}`)
    await reader.evaluate(`localStorage.setItem('weir.prices.watchlist', '${BONK}')`)
    await reader.goto(String(link))
    expect(await rows(reader)).toEqual(sent)
  })

  test.each([
    ['a phone', PHONE],
    ['a desktop', {}],
  ])('on %s each name of the head ends where its column does', async (_, options) => {
    const page = await open(`/?mints=${SOL},${JUP}`, options)
    await row(page, SOL).locator('.price').waitFor()
    for (const column of ['price', 'day']) {
      const [head, cell] = await Promise.all(
        [`thead [data-column="${column}"]`, `tr[data-mint="${SOL}"] [data-column="${column}"]`].map((place) =>
          page.locator(place).evaluate((each) => each.getBoundingClientRect().right),
        ),
      )
      expect(Math.abs(Number(head) - Number(cell))).toBeLessThan(1)
    }
    expect(await overflow(page)).toBe(0)
  })

  test('a list of a hundred tokens is rendered completely, for printing and the browser\u2019s search', async () => {
    // The tokens are unknown, which the browser logs in its console.
    excused = /404/
    const mints = Array.from(
      { length: 100 },
      (_, index) =>
        `${UNKNOWN.slice(0, -2)}${String(index + 11)
          .padStart(2, '1')
          .replaceAll('0', 'z')}`,
    )
    const page = await open(`/?mints=${[...new Set(mints)].join(',')}`)
    await expect.poll(async () => (await rows(page)).length).toBe(new Set(mints).size)
  })

  test('a search that is too long explains the limit', async () => {
    const page = await open('/')
    await page.getByRole('combobox').fill('x'.repeat(120))
    await page.getByText('Use at most 100 characters.').waitFor()
  })

  test('after a reload, unconfirmed prices are not reported as stale', async () => {
    const page = await open('/')
    await connection(page, 'live')
    await priceOf(page, SOL).waitFor()
    await page.evaluate(`dispatchEvent(new Event('pagehide'))`)
    await page.addInitScript(`
      window.said = new Set()
      new MutationObserver(() => said.add(document.querySelector('.status-line')?.textContent))
        .observe(document, { subtree: true, childList: true, characterData: true })
    `)
    await page.reload()
    await connection(page, 'live')
    await priceOf(page, SOL).waitFor()
    expect(await page.evaluate(`[...said].filter((text) => text?.includes('not being confirmed'))`)).toEqual([])
  })
})

describe('a first visit', () => {
  test('shows names within a second, before any price, and the layout does not shift when prices arrive', async () => {
    // The budget of a new gateway is closed for a second, so the page is painted well before any price.
    await using fresh = await serve(reaching(jupiter))
    const page = await open('/', {}, fresh)
    await row(page, SOL).waitFor()
    expect(await page.locator('tbody tr').count()).toBe(14)
    expect(await row(page, JUP).textContent()).toContain('Jupiter')
    await priceOf(page, SOL).waitFor({ state: 'attached' })
    const { painted, shifted } = await paintOf(page)
    expect(painted).toBeLessThan(1000)
    expect(shifted).toBeLessThan(0.01)
  })

  test('shows the upstream’s prices and their changes', async () => {
    const page = await open('/')
    await connection(page, 'live')
    const price = priceOf(page, SOL)
    await price.waitFor({ state: 'attached' })
    const first = await price.textContent()
    expect(Number.parseFloat(first ?? '')).toBeGreaterThan(100)
    await change(price, first)
    await expect.poll(() => page.title()).toMatch(/^SOL 1\d\d\.\d+ · Prices$/)
    expect(await row(page, SOL).getAttribute('data-state')).toBe('priced')
    expect(await row(page, SOL).getAttribute('data-stale')).toBe('false')
    expect(await page.locator('.list-head .status-line').textContent()).toContain('14 tokens')
  })

  test('a token without a price says so, and the others continue', async () => {
    const page = await open(`/?mints=${UNKNOWN},${SOL}`)
    await page.locator(`tr[data-mint="${UNKNOWN}"][data-state="absent"]`).waitFor()
    expect(await row(page, UNKNOWN).locator('[data-column="price"]').textContent()).toBe('not priced')
    await change(priceOf(page, SOL), null)
    await connection(page, 'live')
    // The page looks for its name, and the 404 is not a failure of the page.
    excused = /404/
  })

  test('an invalid mint in a link is left out and reported', async () => {
    const page = await open(`/?mints=${SOL},nonsense`)
    await row(page, SOL).waitFor()
    expect(await page.locator('.list-head .status-line').textContent()).toContain(
      '1 in the link is not a mint and was left out',
    )
  })
})

describe('the list', () => {
  test('a token is found and added with the keyboard only, and the URL contains it', async () => {
    const page = await open(`/?mints=${SOL}`)
    await row(page, SOL).waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('bonk')
    const option = page.locator('[role="option"]').first()
    await option.filter({ hasText: 'BONK' }).waitFor()
    const box = page.getByRole('combobox')
    expect(await box.getAttribute('aria-expanded')).toBe('true')
    expect(await box.getAttribute('aria-activedescendant')).toBe(await option.getAttribute('id'))
    await page.keyboard.press('Enter')
    await priceOf(page, BONK).waitFor({ state: 'attached' })
    expect(await rows(page)).toEqual([BONK, SOL])
    expect(new URL(page.url()).searchParams.get('mints')).toBe(`${BONK},${SOL}`)
    expect(await page.getByRole('status').filter({ hasText: 'BONK added' }).count()).toBe(1)
    // The URL shows the same list to another reader.
    const other = await open(new URL(page.url()).search)
    await row(other, SOL).waitFor()
    expect(await rows(other)).toEqual([BONK, SOL])
  })

  test('a search without matches suggests alternatives', async () => {
    const page = await open(`/?mints=${SOL}`)
    await page.getByRole('combobox').fill('zzzzzzzz')
    await page.getByText('No token matches “zzzzzzzz”').waitFor()
    await page.keyboard.press('Escape')
    expect(await page.getByRole('combobox').inputValue()).toBe('')
  })

  test('a row is removed with the keyboard and restored', async () => {
    const page = await open(`/?mints=${SOL},${JUP},${BONK}`)
    await priceOf(page, JUP).waitFor({ state: 'attached' })
    await row(page, SOL).getByRole('link').focus()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Delete')
    expect(await rows(page)).toEqual([SOL, BONK])
    expect(new URL(page.url()).searchParams.get('mints')).toBe(`${SOL},${BONK}`)
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('BONK')
    await page.getByRole('button', { name: 'Undo' }).click()
    expect(await rows(page)).toEqual([SOL, JUP, BONK])
    await priceOf(page, JUP).waitFor({ state: 'attached' })
    expect(new URL(page.url()).searchParams.get('mints')).toBe(`${SOL},${JUP},${BONK}`)
  })

  test('an empty list explains how to continue', async () => {
    const page = await open(`/?mints=${SOL}`)
    await page.getByRole('button', { name: 'Remove SOL' }).click()
    await page.getByText('Your list is empty').waitFor()
    await connection(page, 'idle')
    await page.getByRole('button', { name: 'Start with common tokens' }).click()
    await connection(page, 'live')
    expect(await page.locator('tbody tr').count()).toBe(14)
  })

  test('columns sort and announce their order', async () => {
    const page = await open(`/?mints=${JUP},${SOL},${BONK}`)
    for (const mint of [JUP, SOL, BONK]) await priceOf(page, mint).waitFor({ state: 'attached' })
    const header = page.getByRole('columnheader', { name: 'Price, USD' })
    expect(await header.getAttribute('aria-sort')).toBe('none')
    await header.getByRole('button').click()
    expect(await header.getAttribute('aria-sort')).toBe('descending')
    expect(await rows(page)).toEqual([SOL, JUP, BONK])
    await header.getByRole('button').click()
    expect(await header.getAttribute('aria-sort')).toBe('ascending')
    expect(await rows(page)).toEqual([BONK, JUP, SOL])
    expect(new URL(page.url()).searchParams.get('sort')).toBe('price')
  })
})

describe('the details of a token', () => {
  test('open by a link, are in the URL, and close by Escape or the back button', async () => {
    const page = await open(`/?mints=${SOL},${JUP}`)
    await priceOf(page, JUP).waitFor({ state: 'attached' })
    await row(page, JUP).getByRole('link').click()
    const detail = page.getByRole('complementary', { name: 'JUP in detail' })
    await detail.waitFor()
    expect(new URL(page.url()).searchParams.get('token')).toBe(JUP)
    expect(await detail.getByText(/^\d+:\d+$/).count()).toBe(1)
    expect(await detail.getByRole('link', { name: 'Price as JSON' }).getAttribute('href')).toBe(`/prices/${JUP}`)
    expect(await row(page, JUP).getByRole('link').getAttribute('aria-current')).toBe('true')
    await page.keyboard.press('Escape')
    await detail.waitFor({ state: 'detached' })
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('JUP')
    await page.keyboard.press('Enter')
    await detail.waitFor()
    await page.goBack()
    await detail.waitFor({ state: 'detached' })
  })
})

describe('appearance', () => {
  test('follows the system’s theme until the user chooses one, and remembers the choice', async () => {
    const page = await open('/', { colorScheme: 'dark' })
    const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    await page.getByRole('button', { name: 'Switch to light theme' }).click()
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    await expect.poll(background).not.toBe(dark)
    const light = await background()
    await page.reload()
    await page.getByRole('button', { name: 'Switch to dark theme' }).waitFor()
    expect(await background()).toBe(light)
  })

  test.each([390, 768, 1440])(
    'fits %i pixels without a horizontal scroll, with a detail and without',
    async (width) => {
      const page = await open('/', { viewport: { width, height: 844 } })
      await priceOf(page, BONK).waitFor({ state: 'attached' })
      expect(await overflow(page)).toBe(0)
      await row(page, SOL).getByRole('link').click()
      await page.getByRole('complementary').waitFor()
      expect(await overflow(page)).toBe(0)
      expect(await page.getByRole('button', { name: 'Close detail' }).isVisible()).toBe(true)
    },
  )

  test('every control has an accessible name, and so has the table', async () => {
    const page = await open(`/?mints=${SOL},${JUP}&token=${SOL}`)
    await page.getByRole('slider').waitFor({ state: 'attached' })
    expect(await nameless(page)).toEqual([])
    await page.getByRole('table', { name: 'Watched tokens' }).waitFor()
    await page.getByRole('combobox', { name: 'Search tokens' }).waitFor()
    expect(await page.locator('html').getAttribute('lang')).toBe('en')
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Prices')
    expect(await page.locator('th[aria-sort]').count()).toBe(3)
    expect(await page.getByRole('status').first().textContent()).toMatch(/^Connection /)
  })
})

describe('failures', () => {
  test('after a server fails, its last prices stay muted, and the page is live again without a reload when it returns', async () => {
    excused = UNREACHED
    const first = await serve(reaching(jupiter))
    const page = await open(`/?mints=${SOL},${JUP}&token=${SOL}`, {}, first)
    await connection(page, 'live')
    await priceOf(page, SOL).waitFor({ state: 'attached' })
    // Records every version of SOL that the page shows.
    const version = page.locator('[data-fact="Version"] code')
    await expect.poll(() => version.textContent()).toMatch(/^\d+:\d+$/)
    await page.evaluate(() => {
      const place = document.querySelector('[data-fact="Version"]')
      if (place === null) throw new Error('expected the version of the open token')
      const seen = [place.querySelector('code')?.textContent]
      Object.assign(window, { seen, loadedAt: performance.timeOrigin })
      new MutationObserver(() => seen.push(place.querySelector('code')?.textContent)).observe(place, {
        characterData: true,
        childList: true,
        subtree: true,
      })
    })
    const price = row(page, SOL).locator('.price')
    expect(await colorOf(price)).not.toBe(await token(page, '--muted'))

    first.signal('SIGKILL')
    await first.ended
    await connection(page, 'reconnecting')
    const last = await priceOf(page, SOL).textContent()
    expect(last).toMatch(/^1\d\d\./)
    await expect.poll(() => colorOf(price)).toBe(await token(page, '--muted'))
    expect(await page.locator('.list-head .status-line').textContent()).toContain(
      'Connection lost. The last prices are shown',
    )
    expect(await page.locator('tbody tr').count()).toBe(2)

    await using second = await serve(reaching(jupiter), ['--port', new URL(first.url).port])
    expect(second.url).toBe(first.url)
    await connection(page, 'live')
    await change(priceOf(page, SOL), last)
    expect(await row(page, SOL).locator('.age').textContent()).toMatch(/^(now|[2-5] s ago|< 10 s ago)$/)
    expect(await colorOf(price)).not.toBe(await token(page, '--muted'))

    const { seen, sameVisit } = await page.evaluate(() => {
      const { seen, loadedAt } = window as unknown as { seen: readonly string[]; loadedAt: number }
      return { seen, sameVisit: loadedAt === performance.timeOrigin }
    })
    expect(sameVisit).toBe(true)
    const versions = seen.map((text) => text.split(':').map(Number))
    const sorted = versions.toSorted(([a = 0, b = 0], [c = 0, d = 0]) => a - c || b - d)
    expect(versions).toEqual(sorted)
    expect(new Set(versions.map(([epoch]) => epoch)).size).toBe(2)
  })

  test('an upstream that is down from the start makes the pill amber, even without a stale price', async () => {
    await using own = await simulator()
    own.fault({ kind: 'dead' })
    await using app = await serve(reaching(own))
    const page = await open(`/?mints=${SOL},${JUP}`, {}, app)
    await page.locator('.pill[data-status="stale"]').waitFor({ timeout: 40_000 })
    await page.getByText('Prices can’t be had now. They are shown as soon as they come.').waitFor()
    own.clearFaults()
    await page.locator('.pill[data-status="live"]').waitFor({ timeout: 40_000 })
    await priceOf(page, SOL).waitFor({ state: 'attached' })
  }, 90_000)

  test('rows are stale while the upstream is down, and fresh when it is back', async () => {
    await using own = await simulator()
    await using app = await serve(reaching(own))
    const page = await open(`/?mints=${SOL},${JUP}`, {}, app)
    await connection(page, 'live')
    await priceOf(page, SOL).waitFor({ state: 'attached' })
    own.fault({ kind: 'dead' })
    await page.locator(`tr[data-mint="${SOL}"][data-stale="true"]`).waitFor()
    await connection(page, 'stale')
    const last = await priceOf(page, SOL).textContent()
    await expect.poll(() => colorOf(row(page, SOL).locator('.price'))).toBe(await token(page, '--muted'))
    expect(await page.locator('.list-head .status-line').textContent()).toContain('not being confirmed at the source')
    expect(await row(page, SOL).locator('.age').textContent()).toMatch(/ s ago$/)
    // On a phone the details cover the status line and the pill, so they show the state themselves.
    await page.setViewportSize({ width: 390, height: 844 })
    await row(page, SOL).getByRole('link').click()
    await page.getByText('Not being confirmed at the source. The last price is shown.').waitFor()
    // The line of the chart is solid only while the price was confirmed.
    const ends = () =>
      page.locator('.chart-plot').evaluate((plot) =>
        ['.chart-line', '.chart-unsure', '.chart-dot'].map((part) => {
          const box = plot.querySelector<SVGGraphicsElement>(part)?.getBBox()
          return box === undefined ? 0 : Math.round(box.x + box.width)
        }),
      )
    await expect
      .poll(async () => {
        const [confirmed = 0, unsure = 0, dot = 0] = await ends()
        return unsure > confirmed && Math.abs(dot - confirmed) < 10
      })
      .toBe(true)
    await page.keyboard.press('Escape')
    own.clearFaults()
    await page.locator(`tr[data-mint="${SOL}"][data-stale="false"]`).waitFor()
    await connection(page, 'live')
    await change(priceOf(page, SOL), last)
  })

  test('falls back from blocked transports to the next, down to polling, and returns to the best once it works', async () => {
    excused = UNREACHED
    await using road = await openRoad(served.url)
    const page = await open(`/?mints=${SOL}`, {}, Object.assign(Object.create(served), { url: road.url }))
    const transport = page.locator('.pill-facts div', { hasText: 'Transport' }).locator('dd')
    const moves = async (name: string) => {
      await expect.poll(() => transport.textContent(), { timeout: 20_000 }).toBe(name)
      await change(priceOf(page, SOL), await priceOf(page, SOL).textContent())
      await connection(page, 'live')
    }
    await priceOf(page, SOL).waitFor({ state: 'attached' })
    const loaded = await page.evaluate(() => performance.timeOrigin)
    await moves('SSE')
    road.block('sse')
    await moves('WebSocket')
    road.block('sse', 'ws')
    await moves('Polling')
    road.block()
    await moves('SSE')
    expect(await page.evaluate(() => performance.timeOrigin)).toBe(loaded)
    // A better transport is retried within ten seconds.
  }, 60_000)

  test('ten tabs share one connection', async () => {
    await using own = await serve(reaching(jupiter))
    const context = await browser.newContext()
    try {
      const tabs = []
      for (let count = 0; count < 10; count += 1) {
        const tab = await context.newPage()
        await tab.goto(`${own.url}/?mints=${SOL},${JUP}`)
        await connection(tab, 'live')
        tabs.push(tab)
      }
      await Promise.all(tabs.map(async (tab) => change(priceOf(tab, SOL), await priceOf(tab, SOL).textContent())))
      const health = async () => (await (await fetch(`${own.url}/api/health`)).json()).connections
      await expect.poll(health).toBe(1)
    } finally {
      await context.close()
    }
    // Loading ten pages takes a while on a busy machine.
  }, 60_000)

  test('opened while the server is down, the page shows its last prices and their age', async () => {
    excused = /Failed to (load resource|fetch)|net::ERR/
    const first = await serve(reaching(jupiter))
    const page = await open(`/?mints=${SOL},${JUP}`, {}, first)
    await connection(page, 'live')
    await priceOf(page, SOL).waitFor({ state: 'attached' })
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready
    })
    const last = await priceOf(page, SOL).textContent()
    first.signal('SIGKILL')
    await first.ended
    await page.reload()
    await row(page, SOL).waitFor()
    expect(await row(page, SOL).getAttribute('data-stale')).toBe('true')
    expect((await priceOf(page, SOL).textContent())?.slice(0, 2)).toBe(last?.slice(0, 2))
    expect(await row(page, SOL).locator('.age').textContent()).toMatch(/now|ago/)
    expect(await colorOf(row(page, SOL).locator('.price'))).toBe(await token(page, '--muted'))
  })

  test('after a goodbye, the client waits as long as the server asked', async () => {
    excused = UNREACHED
    const first = await serve(reaching(jupiter))
    const page = await open(`/?mints=${SOL}`, {}, first)
    await connection(page, 'live')
    first.signal('SIGTERM')
    expect(await first.ended).toBe(0)
    await connection(page, 'reconnecting')
    await using _second = await serve(reaching(jupiter), ['--port', new URL(first.url).port])
    await connection(page, 'live')
  })
})
