import type { Jupiter } from '@weir/simulators'
import { type Served, serveApp } from '../../../scripts/served.ts'

/** The key that simulators of these tests take. */
export const KEY = 'jup_test'

/** What the app is told of its upstream. */
export function reaching(jupiter: Jupiter): Readonly<Record<string, string>> {
  return { JUPITER_URL: jupiter.url, JUPITER_API_KEYS: KEY }
}

/** Serves the app, on any free port unless told. */
export function serve(environment: Readonly<Record<string, string>>, args: readonly string[] = []): Promise<Served> {
  return serveApp('prices', environment, args)
}
