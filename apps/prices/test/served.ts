import type { Jupiter } from '@weir/simulators'
import { type Running, weir } from '../../../scripts/running.ts'

/** The key that simulators of these tests take. */
export const KEY = 'jup_test'

/** The app, served by the `weir` command in a process of its own. */
export interface Served extends Running {
  readonly url: string
}

/** What the app is told of its upstream. */
export function reaching(jupiter: Jupiter): Readonly<Record<string, string>> {
  return { JUPITER_URL: jupiter.url, JUPITER_API_KEYS: KEY }
}

/** Serves the app, on any free port unless told. */
export async function serve(
  environment: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<Served> {
  const running = weir(['start', 'apps/prices', '--port', '0', ...args], environment)
  const [, url = ''] = await running.says(/^prices +(http:\S+)$/m)
  return Object.assign(running, { url })
}
