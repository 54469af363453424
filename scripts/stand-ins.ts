type Environment = Readonly<Record<string, string | undefined>>
type Variables = Readonly<Record<string, string>>

/** An upstream that the apps name by a variable, what stands in for it, and where the real one is. */
export interface StandIn {
  readonly variable: string
  readonly simulator: string
  /** What the simulator is started with. */
  readonly args: readonly string[]
  /** What the apps are told of a simulator that has said this of itself. */
  readonly told: (said: Variables) => Variables
  /** Where the real one is, for all who ask; undefined where there is none but one's own. */
  readonly live: Live | undefined
}

interface Live {
  readonly url: string
  /** The variable that has the user's keys. */
  readonly keys: string
  /** Variables that hold while it is used without a key. */
  readonly keyless: Variables
}

const KEY = 'jup_local'

/** Every upstream of the apps. */
export const STAND_INS: readonly StandIn[] = [
  {
    variable: 'JUPITER_URL',
    simulator: 'jupiter',
    args: ['--strict', '--key', `${KEY}=weir`],
    told: ({ url = '' }) => ({ JUPITER_URL: url, JUPITER_API_KEYS: KEY }),
    live: { url: 'https://api.jup.ag', keys: 'JUPITER_API_KEYS', keyless: { JUPITER_PLAN: 'keyless' } },
  },
  {
    variable: 'LOTTERY_POT',
    simulator: 'solana',
    args: ['--lottery', '--pace', '1500'],
    told: ({ url = '', mint = '', pot = '' }) => ({ SOLANA_URL: url, LOTTERY_TOKEN_MINT: mint, LOTTERY_POT: pot }),
    live: undefined,
  },
]

/**
 * What `npm start` adds to the environment for an upstream to be asked for real: nothing where the user named one; with
 * `--live` the real service, with the user's keys or within what it gives to everybody. Undefined: it is to be simulated.
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
