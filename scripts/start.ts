/**
 * `npm start`: builds the pages, starts simulators for upstreams that are not configured, and serves all apps.
 * `npm start -- --live` uses the real services. Other arguments go to `weir start`.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { join } from 'node:path'
import { appFolders, buildPages } from './pages.ts'
import { reach, STAND_INS, type StandIn } from './stand-ins.ts'
import { WEIR } from './weir.ts'

const ROOT = join(import.meta.dirname, '..')

const args = process.argv.slice(2)
const live = args.includes('--live')
const apps = appFolders()
const simulators: ChildProcess[] = []

// Read before the pages are built, since a build with Vite sets NODE_ENV to production in this process.
const environment = { NODE_ENV: live ? 'production' : 'development', ...process.env }
await buildPages(apps)
for (const standIn of STAND_INS) {
  Object.assign(environment, reach(standIn, live, process.env) ?? (await simulate(standIn)))
}
serve([...apps, ...args.filter((arg) => arg !== '--live')])

/** Starts a simulator in its own process. */
async function simulate({ simulator, args, environment, live, variable }: StandIn): Promise<NodeJS.ProcessEnv> {
  const child = fork(join(ROOT, 'packages/simulators/src/main.ts'), [simulator, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  simulators.push(child)
  const printed = await firstLine(child, simulator)
  const real = live === undefined ? `${variable} names a real one` : '`npm start -- --live` uses the real one'
  process.stdout.write(`${simulator.padEnd(12)} ${printed.url}  (simulated; ${real})\n`)
  return environment(printed)
}

function firstLine(child: ChildProcess, name: string): Promise<Readonly<Record<string, string>>> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (line: Buffer) => resolve(JSON.parse(line.toString())))
    child.once('exit', (code) => reject(new Error(`the simulator of ${name} exited with ${code} before it listened`)))
  })
}

function serve(serveArgs: readonly string[]): void {
  const weir = spawn(process.execPath, [...WEIR, 'start', ...serveArgs], {
    cwd: ROOT,
    env: environment,
    stdio: 'inherit',
  })
  // Ctrl-C in a terminal reaches the gateway directly, but a signal to this process must be forwarded.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => weir.kill('SIGTERM'))
  weir.once('exit', (code) => {
    for (const simulator of simulators) simulator.kill()
    process.exitCode = code ?? 1
  })
}
