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
  /** Memory that the workers share; undefined with Redis. */
  readonly memory: SharedMemory | undefined
  readonly fleet: () => FleetView
  readonly onVitals: (worker: WorkerProcess, vitals: Vitals) => void
  /** Whether the worker may stop accepting connections. */
  readonly mayStopAccepting: (worker: WorkerProcess) => boolean
}

/** Why a worker never listened. */
export interface Failure {
  /** The exit code of the worker. */
  readonly code: number
  /** A sentence; undefined when the worker has printed the reason itself. */
  readonly reason: string | undefined
  /** Whether another program uses the port. */
  readonly portTaken: boolean
}

/** How long to wait beyond a deadline before the worker is killed, in milliseconds. */
const GRACE = 1000

/** Silence after which a worker counts as hung, in milliseconds. Workers report their vitals every second. */
const SILENCE_LIMIT = 10_000

/** One worker process, from start to exit. */
export class WorkerProcess {
  readonly id: number
  readonly startedAt = performance.now()
  /** The addresses that it serves, or why it failed to listen. */
  readonly listening: Promise<readonly Serving[] | Failure>
  readonly ended: Promise<void>
  /** Whether it accepts connections. */
  accepts = false
  #state: WorkerHealth['state'] = 'starting'
  #vitals: Vitals | undefined
  #silence: NodeJS.Timeout | undefined
  readonly #process: Worker['process']
  readonly #rpc: IpcRpc<WorkerOrders>

  constructor(parts: WorkerProcessParts) {
    const { start, memory, fleet, onVitals, mayStopAccepting } = parts
    this.id = start.id
    const { process: child } = cluster.fork({ WEIR_WORKER: JSON.stringify(start) })
    this.#process = child
    const { promise, resolve } = Promise.withResolvers<readonly Serving[] | Failure>()
    this.listening = promise
    this.ended = once(child, 'exit').then(([code, signal]) => {
      this.#state = 'leaving'
      this.accepts = false
      clearTimeout(this.#silence)
      const reason = signal === null ? undefined : `a worker was killed by ${signal} before it listened`
      resolve({ code: typeof code === 'number' ? code : 1, reason, portTaken: false })
    })
    const answers: SupervisorSide = {
      listening: (sites) => {
        this.#state = 'serving'
        this.accepts = true
        this.#watchSilence()
        resolve(sites)
      },
      failed: (reason, portTaken) => {
        resolve({ code: 1, reason, portTaken })
        return true
      },
      vitals: (vitals) => {
        this.#vitals = vitals
        this.#watchSilence()
        onVitals(this, vitals)
      },
      fleet,
      full: () => {
        this.accepts = !mayStopAccepting(this)
        return !this.accepts
      },
      room: () => {
        this.accepts = this.#state === 'serving'
      },
    }
    const report = (error: unknown) => void process.stderr.write(`weir: worker ${start.id}: ${error}\n`)
    const carrier = processPort(child, ORDERS)
    this.#rpc = openIpcRpc({
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
    const uptime = Math.round(this.age / 1000)
    return { id: this.id, pid: this.#process.pid ?? 0, state: this.#state, uptime, vitals: this.#vitals }
  }

  /** Time since the start, in milliseconds. */
  get age(): number {
    return performance.now() - this.startedAt
  }

  setLevel(level: WorkerStart['level']): void {
    this.#rpc.notify('level', [level])
  }

  open(): void {
    this.accepts = this.#state === 'serving'
    this.#rpc.notify('open', [])
  }

  #watchSilence(): void {
    clearTimeout(this.#silence)
    if (this.#state === 'serving') this.#silence = setTimeout(() => this.#onSilence(), SILENCE_LIMIT)
  }

  /** Waits a little longer: if this process itself was blocked, messages of the worker are still in its queue. */
  #onSilence(): void {
    this.#silence = setTimeout(() => {
      process.stderr.write(`weir: worker ${this.id} has not responded for ${SILENCE_LIMIT / 1000} s and is killed\n`)
      this.#process.kill('SIGKILL')
    }, GRACE)
  }

  /** Resolves when the process has exited; it is killed shortly after `within` milliseconds. */
  async leave(within: number, handover: boolean): Promise<void> {
    this.#state = 'leaving'
    this.accepts = false
    clearTimeout(this.#silence)
    this.#rpc.notify('leave', [within, handover])
    const late = systemClock.after(within + GRACE, () => this.#process.kill('SIGKILL'))
    await this.ended
    late.stop()
  }
}
