/**
 * `npm start`: builds the pages, starts simulators of the upstreams that nothing else names, and serves every app.
 * `npm start -- --live` uses the real services. What else follows `--` goes to `weir start`.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { buildPages } from './pages.ts'

const ROOT = join(import.meta.dirname, '..')

/** An upstream that the apps name by a variable, what stands in for it, and where the real one is. */
interface StandIn {
  readonly variable: string
  readonly keys: string
  readonly simulator: string
  readonly live: string
  /** Variables that hold while the real service is used without a key. */
  readonly keyless: Readonly<Record<string, string>>
}

const STAND_INS: readonly StandIn[] = [
  {
    variable: 'JUPITER_URL',
    keys: 'JUPITER_API_KEYS',
    simulator: 'jupiter',
    live: 'https://api.jup.ag',
    keyless: { JUPITER_PLAN: 'keyless' },
  },
]

const args = process.argv.slice(2)
const live = args.includes('--live')
const apps = appFolders()
const simulators: ChildProcess[] = []

await buildPages(apps)
const environment = { ...process.env }
for (const standIn of STAND_INS) Object.assign(environment, live ? reach(standIn) : await imitate(standIn))
serve([...apps, ...args.filter((arg) => arg !== '--live')])

/** Every app, prices first. */
function appFolders(): readonly string[] {
  const folders = globSync('apps/*/app.ts', { cwd: ROOT }).map(dirname).sort()
  return folders.sort((a, b) => Number(b === 'apps/prices') - Number(a === 'apps/prices'))
}

/** The real service: with the user's keys, or within what it gives to everybody. */
function reach({ variable, keys, live, keyless }: StandIn): NodeJS.ProcessEnv {
  const address = { [variable]: process.env[variable] ?? live }
  return process.env[keys] ? address : { ...keyless, ...address }
}

/** A simulator in a process of its own, unless the user named an upstream. */
async function imitate({ variable, keys, simulator }: StandIn): Promise<NodeJS.ProcessEnv> {
  if (process.env[variable]) return {}
  const key = `jup_${simulator}_local`
  const child = fork(join(ROOT, 'packages/simulators/src/main.ts'), [simulator, '--strict', '--key', `${key}=weir`], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  simulators.push(child)
  const url = await firstUrl(child, simulator)
  process.stdout.write(`${simulator.padEnd(12)} ${url}  (simulated; \`npm start -- --live\` uses the real one)\n`)
  return { [variable]: url, [keys]: key }
}

function firstUrl(child: ChildProcess, name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (line: Buffer) => resolve(JSON.parse(line.toString()).url))
    child.once('exit', (code) => reject(new Error(`the simulator of ${name} ended with ${code} before it listened`)))
  })
}

function serve(serveArgs: readonly string[]): void {
  const weir = spawn(process.execPath, [join(ROOT, 'packages/gateway/bin/weir.js'), 'start', ...serveArgs], {
    cwd: ROOT,
    env: environment,
    stdio: 'inherit',
  })
  // A terminal's Ctrl-C reaches the gateway by itself; a signal to this process alone must be handed on.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => weir.kill('SIGTERM'))
  weir.once('exit', (code) => {
    for (const simulator of simulators) simulator.kill()
    process.exitCode = code ?? 1
  })
}
