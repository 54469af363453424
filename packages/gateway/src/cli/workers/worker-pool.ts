import type { Level } from '@weir/protocol'
import type { Serving as SharedMemory } from '../../backend/cluster/primary.ts'
import { departed, type Snapshot } from '../../observe/metrics.ts'
import type { FleetView, Vitals } from '../../observe/workers.ts'
import type { Serving, WorkerStart } from './protocol.ts'
import { type Failure, WorkerProcess } from './worker-process.ts'
import { WorkerSlot } from './worker-slot.ts'

export interface WorkerPoolParts {
  readonly size: number
  readonly port: WorkerStart['port']
  readonly level: Level
  /** Memory that the workers share; undefined with Redis. */
  readonly memory: SharedMemory | undefined
  /** Resident memory above which a worker is replaced, in bytes. */
  readonly memoryLimit: number
  /** How long a worker may take to drain, in milliseconds. */
  readonly drain: number
  /** Prints a sentence for the operator. */
  readonly say: (sentence: string) => void
}

/** A younger worker is not replaced for its memory, since its successor would need as much. In milliseconds. */
const MIN_AGE = 5000

/** Starts, replaces and stops all workers. */
export class WorkerPool {
  readonly #parts: WorkerPoolParts
  readonly #slots: readonly WorkerSlot[]
  #level: Level
  #lastId = 0
  #departed: Snapshot = []
  #retirements: Promise<unknown> = Promise.resolve()
  /** Replacements run one by one, so that the other workers keep serving. */
  #replacements: Promise<unknown> = Promise.resolve()
  /** Workers above the memory limit that await their replacement. */
  readonly #oversized = new Set<WorkerProcess>()
  #stopped = false

  constructor(parts: WorkerPoolParts) {
    this.#parts = parts
    this.#level = parts.level
    this.#slots = Array.from(
      { length: parts.size },
      () =>
        new WorkerSlot({
          fork: () => this.#fork(),
          drain: parts.drain,
          died: (worker, pause) =>
            parts.say(`worker ${worker.id} exited; its replacement starts in ${Math.round(pause)} ms`),
        }),
    )
  }

  /** Starts the first worker, and the others once it listens. Returns the addresses, or why the first one failed. */
  async start(): Promise<readonly Serving[] | Failure> {
    const [first, ...others] = this.#slots
    const outcome = (await first?.start().listening) ?? []
    if (!Array.isArray(outcome)) {
      await this.stop()
      return outcome
    }
    if (!this.#stopped) await Promise.all(others.map((slot) => slot.start().listening))
    return outcome
  }

  /** Replaces all workers one by one. Returns false when one was not replaced. */
  roll(): Promise<boolean> {
    return this.#inTurn(async () => {
      for (const slot of this.#slots) {
        if (this.#stopped || !(await slot.replace())) return false
      }
      return true
    })
  }

  set level(level: Level) {
    this.#level = level
    for (const worker of this.#workers) worker.setLevel(level)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#slots.map((slot) => slot.stop()))
  }

  get #workers(): readonly WorkerProcess[] {
    return this.#slots.flatMap(({ workers }) => workers)
  }

  #fork(): WorkerProcess {
    this.#lastId += 1
    const { port, memory } = this.#parts
    const worker = new WorkerProcess({
      start: { id: this.#lastId, port, level: this.#level, shares: memory !== undefined },
      memory,
      fleet: () => this.#view(),
      onVitals: (worker, vitals) => this.#checkMemory(worker, vitals),
      mayStopAccepting: (worker) => this.#workers.some((other) => other !== worker && other.accepts),
    })
    void worker.ended.then(() => this.#retire(worker))
    // `start` returns the failure of the first worker.
    if (this.#lastId > 1) {
      void worker.listening.then((outcome) => {
        if ('reason' in outcome && outcome.reason !== undefined)
          this.#parts.say(`worker ${worker.id}: ${outcome.reason}`)
      })
    }
    return worker
  }

  #view(): FleetView {
    return { workers: this.#workers.map(({ health }) => health), departed: this.#departed }
  }

  /** Keeps the counts of an exited worker, because a sum that falls looks like a reset of the counter. */
  #retire({ vitals }: WorkerProcess): void {
    const left = this.#workers
    if (!left.some(({ accepts }) => accepts)) for (const worker of left) worker.open()
    if (vitals === undefined) return
    this.#retirements = this.#retirements.then(async () => {
      this.#departed = await departed([this.#departed, vitals.metrics])
    })
  }

  #checkMemory(worker: WorkerProcess, { rss }: Vitals): void {
    const slot = this.#slots.find((slot) => slot.has(worker))
    if (slot === undefined || this.#oversized.has(worker)) return
    if (rss <= this.#parts.memoryLimit || worker.age < MIN_AGE) return
    this.#oversized.add(worker)
    void worker.ended.then(() => this.#oversized.delete(worker))
    this.#parts.say(`worker ${worker.id} uses ${Math.round(rss / 1024 ** 2)} MB and is replaced`)
    void this.#inTurn(async () => slot.has(worker) && (await slot.replace()))
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#replacements.then(work)
    this.#replacements = done
    return done
  }
}
