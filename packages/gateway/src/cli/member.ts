import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { processCarrier } from '../backend/cluster/carrier.ts'
import { type Line, openLine } from '../backend/cluster/line.ts'
import type { Serving as SharedMemory } from '../backend/cluster/serve.ts'
import { systemClock } from '../clock.ts'
import type { FleetView, Vitals, WorkerHealth } from '../observe/fleet.ts'
import { MEMORY, ORDERS, type Serving, type SupervisorSide, type WorkerOrders, type WorkerStart } from './orders.ts'

export interface MemberParts {
  readonly start: WorkerStart
  /** What it shares with the others; undefined where that is a Redis. */
  readonly memory: SharedMemory | undefined
  readonly fleet: () => FleetView
  readonly onVitals: (member: Member, vitals: Vitals) => void
  /** Whether it may stop to take connections. */
  readonly mayClose: (member: Member) => boolean
}

/** How it ended before it listened. */
export interface Failure {
  /** The exit code it had, or would have. */
  readonly code: number
  /** In a sentence; undefined when it has said so itself. */
  readonly why: string | undefined
  /** Its port is taken. */
  readonly taken: boolean
}

/** How much longer than it was told a worker may take to leave, in milliseconds. */
const PATIENCE = 1000

/** A worker says every second how it is. One that has not for so many milliseconds hangs, with all connections that it has. */
const HANGS = 10_000

/** One worker process, from its start to its end. */
export class Member {
  readonly id: number
  readonly began = performance.now()
  /** What it serves, or why it does not. */
  readonly listening: Promise<readonly Serving[] | Failure>
  readonly ended: Promise<void>
  /** Whether it takes new connections. */
  accepts = false
  #state: WorkerHealth['state'] = 'starting'
  #vitals: Vitals | undefined
  #silence: NodeJS.Timeout | undefined
  readonly #process: Worker['process']
  readonly #line: Line<WorkerOrders>

  constructor(parts: MemberParts) {
    const { start, memory, fleet, onVitals, mayClose } = parts
    this.id = start.id
    const { process: child } = cluster.fork({ WEIR_WORKER: JSON.stringify(start) })
    this.#process = child
    const { promise, resolve } = Promise.withResolvers<readonly Serving[] | Failure>()
    this.listening = promise
    this.ended = once(child, 'exit').then(([code, signal]) => {
      this.#state = 'leaving'
      this.accepts = false
      clearTimeout(this.#silence)
      const why = signal === null ? undefined : `a worker was ended by ${signal} before it listened`
      resolve({ code: typeof code === 'number' ? code : 1, why, taken: false })
    })
    const answers: SupervisorSide = {
      listening: (sites) => {
        this.#state = 'serving'
        this.accepts = true
        this.#heard()
        resolve(sites)
      },
      failed: (why, taken) => {
        resolve({ code: 1, why, taken })
        return true
      },
      vitals: (vitals) => {
        this.#vitals = vitals
        this.#heard()
        onVitals(this, vitals)
      },
      fleet,
      full: () => {
        this.accepts = !mayClose(this)
        return !this.accepts
      },
      room: () => {
        this.accepts = this.#state === 'serving'
      },
    }
    const report = (error: unknown) => void process.stderr.write(`weir: worker ${start.id}: ${error}\n`)
    const carrier = processCarrier(child, ORDERS)
    this.#line = openLine({ carrier, answers, clock: systemClock, deadline: 1000, peer: `worker ${start.id}`, report })
    memory?.serve(processCarrier(child, MEMORY))
  }

  get vitals(): Vitals | undefined {
    return this.#vitals
  }

  get health(): WorkerHealth {
    const uptime = Math.round(this.lived / 1000)
    return { id: this.id, pid: this.#process.pid ?? 0, state: this.#state, uptime, vitals: this.#vitals }
  }

  /** Milliseconds since it was started. */
  get lived(): number {
    return performance.now() - this.began
  }

  tell(level: WorkerStart['level']): void {
    this.#line.tell('level', [level])
  }

  open(): void {
    this.accepts = this.#state === 'serving'
    this.#line.tell('open', [])
  }

  #heard(): void {
    clearTimeout(this.#silence)
    if (this.#state === 'serving') this.#silence = setTimeout(() => this.#hangs(), HANGS)
  }

  /** Where it was this process that stood still, what the worker said meanwhile is heard first. */
  #hangs(): void {
    this.#silence = setTimeout(() => {
      process.stderr.write(`weir: worker ${this.id} has said nothing for ${HANGS / 1000} s and is killed\n`)
      this.#process.kill('SIGKILL')
    }, PATIENCE)
  }

  /** Resolves when it is gone, which is a little later than `within` milliseconds at the latest. */
  async leave(within: number, handover: boolean): Promise<void> {
    this.#state = 'leaving'
    this.accepts = false
    clearTimeout(this.#silence)
    this.#line.tell('leave', [within, handover])
    const late = systemClock.after(within + PATIENCE, () => this.#process.kill('SIGKILL'))
    await this.ended
    late.stop()
  }
}
