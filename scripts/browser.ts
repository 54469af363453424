import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core'
import { expect } from 'vitest'

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Chromium, as the machine has it. */
export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium', args: ARGS })
}

/** A page in a browser profile of its own. `await using` closes it. */
export interface Visit extends AsyncDisposable {
  readonly page: Page
  /** What the page complained of in its console, and what it threw. */
  readonly complaints: readonly string[]
  /** Addresses outside the site that it asked for. */
  readonly strangers: readonly string[]
}

/** Opens an address, and listens to all that the page says and asks from its first moment on. */
export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const complaints: string[] = []
  const strangers: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) strangers.push(request.url())
  })
  await page.goto(url)
  return { page, complaints, strangers, [Symbol.asyncDispose]: () => context.close() }
}

/** What a browser says by itself of a server that is not there. */
export const UNREACHED = /net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)/

/** Waits until the connection's pill says this word. */
export async function connection(page: Page, word: string): Promise<void> {
  await page.locator(`.pill[data-status="${word}"]`).waitFor()
}

/** Waits until a text is another than it was, and returns it. */
export async function change(text: Locator, before: string | null): Promise<string | null> {
  await expect.poll(() => text.textContent(), { timeout: 10_000 }).not.toBe(before)
  return text.textContent()
}

/** A token's colour as the page computes it now. */
export function token(page: Page, name: string): Promise<string> {
  return page.evaluate((name) => {
    const probe = document.body.appendChild(document.createElement('i'))
    probe.style.color = `var(${name})`
    const { color } = getComputedStyle(probe)
    probe.remove()
    return color
  }, name)
}

export function colorOf(element: Locator): Promise<string> {
  return element.evaluate((each) => getComputedStyle(each).color)
}

/** When a page first showed anything, in milliseconds since it was asked for, and how much what it showed has moved since. */
export function paintOf(page: Page): Promise<{ readonly painted: number | undefined; readonly shifted: number }> {
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        const [paint] = performance.getEntriesByName('first-contentful-paint')
        let shifted = 0
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) shifted += (entry as PerformanceEntry & { value: number }).value
        }).observe({ type: 'layout-shift', buffered: true })
        // What was buffered is handed over in a task of its own, before this one.
        setTimeout(() => resolve({ painted: paint?.startTime, shifted }), 50)
      }),
  )
}

/** Pixels by which a page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
}

/** What one can press or fill in and has no name. */
export function nameless(page: Page): Promise<readonly string[]> {
  return page
    .locator('a, button, input')
    .evaluateAll((all) =>
      all
        .filter((each) => (each.getAttribute('aria-label') ?? each.textContent ?? '').trim() === '')
        .map((each) => each.outerHTML),
    )
}
