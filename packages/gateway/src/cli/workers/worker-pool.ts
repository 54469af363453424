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
  readonly memory: SharedMemory | undefined
  /** Bytes of resident memory beyond which a worker is replaced. */
  readonly mostMemory: number
  /** Milliseconds that a worker has for leaving. */
  readonly drain: number
  /** Told what an operator must know, in a sentence. */
  readonly say: (sentence: string) => void
}

/** A worker younger than so many milliseconds is not replaced for its memory: its successor would need no less. */
const YOUNG = 5000

/** All workers, and how they come and go. */
export class WorkerPool {
  readonly #parts: WorkerPoolParts
  readonly #slots: readonly WorkerSlot[]
  #level: Level
  #lastId = 0
  #departed: Snapshot = []
  #burial: Promise<unknown> = Promise.resolve()
  /** One after the other, so that all the others serve. */
  #replacing: Promise<unknown> = Promise.resolve()
  readonly #tired = new Set<WorkerProcess>()
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
          died: (member, pause) =>
            parts.say(`worker ${member.id} ended; another is started in ${Math.round(pause)} ms`),
        }),
    )
  }

  /** Starts one, and when it listens all others. What they serve, or why the first did not. */
  async start(): Promise<readonly Serving[] | Failure> {
    const [first, ...others] = this.#slots
    const came = (await first?.start().listening) ?? []
    if (!Array.isArray(came)) {
      await this.stop()
      return came
    }
    if (!this.#stopped) await Promise.all(others.map((slot) => slot.start().listening))
    return came
  }

  /** Replaces all, one after the other. */
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
    for (const member of this.#members) member.tell(level)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#slots.map((slot) => slot.stop()))
  }

  get #members(): readonly WorkerProcess[] {
    return this.#slots.flatMap(({ members }) => members)
  }

  #fork(): WorkerProcess {
    this.#lastId += 1
    const { port, memory } = this.#parts
    const member = new WorkerProcess({
      start: { id: this.#lastId, port, level: this.#level, shares: memory !== undefined },
      memory,
      fleet: () => this.#view(),
      onVitals: (member, vitals) => this.#weigh(member, vitals),
      mayClose: (member) => this.#members.some((other) => other !== member && other.accepts),
    })
    void member.ended.then(() => this.#bury(member))
    // Why the first did not listen its starter is told.
    if (this.#lastId > 1) {
      void member.listening.then((came) => {
        if ('why' in came && came.why !== undefined) this.#parts.say(`worker ${member.id}: ${came.why}`)
      })
    }
    return member
  }

  #view(): FleetView {
    return { workers: this.#members.map(({ health }) => health), departed: this.#departed }
  }

  /** What it counted goes on being counted: a sum that fell would look as if all had begun anew. */
  #bury({ vitals }: WorkerProcess): void {
    const left = this.#members
    if (!left.some(({ accepts }) => accepts)) for (const member of left) member.open()
    if (vitals === undefined) return
    this.#burial = this.#burial.then(async () => {
      this.#departed = await departed([this.#departed, vitals.metrics])
    })
  }

  #weigh(member: WorkerProcess, { rss }: Vitals): void {
    const slot = this.#slots.find((slot) => slot.has(member))
    if (slot === undefined || this.#tired.has(member) || rss <= this.#parts.mostMemory || member.lived < YOUNG) return
    this.#tired.add(member)
    void member.ended.then(() => this.#tired.delete(member))
    this.#parts.say(`worker ${member.id} uses ${Math.round(rss / 1024 ** 2)} MB and is replaced`)
    void this.#inTurn(async () => slot.has(member) && (await slot.replace()))
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#replacing.then(work)
    this.#replacing = done
    return done
  }
}
