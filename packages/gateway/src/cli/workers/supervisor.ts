import cluster from 'node:cluster'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { serving } from '../../backend/cluster/primary.ts'
import { shownLimits } from '../../backend/memory/stricter.ts'
import type { MeterLimit } from '../../backend/ports.ts'
import { createLog } from '../../observe/log.ts'
import { GATEWAY_OPTIONS } from '../../options/gateway.ts'
import { readOptions } from '../../options.ts'
import { freePorts } from '../ports.ts'
import { BY_SIGNAL, NEXT_LEVEL } from '../signals.ts'
import type { CommandLine } from '../usage.ts'
import { WorkerPool } from './worker-pool.ts'

/** How often other ports are tried when somebody took the one that was free just now. */
const TRIES = 5

/** Of the machine's memory, what workers may use together unless it is said. */
const PART = 0.8

/** Serves apps by several processes, which this one starts and replaces. It does no other work, so that it always can. */
export async function supervise(line: CommandLine & { readonly workers: number }, drain: number): Promise<number> {
  const { apps, host, workers, options } = line
  // Workers accept by themselves: with round robin some connections hang or break when one of them dies.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({ serialization: 'advanced' })
  const log = createLog()
  const { memory: bytes, redis } = readOptions('gateway', GATEWAY_OPTIONS, { ...options, apps: [] })
  const report = (error: unknown) => log({ type: 'failed', where: 'primary', error })
  const mixed = (upstream: string, limits: readonly MeterLimit[]) =>
    log({ type: 'budget.mixed', upstream, limits: shownLimits(limits) })
  const say = (sentence: string) => void process.stderr.write(`weir: ${sentence}\n`)
  const mostMemory = line.workerMemory ?? shareOfMemory(workers)
  let { level } = line
  const { promise: ready, resolve: isReady } = Promise.withResolvers<WorkerPool>()
  // Signals are handled from the first moment on: unhandled, they would end this process and all workers with it.
  process.on('SIGUSR2', () => {
    level = NEXT_LEVEL[level]
    log({ type: 'admission.level', level, reason: BY_SIGNAL })
    process.stdout.write(`level ${level}\n`)
    void ready.then((crew) => {
      crew.level = level
    })
  })
  const hungUp = rollUntilHungUp(ready)

  for (let tries = 1; ; tries++) {
    const port = line.port === 0 ? await freePorts(apps.length, host) : line.port
    const memory = redis === undefined ? serving({ bytes, report, mixed }) : undefined
    const crew = new WorkerPool({ size: workers, port, level, memory, mostMemory, drain, say })
    const stopped = stopSignal()
    const came = await Promise.race([crew.start(), stopped])
    if ('code' in came && came.code !== undefined) {
      if (came.taken && line.port === 0 && tries < TRIES) continue
      if (came.why !== undefined) say(came.why)
      return came.code
    }
    if (Array.isArray(came)) {
      isReady(crew)
      for (const { app, url } of came) process.stdout.write(`${app.padEnd(12)} ${url}\n`)
      process.stdout.write(`${workers} workers\n`)
      await Promise.race([stopped, hungUp])
    }
    process.stdout.write('Draining: live clients are told to come back, calls under way are finished.\n')
    // A second Ctrl-C ends it at once; the workers end with it.
    process.once('SIGINT', () => process.exit(130))
    await crew.stop()
    return 0
  }
}

/** SIGHUP replaces all workers. It also comes when a terminal is closed: then writing to it fails, and this resolves. */
function rollUntilHungUp(ready: Promise<WorkerPool>): Promise<void> {
  return new Promise((resolve) => {
    process.on('SIGHUP', () => {
      try {
        writeSync(1, 'Replacing the workers, one after the other.\n')
      } catch (error) {
        // Of a pipe or a file, a reader that is gone or a full disk says nothing of the operator's wish.
        if ((error as NodeJS.ErrnoException).code === 'EIO') {
          resolve()
          return
        }
      }
      const rolled = ready.then((crew) => crew.roll())
      void rolled.then((done) => {
        process.stdout.write(done ? 'All workers are replaced.\n' : 'A new worker did not listen: the others go on.\n')
      })
    })
  })
}

function stopSignal(): Promise<{ readonly code?: undefined }> {
  return Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]).then(() => ({}))
}

function shareOfMemory(workers: number): number {
  const bound = process.constrainedMemory()
  const machine = bound > 0 ? Math.min(bound, totalmem()) : totalmem()
  // Near the heap's own limit a process only collects garbage.
  return Math.min((PART * machine) / workers, getHeapStatistics().heap_size_limit)
}
