import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { leashed } from './leash.ts'
import { WEIR } from './weir.ts'

const ROOT = join(import.meta.dirname, '..')

/** How long a program may take to print what a test waits for, in milliseconds; on a busy machine it takes long. */
const PATIENCE = 45_000

/** A program of ours in a process of its own. `await using` ends it, however far it came. */
export interface Running extends AsyncDisposable {
  readonly pid: number
  /** What it has written on standard output so far. */
  readonly said: string
  /** What it has written on standard error so far. */
  readonly complained: string
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
  /**
   * The first match in what it says on standard output.
   *
   * @throws Error when it ends before, or says nothing of the kind within so many milliseconds
   */
  says(pattern: RegExp, within?: number): Promise<RegExpExecArray>
  /** Sends a signal to this process alone. */
  signal(name: NodeJS.Signals): void
}

/**
 * Runs a script with this Node, from the root of the repository. Of this process's environment it gets no more than PATH:
 * a PORT or an upstream of the developer's must not decide a test.
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
  // Whoever waits for the end hears of a program that could not be started; nobody else has to.
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
    says: (pattern, within = PATIENCE) => heard(child, pattern, within, said, complained),
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

function heard(
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
