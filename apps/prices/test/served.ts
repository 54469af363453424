import type { Jupiter } from '@weir/simulators'
import { type Served, serveApp } from '../../../scripts/served.ts'

/** The API key of the simulators in these tests. */
export const KEY = 'jup_test'

/** Environment variables for the app's upstream. */
export function reaching(jupiter: Jupiter): Readonly<Record<string, string>> {
  return { JUPITER_URL: jupiter.url, JUPITER_API_KEYS: KEY }
}

/** Serves the app, by default on a free port. */
export function serve(environment: Readonly<Record<string, string>>, args: readonly string[] = []): Promise<Served> {
  return serveApp('prices', environment, args)
}
