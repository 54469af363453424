import { stat } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { App } from '../app.ts'
import { ConfigError } from '../errors.ts'
import { isRecord } from '../options.ts'
import { UsageError } from './usage.ts'

/** Names of an app's file in its folder, in order of preference. */
const FILES = ['app.ts', 'app.js', 'app.mjs']

/**
 * Imports the app at a path, the default export of its file.
 *
 * @throws UsageError when the file does not exist
 * @throws ConfigError, prefixed with the file's name, when the declaration is invalid
 */
export async function loadApp(path: string): Promise<App> {
  const file = await fileOf(path)
  const shown = relative(process.cwd(), file)
  try {
    const module: unknown = await import(pathToFileURL(file).href)
    const app =
      isRecord(module) || typeof module === 'object' ? (module as Readonly<Record<string, unknown>>).default : undefined
    if (!isApp(app)) throw new ConfigError(shown, 'default export', 'an app made by defineApp()', app)
    return app
  } catch (error) {
    if (error instanceof ConfigError && error.where !== shown) {
      throw new ConfigError(`${shown}: ${error.where}`, error.key, error.expected, error.given)
    }
    throw error
  }
}

/** @throws UsageError when `paths` is empty */
export function loadApps(paths: readonly string[]): Promise<App[]> {
  if (paths.length === 0) throw new UsageError('expected at least one app: a folder with an app.ts, or a file')
  return Promise.all(paths.map(loadApp))
}

async function fileOf(path: string): Promise<string> {
  const named = resolve(path)
  const candidates = [named, ...FILES.map((name) => join(named, name))]
  for (const candidate of candidates) {
    const found = await stat(candidate).catch(() => undefined)
    if (found?.isFile()) return candidate
  }
  throw new UsageError(`expected a folder with an app.ts, or a file, got "${path}"`)
}

function isApp(value: unknown): value is App {
  return isRecord(value) && value.kind === 'app'
}
