import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { leashed } from '../../../scripts/leash.ts'

/** What a crowd can be told to do. */
export type CrowdOrder = { readonly id: number } & Doing

type Doing =
  | {
      readonly kind: 'join'
      readonly port: number
      /** A stream of events, or `/weir/ws`. */
      readonly path: string
      /** What is subscribed to on a WebSocket. */
      readonly topic?: string
      readonly count: number
      /** All at once when it is not said. */
      readonly perSecond?: number
      /** Whoever loses the connection comes back as the protocol says: after a random pause, with the version it has. */
      readonly returning?: true
      /** Ports of other servers of the same: whoever comes back goes to any of them, or to the one it knows. */
      readonly others?: readonly number[]
    }
  | { readonly kind: 'pause'; readonly count: number }
  | { readonly kind: 'resume' | 'leave' | 'report' }

/** How it stands with a crowd. */
export interface CrowdReport {
  /** Clients that have been greeted on the connection they have now. */
  readonly connected: number
  /** Connections that were ever greeted. */
  readonly greeted: number
  /** By topic: how many clients have which version of it. */
  readonly heard: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** How often a client was told an older version of a topic than it had. */
  readonly backwards: number
  /** Clients that have been told of a topic that it is stale, and not yet that it is fresh again. */
  readonly stale: number
  /** The greatest age of a stale value that a client was told, in milliseconds. */
  readonly oldest: number
  readonly events: number
}

interface Answer {
  readonly id: number
  readonly report?: CrowdReport
  readonly error?: string
}

/** Clients in a process of their own. `await using` kills them. */
export class Crowd implements AsyncDisposable {
  readonly #child: ChildProcess
  #last = 0

  /** @param through a command that runs another, such as `ip netns exec NAME`: the crowd is run by it */
  constructor(through: readonly string[] = []) {
    const [program = '', ...args] = [...through, process.execPath, join(import.meta.dirname, 'fixtures/crowd.ts')]
    this.#child = spawn(...leashed(program, args), { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
    // A channel to many listeners: every order listens for its own answer.
    this.#child.setMaxListeners(50)
  }

  /** Resolves when it is done, with how it then stands. */
  tell(doing: Doing): Promise<CrowdReport> {
    this.#last += 1
    const id = this.#last
    return new Promise((resolve, reject) => {
      const gone = () => settle(() => reject(new Error('the crowd is gone')))
      const hear = (answer: Answer) => {
        if (answer.id !== id) return
        settle(() =>
          answer.report === undefined ? reject(new Error(`the crowd: ${answer.error}`)) : resolve(answer.report),
        )
      }
      const settle = (act: () => void) => {
        this.#child.off('message', hear)
        this.#child.off('exit', gone)
        act()
      }
      this.#child.on('message', hear)
      this.#child.once('exit', gone)
      this.#child.send({ id, ...doing })
    })
  }

  /** All of them vanish at once, without a word. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}
