import cluster from 'node:cluster'
import { once } from 'node:events'
import { createGateway } from '../gateway.ts'
import type { Gateway } from '../gateway-api.ts'
import { createLog } from '../observe/log.ts'
import { watchFaults } from './faults.ts'
import { cannotListen } from './listen-error.ts'
import { loadApps } from './load-app.ts'
import { BY_SIGNAL, NEXT_LEVEL } from './signals.ts'
import { showStatus } from './status.ts'
import type { CommandLine } from './usage.ts'
import { supervise } from './workers/supervisor.ts'
import { work } from './workers/worker.ts'

/** How long requests in flight may take after Ctrl-C, in milliseconds. */
const DRAIN = 5000

/** Serves apps until a signal stops it: as a single process, as the supervisor of several workers, or as one of these workers. */
export async function start(line: CommandLine): Promise<number> {
  if (line.apps.length === 0) await loadApps([])
  const { workers } = line
  const given = process.env.WEIR_WORKER
  if (cluster.worker !== undefined && given !== undefined) {
    // An open channel to the supervisor would keep the process alive.
    return work(line, JSON.parse(given), DRAIN).finally(() => cluster.worker?.disconnect())
  }
  return workers === undefined ? serve(line) : supervise({ ...line, workers }, DRAIN)
}

async function serve({ apps: paths, port, host, level, options }: CommandLine): Promise<number> {
  const apps = await loadApps(paths)
  const log = createLog()
  const fault = Promise.withResolvers<number>()
  const gateway = createGateway({ ...options, apps, observe: log })
  watchFaults(log, () => fault.resolve(1))
  gateway.level.set(level, 'set by --level')
  process.on('SIGUSR2', () => nextLevel(gateway))
  try {
    const urls = await gateway.listen({ port, host })
    urls.forEach((url, index) => {
      process.stdout.write(`${apps[index]?.name.padEnd(12)} ${url}\n`)
    })
  } catch (error) {
    await gateway.close(0)
    process.stderr.write(`weir: ${cannotListen(error, host)}\n`)
    return 1
  }
  if (process.env.DATABASE_URL)
    process.stdout.write('DATABASE_URL is set, but these apps do not use it: all data stays in memory.\n')
  const hide = showStatus(gateway)
  const code = await Promise.race([stopSignal(), fault.promise])
  hide()
  process.stdout.write('Draining: live clients are asked to reconnect, requests in flight are finished.\n')
  // A second Ctrl-C exits immediately.
  process.once('SIGINT', () => process.exit(130))
  await gateway.close(DRAIN)
  return code
}

/** On SIGUSR2, because SIGUSR1 starts Node's debugger. */
function nextLevel({ level }: Gateway): void {
  level.set(NEXT_LEVEL[level.now], BY_SIGNAL)
  process.stdout.write(`level ${level.now}\n`)
}

function stopSignal(): Promise<number> {
  return Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]).then(() => 0)
}
