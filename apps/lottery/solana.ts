import { anyOf, type JsonRpcCall, jsonRpc } from '@weir/gateway'
import { z } from 'zod'
import { SETTINGS } from './settings.ts'

/** Two of the ten connections to a node are those on which it pushes: of the pot, and of token accounts. */
const CONNECTIONS = 8

/** The nodes, each with a budget of its own: when one fails, or lies behind, the next is asked. */
export const solana = anyOf(
  'solana',
  SETTINGS.nodes.map((url, index) =>
    jsonRpc({
      name: SETTINGS.nodes.length === 1 ? 'node' : `node-${index + 1}`,
      url,
      limits: SETTINGS.limits,
      concurrency: CONNECTIONS,
      timeout: '30s',
      connectTimeout: '5s',
    }),
  ),
)

/** Two thirds of the cluster have voted for it. */
export const COMMITMENT = 'confirmed'

const Context = z.object({ slot: z.int() })

/** An account, its data as bytes. */
const Account = z
  .object({
    owner: z.string(),
    data: z.tuple([z.string(), z.literal('base64')]).transform(([text]) => Buffer.from(text, 'base64')),
  })
  .nullable()

export type Account = z.infer<typeof Account>

const OneAccount = z.object({ context: Context, value: Account })
const ManyAccounts = z.object({ context: Context, value: z.array(Account) })
const OfProgram = z.object({ context: Context, value: z.object({ pubkey: z.string(), account: Account }) })

/** The newest slot that was heard of. What a node says of an older one is not news: it lies behind, or was asked before. */
let newest = 0

/** From now on a node is asked for no less than this. */
export function seen(slot: number): void {
  newest = Math.max(newest, slot)
}

/** With every call: a node that lies behind what we know says so, and another is asked, or the same one later. */
export function condition() {
  return { commitment: COMMITMENT, ...(newest > 0 && { minContextSlot: newest }) }
}

/** How accounts are asked for. */
export const ACCOUNT = { encoding: 'base64', commitment: COMMITMENT }

export async function account(call: JsonRpcCall, address: string): Promise<Account> {
  const params = [address, { ...ACCOUNT, ...condition() }]
  const { context, value } = await call('getAccountInfo', params, { answer: OneAccount })
  seen(context.slot)
  return value
}

/** At most 100. */
export async function accounts(call: JsonRpcCall, addresses: readonly string[]): Promise<readonly Account[]> {
  const params = [addresses, { ...ACCOUNT, ...condition() }]
  const { context, value } = await call('getMultipleAccounts', params, { answer: ManyAccounts })
  seen(context.slot)
  return value
}

/** What a node pushes of an account; undefined when it is no news. */
export function pushedAccount(result: unknown): Account | undefined {
  const { context, value } = OneAccount.parse(result)
  if (context.slot < newest) return undefined
  seen(context.slot)
  return value
}

/** The same of an account of a program, and whether it is news. */
export function pushedOfProgram(result: unknown): z.infer<typeof OfProgram>['value'] & { readonly isNews: boolean } {
  const { context, value } = OfProgram.parse(result)
  const isNews = context.slot >= newest
  seen(context.slot)
  return { ...value, isNews }
}
