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

/** Launches the Chromium of this machine. */
export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium', args: ARGS })
}

/** A page in its own browser profile. `await using` closes it. */
export interface Visit extends AsyncDisposable {
  readonly page: Page
  /** Console warnings and errors, and uncaught exceptions. */
  readonly complaints: readonly string[]
  /** Requested URLs outside the site. */
  readonly strangers: readonly string[]
}

/** Opens a URL, and records console output and requests from the start. */
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

/** Messages that a browser logs when a server is unreachable. */
export const UNREACHED = /net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)/

/** Waits until the connection pill shows this state. */
export async function connection(page: Page, word: string): Promise<void> {
  await page.locator(`.pill[data-status="${word}"]`).waitFor()
}

/** Waits until a text changes, and returns it. */
export async function change(text: Locator, before: string | null): Promise<string | null> {
  await expect.poll(() => text.textContent(), { timeout: 10_000 }).not.toBe(before)
  return text.textContent()
}

/** The computed colour of a CSS token. */
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

/** The first contentful paint of a page, in milliseconds since navigation, and its layout shift. */
export function paintOf(page: Page): Promise<{ readonly painted: number | undefined; readonly shifted: number }> {
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        const [paint] = performance.getEntriesByName('first-contentful-paint')
        let shifted = 0
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) shifted += (entry as PerformanceEntry & { value: number }).value
        }).observe({ type: 'layout-shift', buffered: true })
        // Buffered entries are delivered in a task before this one.
        setTimeout(() => resolve({ painted: paint?.startTime, shifted }), 50)
      }),
  )
}

/** Number of pixels by which a page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
}

/** Controls without an accessible name. */
export function nameless(page: Page): Promise<readonly string[]> {
  return page
    .locator('a, button, input')
    .evaluateAll((all) =>
      all
        .filter((each) => (each.getAttribute('aria-label') ?? each.textContent ?? '').trim() === '')
        .map((each) => each.outerHTML),
    )
}
