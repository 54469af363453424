import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { leashed } from './leash.ts'
import { WEIR } from './weir.ts'

const ROOT = join(import.meta.dirname, '..')

/** How long a test waits for output, in milliseconds. A busy machine takes long. */
const OUTPUT_TIMEOUT = 45_000

/** A program in its own process. `await using` ends it at any stage. */
export interface Running extends AsyncDisposable {
  readonly pid: number
  /** The standard output so far. */
  readonly said: string
  /** The standard error so far. */
  readonly complained: string
  /** The exit code, or the signal that killed the process. */
  readonly ended: Promise<number | NodeJS.Signals>
  /**
   * Returns the first match in the standard output.
   *
   * @throws Error when the process exits first, or no match appears within `within` milliseconds
   */
  says(pattern: RegExp, within?: number): Promise<RegExpExecArray>
  /** Sends a signal to this process only. */
  signal(name: NodeJS.Signals): void
}

/**
 * Runs a script with this Node, from the root of the repository. It inherits only PATH, so that variables of the developer do not
 * affect a test.
 */
export function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Running {
  return runProgram(process.execPath, args, environment)
}

/** Runs any program in the same way. */
export function runProgram(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Running {
  const child = spawn(...leashed(program, args), {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said: string[] = []
  const complained: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => said.push(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => complained.push(text))
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal ?? 1))
  })
  // `ended` rejects if the program can't start. Without a listener, that must not end the test run.
  ended.catch(() => {})
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  void ended.finally(() => process.off('exit', kill)).catch(() => {})

  return {
    pid: child.pid ?? 0,
    get said() {
      return said.join('')
    },
    get complained() {
      return complained.join('')
    },
    ended,
    says: (pattern, within = OUTPUT_TIMEOUT) => waitForOutput(child, pattern, within, said, complained),
    signal(name) {
      child.kill(name)
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended.catch(() => {})
    },
  }
}

/** The `weir` command. */
export function weir(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Running {
  return run([...WEIR, ...args], environment)
}

function waitForOutput(
  child: ChildProcess,
  pattern: RegExp,
  within: number,
  said: readonly string[],
  complained: readonly string[],
): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer)
      child.stdout?.off('data', look)
      child.off('close', gone)
      act()
    }
    const fail = (why: string) =>
      settle(() => reject(new Error(`expected ${pattern}, ${why}: ${said.join('')}${complained.join('')}`)))
    const look = () => {
      const match = pattern.exec(said.join(''))
      if (match !== null) settle(() => resolve(match))
    }
    const gone = () => fail('but the program ended')
    const timer = setTimeout(() => fail(`got nothing like it in ${within} ms`), within)
    child.stdout?.on('data', look)
    child.once('close', gone)
    look()
    if (child.exitCode !== null && child.stdout?.readableEnded === true) gone()
  })
}
