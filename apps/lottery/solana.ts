import { anyOf, type JsonRpcCall, jsonRpc } from '@weir/gateway'
import { z } from 'zod'
import { SETTINGS } from './settings.ts'

/** Two of the ten connections to a node are push connections: for the pot, and for token accounts. */
const CONNECTIONS = 8

/** The nodes, each with its own budget. When one fails or lags, calls go to the next. */
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

/** Confirmed by two thirds of the cluster. */
export const COMMITMENT = 'confirmed'

const Context = z.object({ slot: z.int() })

/** An account, with its data as bytes. */
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

/** The newest slot received. An update for an older slot comes from a lagging node or an earlier call, and is ignored. */
let newest = 0

/** Raises the minimum slot of later calls. */
export function seen(slot: number): void {
  newest = Math.max(newest, slot)
}

/** Options of every call. A lagging node refuses it, and the call goes to another node, or to the same one later. */
export function condition() {
  return { commitment: COMMITMENT, ...(newest > 0 && { minContextSlot: newest }) }
}

/** Options of calls for accounts. */
export const ACCOUNT = { encoding: 'base64', commitment: COMMITMENT }

export async function account(call: JsonRpcCall, address: string): Promise<Account> {
  const params = [address, { ...ACCOUNT, ...condition() }]
  const { context, value } = await call('getAccountInfo', params, { answer: OneAccount })
  seen(context.slot)
  return value
}

/** Loads up to 100 accounts. */
export async function accounts(call: JsonRpcCall, addresses: readonly string[]): Promise<readonly Account[]> {
  const params = [addresses, { ...ACCOUNT, ...condition() }]
  const { context, value } = await call('getMultipleAccounts', params, { answer: ManyAccounts })
  seen(context.slot)
  return value
}

/** Parses a pushed account; undefined when it is outdated. */
export function pushedAccount(result: unknown): Account | undefined {
  const { context, value } = OneAccount.parse(result)
  if (context.slot < newest) return undefined
  seen(context.slot)
  return value
}

/** Parses a pushed account of a program, and checks that it is not outdated. */
export function pushedOfProgram(result: unknown): z.infer<typeof OfProgram>['value'] & { readonly isNews: boolean } {
  const { context, value } = OfProgram.parse(result)
  const isNews = context.slot >= newest
  seen(context.slot)
  return { ...value, isNews }
}
