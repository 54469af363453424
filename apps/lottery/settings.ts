import { env } from 'node:process'
import { isAddress } from '@solana/kit'
import { ConfigError, type Limit } from '@weir/gateway'

const CLUSTERS = ['devnet', 'testnet', 'mainnet']
/** Clusters that Helius serves. */
const OF_HELIUS = ['devnet', 'mainnet']

function fail(name: string, expected: string): never {
  throw new ConfigError('app "lottery"', name, expected, env[name])
}

function whole(name: string, unless: number): number {
  const number = Number(env[name] || unless)
  return Number.isSafeInteger(number) && number > 0 ? number : fail(name, 'a whole number above 0')
}

function pubkey(name: string): string {
  const given = env[name] ?? ''
  return isAddress(given) ? given : fail(name, 'an address of Solana, 32 bytes in base58')
}

/** The nodes, best first: those in the environment, Helius if it has a key, or the public nodes of the cluster. */
function nodes(): readonly string[] {
  const { SOLANA_URL = '', HELIUS_API_KEY: key = '' } = env
  // An empty variable counts as unset.
  const cluster = env.SOLANA_CLUSTER || 'devnet'
  const named = SOLANA_URL.split(',').filter((url) => url !== '')
  if (named.length > 0) return named
  const known = key === '' ? CLUSTERS : OF_HELIUS
  if (!known.includes(cluster)) fail('SOLANA_CLUSTER', known.join(', '))
  if (key === '') return [`https://api.${cluster}.solana.com`]
  return [`https://${cluster}.helius-rpc.com/?api-key=${encodeURIComponent(key)}`]
}

/** The public nodes allow 100 calls per address in ten seconds, and 40 calls of one method. */
const OPEN: readonly Limit[] = [
  { calls: 100, per: '10s' },
  { calls: 40, per: '10s', lane: '*' },
]

const asked = nodes()
const isOpen = asked.some((url) => URL.parse(url)?.hostname.endsWith('.solana.com') === true)

/** Settings from the environment. The README lists the variables. */
export const SETTINGS = {
  nodes: asked,
  socket: (env.SOLANA_WS_URL || asked[0]?.replace(/^http/, 'ws')) ?? '',
  limits: isOpen ? OPEN : ([{ calls: whole('SOLANA_CALLS_PER_SECOND', 100), per: '1s' }] satisfies readonly Limit[]),
  mint: pubkey('LOTTERY_TOKEN_MINT'),
  pot: pubkey('LOTTERY_POT'),
  /** Price of a ticket, in whole tokens. */
  ticket: whole('LOTTERY_TICKET', 1000),
  /** Other origins that may serve the page. */
  origins: (env.PAGE_ORIGINS ?? '').split(',').filter((origin) => origin !== ''),
  page: { apiBaseUrl: env.API_BASE_URL ?? '', wsUrl: env.WS_URL ?? '' },
}
