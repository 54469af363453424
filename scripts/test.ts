/**
 * `npm test`: finds or installs the programs that tests need, runs all checks and tests, and prints `N passed, N failed` as its last
 * line. Arguments go to Vitest: `npm test -- packages/gateway`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Outcome, readOutcome } from './outcome.ts'
import { install, locate, NEEDED } from './programs.ts'

const ROOT = join(import.meta.dirname, '..')

let child: ChildProcess | undefined
let stopped = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stopped = true
    child?.kill(signal)
  })
}

install(NEEDED, process.env)
const variables = locate(NEEDED, process.env)
if (typeof variables === 'string') {
  process.stderr.write(`${variables}\n`)
  close({ passed: 0, failed: 1 })
} else {
  const checks = await run(['scripts/check.ts'], {})
  const tests = stopped ? { passed: 0, failed: 0 } : await runTests(process.argv.slice(2), variables)
  close({ passed: tests.passed, failed: tests.failed + (checks === 0 ? 0 : 1) })
}

function close({ passed, failed }: Outcome): void {
  process.exitCode = failed === 0 && !stopped ? 0 : 1
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
}

async function runTests(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-test-'))
  try {
    const report = join(folder, 'report.json')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const exitCode = await run(['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args], environment)
    return readOutcome(await readJson(report), exitCode)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Runs a script with this Node. Returns its exit code, or 1 after a signal. */
function run(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, ...environment },
      stdio: 'inherit',
    })
    child = started
    started.once('error', reject)
    started.once('exit', (code) => resolve(code ?? 1))
  })
}

/** Reads a file; undefined if it is missing. Vitest writes no report when it fails to start. */
async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return undefined
  }
}
