import { once } from 'node:events'
import type { Level } from '@weir/protocol'
import { createGateway } from '../gateway.ts'
import type { Gateway } from '../gateway-api.ts'
import { createLog } from '../observe/log.ts'
import { loadApps } from './load-app.ts'
import { showStatus } from './status.ts'
import type { CommandLine } from './usage.ts'

/** How long calls under way may take after Ctrl-C, in milliseconds. */
const DRAIN = 5000

/** What a signal to go on puts in the place of each level: maintenance is left, and never entered by chance. */
const NEXT: Readonly<Record<Level, Level>> = {
  normal: 'saver',
  saver: 'strained',
  strained: 'normal',
  maintenance: 'normal',
}

/** Serves apps until told to stop. */
export async function start({ apps: paths, port, host, level, options }: CommandLine): Promise<number> {
  const apps = await loadApps(paths)
  const gateway = createGateway({ ...options, apps, observe: createLog() })
  gateway.level.set(level, 'by hand, with --level')
  process.on('SIGUSR2', () => press(gateway))
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
    process.stdout.write('DATABASE_URL is set, and nothing of these apps uses it yet: all is kept in memory.\n')
  const hide = showStatus(gateway)
  await stopSignal()
  hide()
  process.stdout.write('Draining: live clients are told to come back, calls under way are finished.\n')
  // A second Ctrl-C ends it at once.
  process.once('SIGINT', () => process.exit(130))
  await gateway.close(DRAIN)
  return 0
}

/** Of the signals that are left to programs, SIGUSR1 is Node's own: it would open its debugger. */
function press({ level }: Gateway): void {
  level.set(NEXT[level.now], 'by hand, with SIGUSR2')
  process.stdout.write(`level ${level.now}\n`)
}

function stopSignal(): Promise<unknown> {
  return Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
}

function cannotListen(error: unknown, host: string): string {
  const { code, port } = error as NodeJS.ErrnoException & { port?: number }
  if (code === 'EADDRINUSE')
    return `port ${port}: expected a free one, got one that another program listens on; name another with --port`
  if (code === 'EACCES')
    return `port ${port}: expected one this user may listen on, got one that needs more rights; name one above 1023`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `host: expected an address of this machine, got "${host}"`
  throw error
}
