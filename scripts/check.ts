/** `npm run check`: runs all static checks, and reports every failure, not only the first. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

const CHECKS: readonly (readonly [what: string, script: string, ...args: string[]])[] = [
  ['types', 'node_modules/typescript/bin/tsc', '--noEmit'],
  ['style', 'node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'],
  ['imports', 'scripts/import-rules.ts'],
  ['unused', 'node_modules/knip/bin/knip.js'],
]

const failed = CHECKS.filter(([what, script, ...args]) => {
  process.stdout.write(`check ${what}\n`)
  const { status } = spawnSync(process.execPath, [join(ROOT, script), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  return status !== 0
})

const docs = spawnSync(process.execPath, ['scripts/docs.ts', '--check'], { cwd: ROOT, stdio: 'inherit' })
if (docs.status !== 0 || failed.length > 0) {
  process.stderr.write(
    `Failed checks: ${[...failed.map(([what]) => what), ...(docs.status === 0 ? [] : ['docs'])].join(', ')}\n`,
  )
  process.exitCode = 1
}
