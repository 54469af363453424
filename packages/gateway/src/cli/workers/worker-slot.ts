import { Backoff } from './backoff.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface WorkerSlotParts {
  readonly fork: () => WorkerProcess
  /** How long a worker may take to drain, in milliseconds. */
  readonly drain: number
  /** A worker exited unexpectedly. Its replacement starts in `pause` milliseconds. */
  readonly died: (worker: WorkerProcess, pause: number) => void
}

/** Keeps one worker running. The slot is empty only during the pause after an unexpected exit. */
export class WorkerSlot {
  readonly #parts: WorkerSlotParts
  readonly #backoff = new Backoff()
  /** All running processes of the slot: the current one, and those that start or drain. */
  readonly #running = new Set<WorkerProcess>()
  #current: WorkerProcess | undefined
  #restart: NodeJS.Timeout | undefined
  #stopped = false

  constructor(parts: WorkerSlotParts) {
    this.#parts = parts
  }

  get workers(): readonly WorkerProcess[] {
    return [...this.#running]
  }

  /** Starts a worker and makes it the current one. */
  start(): WorkerProcess {
    const worker = this.#fork()
    this.#promote(worker)
    return worker
  }

  /** Whether this worker is the current one. */
  has(worker: WorkerProcess): boolean {
    return this.#current === worker
  }

  /** Starts a replacement, and drains the current worker once it listens. Returns false, and keeps the worker, if it never does. */
  async replace(): Promise<boolean> {
    if (this.#stopped) return false
    const next = this.#fork()
    const outcome = await next.listening
    if (!Array.isArray(outcome) || this.#stopped) return false
    const before = this.#current
    this.#promote(next)
    await before?.leave(this.#parts.drain, true)
    return true
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#restart)
    await Promise.all(this.workers.map((worker) => worker.leave(this.#parts.drain, false)))
  }

  #fork(): WorkerProcess {
    const worker = this.#parts.fork()
    this.#running.add(worker)
    void worker.ended.then(() => {
      this.#running.delete(worker)
      if (this.#current === worker && !this.#stopped) this.#restartLater(worker)
    })
    return worker
  }

  #promote(worker: WorkerProcess): void {
    clearTimeout(this.#restart)
    this.#current = worker
    this.#restart = undefined
  }

  #restartLater(worker: WorkerProcess): void {
    const pause = this.#backoff.pause(worker.age)
    this.#parts.died(worker, pause)
    this.#restart = setTimeout(() => this.start(), pause)
  }
}
