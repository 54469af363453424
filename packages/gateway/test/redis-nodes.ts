import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { NodeCounts, NodeSettings } from './redis-node.ts'

/** Node processes that share one budget, all with more to send than may go. */
export class RedisNodes implements AsyncDisposable {
  readonly #settings: Omit<NodeSettings, 'name'>
  readonly #nodes = new Map<number, ChildProcess>()
  /** By process, also those that are gone: what they did counts. */
  readonly #counts = new Map<ChildProcess, NodeCounts>()
  #started = 0

  constructor(settings: Omit<NodeSettings, 'name'>) {
    this.#settings = settings
  }

  /** `given`: what is other than of the others, as of another version. */
  start(index: number, given: Partial<NodeSettings> = {}): void {
    this.#started += 1
    const settings: NodeSettings = { ...this.#settings, ...given, name: `node-${this.#started}-${process.pid}` }
    const node = fork(fileURLToPath(new URL('redis-node.ts', import.meta.url)), [JSON.stringify(settings)])
    node.on('message', (counts: NodeCounts) => this.#counts.set(node, counts))
    this.#nodes.set(index, node)
  }

  signal(index: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void {
    this.#nodes.get(index)?.kill(signal)
  }

  /** Calls of one that were answered so far. */
  answered(index: number): number {
    const node = this.#nodes.get(index)
    return (node && this.#counts.get(node)?.answered) ?? 0
  }

  total(): NodeCounts {
    const total = { started: 0, answered: 0, refused: 0, failed: 0, took: 0 }
    for (const counts of this.#counts.values()) {
      for (const field of Object.keys(total) as (keyof NodeCounts)[]) total[field] += counts[field]
    }
    return total
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes.values()) {
      if (node.exitCode !== null || node.signalCode !== null) continue
      node.kill('SIGKILL')
      await once(node, 'exit')
    }
  }
}
