import type { Lottery, Player, Solana } from '@weir/simulators/solana'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
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
import { serve as serveIn, type World, world } from './served.ts'

let browser: Browser
let chain: World
let solana: Solana
let lottery: Lottery
let served: Served
const visits: Visit[] = []
let excused: RegExp | undefined

beforeAll(async () => {
  ;[browser, chain] = await Promise.all([launch(), world({ players: 12 })])
  ;({ solana, lottery } = chain)
  served = await serve()
})

afterAll(async () => {
  await browser?.close()
  await served?.[Symbol.asyncDispose]()
  await chain?.[Symbol.asyncDispose]()
})

afterEach(async () => {
  const said = visits.flatMap(({ complaints }) => complaints).filter((complaint) => excused?.test(complaint) !== true)
  const strangers = visits.flatMap(({ strangers }) => strangers)
  excused = undefined
  for (const each of visits.splice(0)) await each[Symbol.asyncDispose]()
  expect(said).toEqual([])
  expect(strangers).toEqual([])
})

function serve(more: Readonly<Record<string, string>> = {}, args: readonly string[] = []): Promise<Served> {
  return serveIn({ ...chain.environment, ...more }, args)
}

/** Opens the page in a fresh profile. Console errors and requests to other hosts fail the test. */
async function open(url = served.url, options: BrowserContextOptions = {}): Promise<Page> {
  const visited = await visit(browser, url, options)
  visited.page.setDefaultTimeout(10_000)
  visits.push(visited)
  return visited.page
}

function player(index: number): Player {
  const found = lottery.players[index]
  if (found === undefined) throw new Error(`expected a player ${index}`)
  return found
}

const wallet = (index: number): string => player(index).signer.address
const short = (index: number): string => `${wallet(index).slice(0, 4)}…${wallet(index).slice(-4)}`

/** The jackpot for screen readers. */
const jackpot = (page: Page): Locator => page.locator('.jackpot-amount > .hidden')
const figure = (page: Page, name: string): Locator => page.locator(`[data-figure="${name}"] dd`).first()
const fact = (page: Page, name: string): Locator => page.locator(`.holding [data-fact="${name}"] dd`)
const entries = (page: Page): Locator => page.locator('.history-lines li')
const statusLine = (page: Page): Locator => page.locator('.status-line')

async function says(text: Locator, words: string | RegExp): Promise<void> {
  await expect.poll(() => text.textContent(), { timeout: 15_000 }).toMatch(words)
}

/** Tickets in the pot on the chain. */
let inPot = 0

function enter(index: number, tickets = 1): void {
  lottery.enter(player(index), tickets)
  inPot += tickets
}

function draw(index: number): void {
  lottery.draw(player(index))
  inPot = 0
}

/** Waits until the page matches the chain. */
async function catchesUp(page: Page): Promise<void> {
  await says(jackpot(page), new RegExp(`^${(inPot * 1000).toLocaleString('en-US')}$`))
}

describe('the round', () => {
  test('that is empty says so, with the ticket price; it is painted within a second, and the layout does not shift', async () => {
    const page = await open()
    await says(jackpot(page), /^0$/)
    await page.getByText('No entries yet.').waitFor()
    await page.getByText('No winners yet.').waitFor()
    expect(await figure(page, 'A ticket costs').textContent()).toBe('1,000 tokens')
    expect(await figure(page, 'Tickets').textContent()).toBe('0')
    await connection(page, 'live')
    const { painted, shifted } = await paintOf(page)
    expect(painted).toBeLessThan(1000)
    expect(shifted).toBeLessThan(0.01)
  })

  test('updates with each entry: jackpot, worth, tickets, participants, and the list', async () => {
    const page = await open()
    await says(jackpot(page), /^0$/)
    enter(0, 3)
    enter(1, 2)
    await says(jackpot(page), /^5,000$/)
    // It counts up to the value for screen readers.
    await says(page.locator('.jackpot-amount > [aria-hidden]'), /^5,000$/)
    await says(figure(page, 'Tickets'), /^5$/)
    await says(figure(page, 'Participants'), /^2$/)
    await expect.poll(() => entries(page).count()).toBe(2)
    expect(await entries(page).first().textContent()).toMatch(`${short(1)}2 tickets`)
    expect(await page.locator('.jackpot-worth').textContent()).toMatch(/^worth \$0\.\d\d$/)
    expect(await figure(page, 'Token price').textContent()).toMatch(/0\.0000\d+ US dollars/)
    expect(await page.title()).toBe('5,000 · Lottery')
    await says(statusLine(page), /^Confirmed (now|\d+ s ago), by WebSocket\.$/)
    // A later visitor sees the same, from the history.
    const later = await open()
    await expect.poll(() => entries(later).count()).toBe(2)
  })

  test('that is drawn restarts, and its winner is announced once, politely', async () => {
    enter(0, 4)
    const had = inPot
    const page = await open()
    await catchesUp(page)
    draw(1)
    await says(page.locator('.last-draw[data-fresh="true"]'), `${short(1)} just won ${had},000 tokens`)
    await says(jackpot(page), /^0$/)
    await says(figure(page, 'Tickets'), /^0$/)
    await says(page.locator('.winners li').first(), `${short(1)}${had},000 tokens`)
    await says(entries(page).first(), `won ${had},000 tokens: a new round`)
    expect(await page.getByRole('status').allTextContents()).toContain(`${short(1)} has won ${had},000 tokens`)
    // Screen readers get no other announcement: ticking values are in no live region.
    expect(
      await page.locator('main [aria-live]:not(.icon-button *), main [role="status"], main [role="log"]').count(),
    ).toBe(0)
    // A later visitor sees the winner without the celebration.
    const later = await open()
    await says(later.locator('.last-draw'), `${short(1)} won ${had},000 tokens`)
    expect(await later.locator('[data-fresh="true"]').count()).toBe(0)
  })
})

describe('a wallet', () => {
  const field = (page: Page) => page.getByRole('textbox', { name: 'Address of a wallet' })
  const hint = (page: Page) => page.locator('.hint')

  test('is parsed while typing, ignoring blanks, and explains errors', async () => {
    const page = await open()
    await field(page).fill('So1')
    await says(hint(page), '32 to 44 characters')
    expect(await field(page).getAttribute('aria-invalid')).toBe('false')
    await field(page).fill('So0')
    await says(hint(page), 'An address has no “0” in it.')
    expect(await field(page).getAttribute('aria-invalid')).toBe('true')
    await field(page).fill(wallet(2).slice(0, -1))
    await says(hint(page), /not 32 bytes long|32 to 44/)
    await field(page).fill(`${wallet(2)}1111`)
    await says(hint(page), /44 characters at most|not 32 bytes/)
    expect(await page.locator('.holding').count()).toBe(0)
    await field(page).fill(`  ${wallet(2).slice(0, 20)} \t${wallet(2).slice(20)} `)
    await says(hint(page), 'Stored only on this device.')
    await says(fact(page, 'Balance'), / tokens$/)
    await says(fact(page, 'Worth'), /^\$[\d,]+\.\d\d$/)
  })

  test('shows its balance and tickets live, is `you` in the lists, and is stored for the next visit until it is cleared', async () => {
    enter(3, 2)
    const page = await open()
    await catchesUp(page)
    await field(page).fill(wallet(3))
    await says(fact(page, 'Tickets'), /^2 of \d+$/)
    const balance = async () =>
      Number.parseFloat(((await fact(page, 'Balance').textContent()) ?? '').replaceAll(',', ''))
    await says(fact(page, 'Balance'), / tokens$/)
    const before = await balance()
    enter(3, 4)
    enter(4, 1)
    await says(fact(page, 'Tickets'), /^6 of \d+$/)
    await expect.poll(balance, { timeout: 15_000 }).toBe(before - 4000)
    await says(entries(page).filter({ hasText: 'you' }).first(), /^you4 tickets/)
    await page.reload()
    await says(fact(page, 'Tickets'), /^6 of \d+$/)
    expect(await field(page).inputValue()).toBe(wallet(3))
    await field(page).focus()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(await page.locator('.holding').count()).toBe(0)
    await page.reload()
    await says(jackpot(page), /^\d/)
    expect(await field(page).inputValue()).toBe('')
  })

  test('that wins sees a message', async () => {
    const page = await open()
    await field(page).fill(wallet(5))
    enter(5)
    await says(fact(page, 'Tickets'), /^1 of/)
    await catchesUp(page)
    draw(5)
    await says(page.locator('.last-draw'), 'you just won')
    expect((await page.getByRole('status').allTextContents()).join()).toContain('You have won')
    await says(fact(page, 'Tickets'), /^0$/)
  })
})

describe('appearance', () => {
  test.each([390, 768, 1440])('fits %i pixels without a horizontal scroll, in both themes', async (width) => {
    const page = await open(served.url, { viewport: { width, height: 844 }, colorScheme: 'dark' })
    await says(jackpot(page), /^\d/)
    await page.getByRole('textbox').fill(wallet(0))
    await says(fact(page, 'Balance'), / tokens$/)
    expect(await overflow(page)).toBe(0)
    const dark = await colorOf(page.locator('.jackpot-amount'))
    await page.getByRole('button', { name: 'Switch to light theme' }).click()
    await expect.poll(() => colorOf(page.locator('.jackpot-amount'))).not.toBe(dark)
  })

  test('every control has an accessible name, and every section a heading', async () => {
    const page = await open()
    await says(jackpot(page), /^\d/)
    await page.getByRole('textbox').fill(wallet(0))
    await says(fact(page, 'Balance'), / tokens$/)
    expect(await nameless(page)).toEqual([])
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Lottery')
    expect(await page.getByRole('heading', { level: 2 }).allTextContents()).toEqual([
      'Jackpot',
      'Check my wallet',
      'Last winners',
      'Newest entries',
    ])
    expect(await page.locator('html').getAttribute('lang')).toBe('en')
  })

  test.each([
    ['no-preference', true],
    ['reduce', false],
  ] as const)('with the wish for motion `%s`, the jackpot counts up: %s', async (reducedMotion, counts) => {
    const page = await open(served.url, { reducedMotion })
    await catchesUp(page)
    const shown = page.locator('.jackpot-amount > [aria-hidden]')
    const before = await jackpot(page).textContent()
    await says(shown, new RegExp(`^${before}$`))
    await page.evaluate(() => {
      const place = document.querySelector('.jackpot-amount > [aria-hidden]')
      if (place === null) throw new Error('expected a jackpot')
      const seen: (string | null)[] = []
      Object.assign(window, { seen })
      new MutationObserver(() => seen.push(place.textContent)).observe(place, { childList: true, subtree: true })
    })
    enter(6, 5)
    const after = (Number(before?.replaceAll(',', '')) + 5000).toLocaleString('en-US')
    await says(shown, new RegExp(`^${after}$`))
    const seen = await page.evaluate(() => (window as unknown as { seen: readonly string[] }).seen)
    expect(seen.some((text) => text !== before && text !== after)).toBe(counts)
  })
})

describe('failures', () => {
  test('after a server fails, its last state stays muted; when it returns, the page is live again and the history restarts', async () => {
    excused = UNREACHED
    enter(6, 2)
    const first = await serve()
    const page = await open(first.url)
    await catchesUp(page)
    await connection(page, 'live')
    await expect.poll(() => entries(page).count()).toBeGreaterThan(0)
    expect(await colorOf(page.locator('.jackpot-amount'))).toBe(await token(page, '--live'))
    first.signal('SIGKILL')
    await first.ended
    await connection(page, 'reconnecting')
    await says(
      statusLine(page),
      /^Connection lost\. The last state is shown; (trying now|next try in \d+ s)\. Try now$/,
    )
    await expect.poll(() => colorOf(page.locator('.jackpot-amount'))).toBe(await token(page, '--muted'))
    await using second = await serve({}, ['--port', new URL(first.url).port])
    expect(second.url).toBe(first.url)
    await connection(page, 'live')
    enter(7, 1)
    await catchesUp(page)
    await page.getByText('The history restarted here.').or(entries(page).nth(11)).first().waitFor()
    await says(entries(page).first(), `${short(7)}1 ticket`)
    expect(new Set(await entries(page).allTextContents()).size).toBeGreaterThan(1)
  }, 60_000)

  test('falls back from blocked transports to the next, down to polling, and each delivers updates', async () => {
    excused = UNREACHED
    await using road = await openRoad(served.url)
    const page = await open(road.url)
    const moves = async (name: string, by: number) => {
      await says(statusLine(page), new RegExp(`, by ${name}\\.$`))
      enter(by, 2)
      await catchesUp(page)
      await says(entries(page).first(), `${short(by)}2 tickets`)
      await connection(page, 'live')
    }
    await says(jackpot(page), /^\d/)
    await moves('WebSocket', 8)
    road.block('ws')
    await moves('SSE', 9)
    road.block('ws', 'sse')
    await moves('Polling', 10)
    road.block()
    await moves('WebSocket', 11)
    // A better transport is retried within ten seconds.
  }, 90_000)

  test('a history with a gap says so', async () => {
    excused = UNREACHED
    await using road = await openRoad(served.url)
    const page = await open(road.url)
    await catchesUp(page)
    await expect.poll(() => entries(page).count()).toBeGreaterThan(0)
    // Drops one of the next messages, as a server without it would.
    await page.evaluate(() => {
      const { parse } = JSON
      let lost = false
      JSON.parse = (text: string) => {
        const read = parse(text)
        if (read?.type !== 'event' || lost) return read
        lost = true
        const [epoch = '', offset = ''] = read.position.split(':')
        return { ...read, position: `${epoch}:${Number(offset) + 3}` }
      }
    })
    enter(0, 1)
    await page.getByText('Missing here: 3 transactions.').waitFor()
  })

  test('WebSockets go to WS_URL, and the page works without them if it refuses', async () => {
    excused = /WebSocket connection to/
    await using road = await openRoad(served.url)
    await using own = await serve({ WS_URL: road.url.replace('http', 'ws') })
    const visited = await visit(browser, own.url)
    await using _ = visited
    await says(statusLine(visited.page), /, by SSE\.$/)
    expect(road.opened.ws).toBeGreaterThan(0)
  })

  test('served from another origin, the page uses API_BASE_URL and WS_URL, if PAGE_ORIGINS allows it', async () => {
    await using api = await serve({ PAGE_ORIGINS: '*' })
    const elsewhere = { API_BASE_URL: api.url, WS_URL: api.url.replace('http', 'ws') }
    await using shell = await serve(elsewhere)
    const visited = await visit(browser, shell.url)
    await using _ = visited
    await says(statusLine(visited.page), /, by WebSocket\.$/)
    // HTTP requests go there too.
    expect(visited.strangers.some((url) => url.startsWith(api.url))).toBe(true)
    expect(visited.complaints).toEqual([])
    await using closed = await serve({ ...elsewhere, API_BASE_URL: served.url, WS_URL: '' })
    const refused = await visit(browser, closed.url)
    await using __ = refused
    await expect.poll(() => refused.complaints.some((complaint) => complaint.includes('CORS'))).toBe(true)
  })

  test('a server without a configuration is reported, with the possible action', async () => {
    excused = /50[0-9]/
    const visited = await visit(browser, `${served.url}/api/config`)
    await using _ = visited
    await visited.page.route('**/api/config', (route) => route.fulfill({ status: 503, body: 'away' }))
    await visited.page.goto(served.url)
    await visited.page.getByText('The lottery can’t be shown now').waitFor()
    await visited.page.unroute('**/api/config')
    await visited.page.getByRole('button', { name: 'Try again' }).click()
    await says(jackpot(visited.page), /^\d/)
  })

  test('opened while the server is down, the page shows its last state and says so', async () => {
    excused = /Failed to (load resource|fetch)|net::ERR/
    enter(6, 2)
    const first = await serve()
    const page = await open(first.url)
    await connection(page, 'live')
    await catchesUp(page)
    const last = await jackpot(page).textContent()
    await page.getByRole('textbox').fill(wallet(6))
    await says(fact(page, 'Tickets'), /^\d+ of/)
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready
    })
    first.signal('SIGKILL')
    await first.ended
    await page.reload()
    await says(jackpot(page), new RegExp(`^${last}$`))
    expect(await colorOf(page.locator('.jackpot-amount'))).toBe(await token(page, '--muted'))
    // Parts that are not stored say so: nothing loads forever, and no space is reserved for them.
    await says(fact(page, 'Tickets'), /^–$/)
    await page.getByText('The entries are not kept for offline.').waitFor()
    expect(await page.locator('.skeleton').count()).toBe(0)
    expect((await page.locator('.history').boundingBox())?.height).toBeLessThan(200)
  })

  test('a chain that is down from the start makes the pill amber, even without a stale round', async () => {
    solana.fault({ kind: 'dead' })
    solana.fault({ kind: 'socket-drop' })
    try {
      await using app = await serve()
      const page = await open(app.url)
      await page.locator('.pill[data-status="stale"]').waitFor({ timeout: 40_000 })
      await says(statusLine(page), /^The round is unavailable: /)
    } finally {
      solana.clearFaults()
    }
  }, 90_000)

  test('the round is stale while the chain is unreachable, and fresh when it is back', async () => {
    await using app = await serve()
    const page = await open(app.url)
    await says(jackpot(page), /^\d/)
    await connection(page, 'live')
    solana.fault({ kind: 'dead' })
    solana.fault({ kind: 'socket-drop' })
    try {
      await page.locator('.pill[data-status="stale"]').waitFor({ timeout: 40_000 })
      await says(
        statusLine(page),
        /^Not being confirmed at the source\. The last state is shown, confirmed \d+ (s|min) ago/,
      )
      await expect.poll(() => colorOf(page.locator('.jackpot-amount'))).toBe(await token(page, '--muted'))
    } finally {
      solana.clearFaults()
    }
    enter(2, 3)
    await page.locator('.pill[data-status="live"]').waitFor({ timeout: 40_000 })
    await catchesUp(page)
  }, 90_000)
})

test('on a phone a large win fits its line, in the list and under the jackpot', async () => {
  const page = await open(served.url, { viewport: { width: 390, height: 844 } })
  await connection(page, 'live')
  const spills = await page.evaluate(() => {
    const amount = '123,456,789.123456 tokens'
    const time = '<time class="age">12 min ago</time>'
    const list = document.querySelector('.winners .lines')
    const last = document.querySelector('.last-draw')
    if (list === null || last === null) throw new Error('expected the winners and the last draw')
    list.innerHTML = `<li class="line"><code>ABCD…WXYZ</code><span>${amount}</span>${time}</li>`
    last.innerHTML = `<code>ABCD…WXYZ</code> just won ${amount} ${time}`
    return [...document.querySelectorAll('.winners li, .last-draw')].map(
      (line) => line.scrollHeight > line.clientHeight || line.scrollWidth > line.clientWidth,
    )
  })
  expect(spills).toEqual([false, false])
  // A short line fills the width too, and is centred in the space for a long one.
  const { room, words, width } = await page.locator('.last-draw').evaluate((last) => {
    last.innerHTML = '<code>ABCD…WXYZ</code> won 3 tokens <time class="age">12 s ago</time>'
    const [box, text] = [last, last.firstElementChild ?? last].map((each) => each.getBoundingClientRect())
    const middle = ({ top = 0, bottom = 0 }: Partial<DOMRect>) => (top + bottom) / 2
    return { room: middle(box ?? {}), words: middle(text ?? {}), width: box?.width ?? 0 }
  })
  expect(Math.abs(room - words)).toBeLessThan(3)
  expect(width).toBe(390 - 2 * 16 + 2 * 12)
  expect(await overflow(page)).toBe(0)
})
