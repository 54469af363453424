import { type Running, weir } from './running.ts'

/** An app, served by the `weir` command in its own process. */
export interface Served extends Running {
  readonly url: string
}

/** Serves an app by name, by default on a free port. */
export async function serveApp(
  name: string,
  environment: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<Served> {
  const running = weir(['start', `apps/${name}`, '--port', '0', ...args], environment)
  const [, url = ''] = await running.says(new RegExp(`^${name} +(http:\\S+)$`, 'm'))
  return Object.assign(running, { url })
}
