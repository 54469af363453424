import { expect, test } from 'vitest'
import { formatAmount, formatMoney } from '../page/src/amount.ts'
import { type Config, reaching } from '../page/src/config.ts'
import { isRound, newWinner, type Winner } from '../page/src/round.ts'

const config: Config = { apiBaseUrl: '', wsUrl: '', tokenMint: 'm', pot: 'p', ticket: 1000 }
const PAGE = 'https://page.test'

test('values come from API_BASE_URL and WebSockets go to WS_URL, with the origin of the page as default', () => {
  const where = (given: Partial<Config>) => {
    const { url, socketUrl } = reaching({ ...config, ...given }, PAGE)
    return [url, socketUrl]
  }
  expect(where({})).toEqual([PAGE, PAGE])
  expect(where({ apiBaseUrl: 'https://api.test/' })).toEqual(['https://api.test', 'https://api.test'])
  expect(where({ wsUrl: 'wss://ws.test/ws' })).toEqual([PAGE, 'wss://ws.test'])
  expect(where({ apiBaseUrl: 'https://api.test', wsUrl: 'wss://ws.test' })).toEqual([
    'https://api.test',
    'wss://ws.test',
  ])
})

test('a winner is announced once, and never to a new visitor or after a long time', () => {
  const won = (signature: string, at: number): Winner => ({ winner: 'w', amount: 1, signature, at })
  const [first, second] = [won('a', 1000), won('b', 2000)]
  expect(newWinner(undefined, [first], 1000)).toBeUndefined()
  expect(newWinner([first], [first], 1000)).toBeUndefined()
  expect(newWinner([first], [second, first], 3000)).toBe(second)
  expect(newWinner([], [first], 3000)).toBe(first)
  expect(newWinner([first], [second, first], 500_000)).toBeUndefined()
})

test('a value of an older server is not a round', () => {
  expect(isRound({ jackpot: 1, participants: 1, tickets: 1, winners: [], lastUpdate: 1 })).toBe(true)
  for (const other of [
    null,
    undefined,
    'x',
    { jackpot: 1 },
    { jackpot: '1', participants: 1, tickets: 1, winners: [] },
  ])
    expect(isRound(other)).toBe(false)
})

test('amounts are formatted for readers', () => {
  expect([59_000, 1234.567, 0.012345, 0].map(formatAmount)).toEqual(['59,000', '1,234.57', '0.01235', '0'])
  expect([812_345.1, 0.5, 0.001, 0].map(formatMoney)).toEqual(['$812,345.10', '$0.50', 'under $0.01', '$0.00'])
})
