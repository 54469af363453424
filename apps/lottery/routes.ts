import { WeirError } from '@weir/gateway'
import { Hono } from 'hono'
import { z } from 'zod'
import { balance } from './chain.ts'
import { SETTINGS } from './settings.ts'
import { Pubkey } from './token.ts'

/** Limit of wallets per request. */
const MOST = 1000

const Question = z.object({ wallets: z.array(z.unknown()).min(1).max(MOST), tokenMint: Pubkey })

/** Routes that are not feeds: the settings of the page, and the balances of many wallets. */
export const routes = new Hono()

// The gateway formats errors.
routes.onError((error) => {
  throw error
})

routes.get('/api/config', (context) => {
  const { mint, pot, ticket, page } = SETTINGS
  context.header('cache-control', 'no-cache')
  return context.json({ ...page, tokenMint: mint, pot, ticket })
})

/** Reads in flight, so that hundreds of requests for the same thousand wallets share a thousand promises. */
const readings = new Map<string, Promise<number>>()

function reading(tokenMint: string, wallet: string): Promise<number> {
  const name = `${tokenMint} ${wallet}`
  const known = readings.get(name)
  if (known !== undefined) return known
  const read = balance
    .get({ tokenMint, wallet })
    .then(({ value }) => value.balance)
    .finally(() => readings.delete(name))
  readings.set(name, read)
  return read
}

routes.post('/api/tokens/balances', async (context) => {
  const body: unknown = await context.req.json().catch(() => refuse('expected JSON, got something else'))
  const read = Question.safeParse(body)
  if (!read.success) {
    const [issue] = read.error.issues
    return refuse(`${issue?.path.join('.') || 'body'}: ${issue?.message ?? `expected { wallets, tokenMint }`}`)
  }
  const { tokenMint } = read.data
  const wallets = z.array(Pubkey).safeParse(read.data.wallets)
  if (!wallets.success) {
    const bad = wallets.error.issues.map(({ path: [index] }) => JSON.stringify(read.data.wallets[Number(index)]))
    const more = bad.length > 10 ? ` and ${bad.length - 10} more` : ''
    return refuse(
      `wallets: expected addresses of Solana, 32 bytes in base58, got ${bad.slice(0, 10).join(', ')}${more}`,
    )
  }
  const distinct = [...new Set(wallets.data)]
  const balances = await Promise.all(distinct.map((wallet) => reading(tokenMint, wallet)))
  context.header('cache-control', 'no-store')
  return context.json({ balances: Object.fromEntries(distinct.map((wallet, at) => [wallet, balances[at]])) })
})

function refuse(detail: string): never {
  throw new WeirError('bad_request', detail)
}
