import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { processPort } from '../../backend/cluster/ipc-port.ts'
import { type IpcRpc, openIpcRpc } from '../../backend/cluster/ipc-rpc.ts'
import type { Serving as SharedMemory } from '../../backend/cluster/primary.ts'
import { systemClock } from '../../clock.ts'
import type { FleetView, Vitals, WorkerHealth } from '../../observe/workers.ts'
import { MEMORY, ORDERS, type Serving, type SupervisorSide, type WorkerOrders, type WorkerStart } from './protocol.ts'

export interface WorkerProcessParts {
  readonly start: WorkerStart
  /** What it shares with the others; undefined where that is a Redis. */
  readonly memory: SharedMemory | undefined
  readonly fleet: () => FleetView
  readonly onVitals: (member: WorkerProcess, vitals: Vitals) => void
  /** Whether it may stop to take connections. */
  readonly mayClose: (member: WorkerProcess) => boolean
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
export class WorkerProcess {
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
  readonly #line: IpcRpc<WorkerOrders>

  constructor(parts: WorkerProcessParts) {
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
    const carrier = processPort(child, ORDERS)
    this.#line = openIpcRpc({
      carrier,
      answers,
      clock: systemClock,
      deadline: 1000,
      peer: `worker ${start.id}`,
      report,
    })
    memory?.serve(processPort(child, MEMORY))
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
    this.#line.notify('level', [level])
  }

  open(): void {
    this.accepts = this.#state === 'serving'
    this.#line.notify('open', [])
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
    this.#line.notify('leave', [within, handover])
    const late = systemClock.after(within + PATIENCE, () => this.#process.kill('SIGKILL'))
    await this.ended
    late.stop()
  }
}
