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

/** How many times other ports are tried when another program takes a free port before the workers listen. */
const TRIES = 5

/** Share of the machine's memory that all workers together may use by default. */
const MEMORY_SHARE = 0.8

/** Serves apps with several worker processes. The supervisor only starts and replaces them, so that it is always responsive. */
export async function supervise(line: CommandLine & { readonly workers: number }, drain: number): Promise<number> {
  const { apps, host, workers, options } = line
  // Workers accept connections themselves: with round robin, some connections hang or break when a worker dies.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({ serialization: 'advanced' })
  const log = createLog()
  const { memory: bytes, redis } = readOptions('gateway', GATEWAY_OPTIONS, { ...options, apps: [] })
  const report = (error: unknown) => log({ type: 'failed', where: 'primary', error })
  const mixed = (upstream: string, limits: readonly MeterLimit[]) =>
    log({ type: 'budget.mixed', upstream, limits: shownLimits(limits) })
  const say = (sentence: string) => void process.stderr.write(`weir: ${sentence}\n`)
  const memoryLimit = line.workerMemory ?? shareOfMemory(workers)
  let { level } = line
  const { promise: ready, resolve: isReady } = Promise.withResolvers<WorkerPool>()
  // Signals need handlers before the workers start: an unhandled signal would end this process and every worker.
  process.on('SIGUSR2', () => {
    level = NEXT_LEVEL[level]
    log({ type: 'admission.level', level, reason: BY_SIGNAL })
    process.stdout.write(`level ${level}\n`)
    void ready.then((pool) => {
      pool.level = level
    })
  })
  const hungUp = rollUntilHungUp(ready)

  for (let tries = 1; ; tries++) {
    const port = line.port === 0 ? await freePorts(apps.length, host) : line.port
    const memory = redis === undefined ? serving({ bytes, report, mixed }) : undefined
    const pool = new WorkerPool({ size: workers, port, level, memory, memoryLimit, drain, say })
    const stopped = stopSignal()
    const outcome = await Promise.race([pool.start(), stopped])
    if ('code' in outcome && outcome.code !== undefined) {
      if (outcome.portTaken && line.port === 0 && tries < TRIES) continue
      if (outcome.reason !== undefined) say(outcome.reason)
      return outcome.code
    }
    if (Array.isArray(outcome)) {
      isReady(pool)
      for (const { app, url } of outcome) process.stdout.write(`${app.padEnd(12)} ${url}\n`)
      process.stdout.write(`${workers} workers\n`)
      await Promise.race([stopped, hungUp])
    }
    process.stdout.write('Draining: live clients are asked to reconnect, requests in flight are finished.\n')
    // A second Ctrl-C exits immediately, and the workers exit with this process.
    process.once('SIGINT', () => process.exit(130))
    await pool.stop()
    return 0
  }
}

/** Replaces all workers on SIGHUP. Resolves when the signal comes from a closed terminal, which a failing write reveals. */
function rollUntilHungUp(ready: Promise<WorkerPool>): Promise<void> {
  return new Promise((resolve) => {
    process.on('SIGHUP', () => {
      try {
        writeSync(1, 'Replacing the workers one by one.\n')
      } catch (error) {
        // Other errors, such as a closed pipe or a full disk, do not mean that the operator left.
        if ((error as NodeJS.ErrnoException).code === 'EIO') {
          resolve()
          return
        }
      }
      const rolled = ready.then((pool) => pool.roll())
      void rolled.then((done) => {
        process.stdout.write(
          done ? 'All workers were replaced.\n' : 'Stopped replacing workers, because a new one failed to start.\n',
        )
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
  // Close to the heap limit a process spends its time collecting garbage.
  return Math.min((MEMORY_SHARE * machine) / workers, getHeapStatistics().heap_size_limit)
}
