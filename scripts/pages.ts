import { type Dirent, existsSync, globSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'vite'

const ROOT = join(import.meta.dirname, '..')

/** The folders of all apps, prices first. */
export function appFolders(): readonly string[] {
  const folders = globSync('apps/*/app.ts', { cwd: ROOT }).map(dirname).sort()
  return folders.sort((a, b) => Number(b === 'apps/prices') - Number(a === 'apps/prices'))
}

/** Builds the pages whose sources are newer than their build. */
export async function buildPages(apps: readonly string[]): Promise<void> {
  for (const app of apps) {
    const page = join(ROOT, app, 'page')
    if (!existsSync(join(page, 'vite.config.ts')) || isBuilt(page)) continue
    process.stdout.write(`Building the page of ${app}.\n`)
    await build({ root: page, configFile: join(page, 'vite.config.ts'), logLevel: 'warn' })
  }
}

/** Builds the client for users without a bundler. */
export async function buildClient(): Promise<void> {
  const client = join(ROOT, 'packages/client')
  await build({ root: client, configFile: join(client, 'vite.config.ts'), logLevel: 'warn' })
}

function isBuilt(page: string): boolean {
  const built = statSync(join(page, 'dist/index.html'), { throwIfNoEntry: false })?.mtimeMs ?? 0
  const sources = ['apps/*/*.ts', 'packages/{ui,client,protocol}/src/**/*', 'package-lock.json'].flatMap((pattern) =>
    globSync(pattern, { cwd: ROOT }),
  )
  const own = globSync('**/*', { cwd: page, exclude: isDist, withFileTypes: true }).filter((entry) => entry.isFile())
  const newest = Math.max(
    ...sources.map((path) => statSync(join(ROOT, path)).mtimeMs),
    ...own.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
  )
  return built >= newest
}

function isDist(entry: Dirent): boolean {
  return entry.name === 'dist'
}
