import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type IpcPort, processPort } from '../src/backend/cluster/ipc-port.ts'

/** A process that serves its memory, as the primary of workers does. `await using` kills it. */
export class Primary implements AsyncDisposable {
  readonly #child: ChildProcess
  #last = 0

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'fixtures/primary.ts'), { execArgv: [], serialization: 'advanced' })
    // Every carrier over the one channel listens for itself.
    this.#child.setMaxListeners(0)
  }

  /** To a memory of its own, fresh and empty. */
  open(): IpcPort {
    this.#last += 1
    const part = `memory ${this.#last}`
    this.#child.send({ open: part })
    return processPort(this.#child, part)
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name)
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}
