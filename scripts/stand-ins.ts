type Environment = Readonly<Record<string, string | undefined>>
type Variables = Readonly<Record<string, string>>

/** An upstream of the apps, with its variable, its simulator and the real service. */
export interface StandIn {
  readonly variable: string
  readonly simulator: string
  /** Arguments of the simulator. */
  readonly args: readonly string[]
  /** Environment variables of the apps, from the variables that the simulator prints. */
  readonly environment: (printed: Variables) => Variables
  /** URL of the public service; undefined if there is none. */
  readonly live: Live | undefined
}

interface Live {
  readonly url: string
  /** The variable with the user's keys. */
  readonly keys: string
  /** Environment variables for use without a key. */
  readonly keyless: Variables
}

const KEY = 'jup_local'

/** All upstreams of the apps. */
export const STAND_INS: readonly StandIn[] = [
  {
    variable: 'JUPITER_URL',
    simulator: 'jupiter',
    args: ['--strict', '--key', `${KEY}=weir`],
    environment: ({ url = '' }) => ({ JUPITER_URL: url, JUPITER_API_KEYS: KEY }),
    live: { url: 'https://api.jup.ag', keys: 'JUPITER_API_KEYS', keyless: { JUPITER_PLAN: 'keyless' } },
  },
  {
    variable: 'LOTTERY_POT',
    simulator: 'solana',
    args: ['--lottery', '--pace', '1500'],
    environment: ({ url = '', mint = '', pot = '' }) => ({
      SOLANA_URL: url,
      LOTTERY_TOKEN_MINT: mint,
      LOTTERY_POT: pot,
    }),
    live: undefined,
  },
]

/**
 * Returns the environment variables to use a real upstream: none if the user has set one; with `--live` the public service, with the
 * user's keys or its limits without a key. Undefined: simulate it.
 */
export function reach(
  { variable, live: real }: StandIn,
  live: boolean,
  environment: Environment,
): Variables | undefined {
  const isSet = (name: string) => (environment[name] ?? '') !== ''
  const named = isSet(variable)
  if (!live || real === undefined) return named ? {} : undefined
  const url = named ? {} : { [variable]: real.url }
  return isSet(real.keys) ? url : { ...real.keyless, ...url }
}
