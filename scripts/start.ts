/**
 * `npm start`: builds the pages, starts simulators of the upstreams that nothing else names, and serves every app.
 * `npm start -- --live` uses the real services. What else follows `--` goes to `weir start`.
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

// Before pages are built: Vite sets NODE_ENV to production in this process, and only where there is something to build.
const environment = { NODE_ENV: live ? 'production' : 'development', ...process.env }
await buildPages(apps)
for (const standIn of STAND_INS) {
  Object.assign(environment, reach(standIn, live, process.env) ?? (await imitate(standIn)))
}
serve([...apps, ...args.filter((arg) => arg !== '--live')])

/** A simulator in a process of its own. */
async function imitate({ simulator, args, told, live, variable }: StandIn): Promise<NodeJS.ProcessEnv> {
  const child = fork(join(ROOT, 'packages/simulators/src/main.ts'), [simulator, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  simulators.push(child)
  const said = await firstLine(child, simulator)
  const real = live === undefined ? `${variable} names a real one` : '`npm start -- --live` uses the real one'
  process.stdout.write(`${simulator.padEnd(12)} ${said.url}  (simulated; ${real})\n`)
  return told(said)
}

function firstLine(child: ChildProcess, name: string): Promise<Readonly<Record<string, string>>> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (line: Buffer) => resolve(JSON.parse(line.toString())))
    child.once('exit', (code) => reject(new Error(`the simulator of ${name} ended with ${code} before it listened`)))
  })
}

function serve(serveArgs: readonly string[]): void {
  const weir = spawn(process.execPath, [...WEIR, 'start', ...serveArgs], {
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
