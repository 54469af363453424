import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Contender } from './contenders.ts'

/** What subscribers counted, as the C program says it. */
export interface Counted {
  readonly received: number
  /** Messages that were new to the first who got them. */
  readonly distinct: number
  /** Messages no newer than what their subscriber had. */
  readonly backwards: number
  /** Subscribers whose connection ended. */
  readonly lost: number
  readonly bytes: number
  /** The longest delivery, in nanoseconds. */
  readonly largest: number
  /** When the newest message of all, and that of the subscriber who is furthest behind, was made. */
  readonly newest: string
  readonly oldest: string
  /** Deliveries by tenths of a millisecond. */
  readonly histogram: readonly (readonly [tenth: number, count: number])[]
}

/** Subscribers in a process of their own. `await using` ends it. */
export class Drain implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  /**
   * @param every milliseconds between two messages
   * @param receive bytes of their receive buffers, 0 for what the system gives
   */
  constructor(program: string, { port, request, hello }: Contender, count: number, every: number, receive = 0) {
    // All have got a message when nothing comes any more for a while that is shorter than the time to the next.
    const args = [`${port}`, `${count}`, request, hello, `${receive}`, `${Math.ceil(every * 0.4)}`]
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  }

  /** How many are subscribed, once all are. */
  async joined(): Promise<number> {
    return Number((await this.#line()).split(' ')[1])
  }

  /** Resolves when it is done: `clear` when nothing more was on its way. */
  async tell(order: 'clear' | 'sleep' | 'wake'): Promise<void> {
    this.#child.stdin?.write(`${order}\n`)
    await this.#line()
  }

  /** What was counted since it was cleared, once nothing more is on its way. */
  async report(): Promise<Counted> {
    this.#child.stdin?.write('report\n')
    return JSON.parse(await this.#line())
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the subscribers are gone')
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
  }
}
