import { Backoff } from './backoff.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface WorkerSlotParts {
  readonly fork: () => WorkerProcess
  /** Milliseconds that a worker has for leaving. */
  readonly drain: number
  /** One died by itself, and another is started in so many milliseconds. */
  readonly died: (member: WorkerProcess, pause: number) => void
}

/** The place of one worker: there is always one in it, but for the pause after a death. */
export class WorkerSlot {
  readonly #parts: WorkerSlotParts
  readonly #backoff = new Backoff()
  /** Those that live: the one that counts, and beside it one that begins or leaves. */
  readonly #living = new Set<WorkerProcess>()
  #member: WorkerProcess | undefined
  #restart: NodeJS.Timeout | undefined
  #stopped = false

  constructor(parts: WorkerSlotParts) {
    this.#parts = parts
  }

  get members(): readonly WorkerProcess[] {
    return [...this.#living]
  }

  /** Starts the first. */
  start(): WorkerProcess {
    const member = this.#fork()
    this.#take(member)
    return member
  }

  /** Has it this worker? */
  has(member: WorkerProcess): boolean {
    return this.#member === member
  }

  /** Another begins, and when it listens the one of now leaves. False, and that one stays, when the other did not get so far. */
  async replace(): Promise<boolean> {
    if (this.#stopped) return false
    const next = this.#fork()
    const came = await next.listening
    if (!Array.isArray(came) || this.#stopped) return false
    const before = this.#member
    this.#take(next)
    await before?.leave(this.#parts.drain, true)
    return true
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#restart)
    await Promise.all(this.members.map((member) => member.leave(this.#parts.drain, false)))
  }

  #fork(): WorkerProcess {
    const member = this.#parts.fork()
    this.#living.add(member)
    void member.ended.then(() => {
      this.#living.delete(member)
      if (this.#member === member && !this.#stopped) this.#lost(member)
    })
    return member
  }

  #take(member: WorkerProcess): void {
    clearTimeout(this.#restart)
    this.#member = member
    this.#restart = undefined
  }

  #lost(member: WorkerProcess): void {
    const pause = this.#backoff.pause(member.lived)
    this.#parts.died(member, pause)
    this.#restart = setTimeout(() => this.start(), pause)
  }
}
