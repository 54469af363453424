import type { App } from '../app.ts'
import { ConfigError } from '../errors.ts'
import { createGateway } from '../gateway.ts'
import { loadApp } from './load-app.ts'
import { type CommandLine, UsageError } from './usage.ts'

/** Loads every app and builds the gateway as `start` would, without listening. Reports every fault, not only the first. */
export async function check({ apps: paths, options }: CommandLine): Promise<number> {
  if (paths.length === 0) throw new UsageError('expected at least one app: a folder with an app.ts, or a file')
  const apps: App[] = []
  let faults = 0
  for (const path of paths) {
    try {
      const app = await loadApp(path)
      apps.push(app)
      process.stdout.write(`${path}: app "${app.name}": ${app.use.map(({ path }) => path).join(', ')}\n`)
    } catch (error) {
      if (!(error instanceof ConfigError || error instanceof UsageError)) throw error
      faults += 1
      process.stderr.write(`${error.message}\n`)
    }
  }
  if (faults > 0) return 1
  await createGateway({ ...options, apps }).close()
  process.stdout.write('All apps are valid.\n')
  return 0
}
