/** An upstream that the apps name by a variable, what stands in for it, and where the real one is. */
export interface StandIn {
  readonly variable: string
  readonly keys: string
  readonly simulator: string
  readonly live: string
  /** Variables that hold while the real service is used without a key. */
  readonly keyless: Readonly<Record<string, string>>
}

/** Every upstream of the apps. */
export const STAND_INS: readonly StandIn[] = [
  {
    variable: 'JUPITER_URL',
    keys: 'JUPITER_API_KEYS',
    simulator: 'jupiter',
    live: 'https://api.jup.ag',
    keyless: { JUPITER_PLAN: 'keyless' },
  },
]

type Environment = Readonly<Record<string, string | undefined>>

/**
 * What `npm start` adds to the environment for an upstream to be asked for real: nothing where the user named one; with
 * `--live` the real service, with the user's keys or within what it gives to everybody. Undefined: it is to be simulated.
 */
export function reach(
  { variable, keys, live: address, keyless }: StandIn,
  live: boolean,
  environment: Environment,
): Readonly<Record<string, string>> | undefined {
  const named = (environment[variable] ?? '') !== ''
  if (!live) return named ? {} : undefined
  const url: Record<string, string> = named ? {} : { [variable]: address }
  return (environment[keys] ?? '') === '' ? { ...keyless, ...url } : url
}
