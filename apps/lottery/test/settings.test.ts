import { describe, expect, test } from 'vitest'
import { weir } from '../../../scripts/running.ts'
import { serve } from './served.ts'

const POT = 'EBxuMdw7vR743iwPw7X91VFfxQR233pD9FHoM3bwqcFV'
const MINT = 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263'

/** A closed port. */
const NOWHERE = 'http://127.0.0.1:9'

const GOOD = { SOLANA_URL: NOWHERE, LOTTERY_TOKEN_MINT: MINT, LOTTERY_POT: POT, JUPITER_URL: NOWHERE }

describe('an invalid setting is refused at start, by name', () => {
  test.each([
    [{ LOTTERY_POT: '' }, 'LOTTERY_POT: expected an address of Solana, 32 bytes in base58, got ""'],
    [
      { LOTTERY_TOKEN_MINT: 'BONK' },
      'LOTTERY_TOKEN_MINT: expected an address of Solana, 32 bytes in base58, got "BONK"',
    ],
    [{ LOTTERY_TICKET: '0' }, 'LOTTERY_TICKET: expected a whole number above 0, got "0"'],
    [{ SOLANA_CALLS_PER_SECOND: 'many' }, 'SOLANA_CALLS_PER_SECOND: expected a whole number above 0, got "many"'],
    [{ SOLANA_URL: '', SOLANA_CLUSTER: 'moonnet' }, 'SOLANA_CLUSTER: expected devnet, testnet, mainnet, got "moonnet"'],
    [
      { SOLANA_URL: '', SOLANA_CLUSTER: 'testnet', HELIUS_API_KEY: 'k' },
      'SOLANA_CLUSTER: expected devnet, mainnet, got "testnet"',
    ],
    [{ SOLANA_URL: 'devnet' }, 'url: expected a URL that begins with http:// or https://'],
    [{ JUPITER_PLAN: 'gold' }, 'JUPITER_PLAN: expected keyless, free, developer, launch, pro, got "gold"'],
    [{ JUPITER_URL: '' }, 'http "jupiter": url: expected a URL that begins with http:// or https://'],
  ])('%j', async (wrong, complaint) => {
    await using running = weir(['start', 'apps/lottery', '--port', '0'], { ...GOOD, ...wrong })
    expect(await running.ended).not.toBe(0)
    expect(running.complained).toContain(complaint)
  })
})

test('the Helius key works on devnet, and is never exposed', async () => {
  const key = 'c0ffee00-0000-4000-8000-000000000000'
  await using site = await serve({ ...GOOD, SOLANA_URL: '', HELIUS_API_KEY: key })
  const answer = await fetch(`${site.url}/api/lottery/pot`)
  const said = await answer.text()
  expect(answer.status).toBeGreaterThanOrEqual(500)
  const told = await Promise.all(
    ['/api/health', '/metrics', '/api/config'].map(async (path) => (await fetch(`${site.url}${path}`)).text()),
  )
  for (const text of [said, ...told, site.said, site.complained]) expect(text).not.toContain('c0ffee')
})

test('several nodes act as one, and calls go to the first that responds', async () => {
  await using site = await serve({
    ...GOOD,
    SOLANA_URL: `${NOWHERE},${NOWHERE}/`,
    API_BASE_URL: 'https://api.example',
    WS_URL: 'wss://live.example',
  })
  expect(await (await fetch(`${site.url}/api/config`)).json()).toMatchObject({
    apiBaseUrl: 'https://api.example',
    wsUrl: 'wss://live.example',
    pot: POT,
    ticket: 1000,
  })
  const health = await (await fetch(`${site.url}/api/health`)).text()
  expect(health).toContain('node-1')
  expect(health).toContain('node-2')
}, 30_000)

test('empty variables count as unset, also for other apps on the same account', async () => {
  const empty = { JUPITER_PLAN: '', SOLANA_CLUSTER: '', SOLANA_WS_URL: '', LOTTERY_TICKET: '', PAGE_ORIGINS: '' }
  await using site = await serve({ ...GOOD, ...empty })
  expect((await (await fetch(`${site.url}/api/config`)).json()).ticket).toBe(1000)
}, 30_000)

test('its own routes refuse invalid input in the error format of the gateway', async () => {
  await using site = await serve(GOOD)
  const asked = await fetch(`${site.url}/api/tokens/balances`)
  expect([asked.status, asked.headers.get('allow'), asked.headers.get('content-type')]).toEqual([
    405,
    'POST',
    'application/problem+json',
  ])
  const missing = await fetch(`${site.url}/api/nothing`)
  expect([missing.status, missing.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
  expect(await missing.json()).toMatchObject({ code: 'not_found' })
}, 30_000)
