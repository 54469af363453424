import { setTimeout as pause } from 'node:timers/promises'
import type { Nodes } from './nodes.ts'
import { MINTS } from './prices.ts'

export interface Read {
  readonly ok: boolean
  /** Seconds since what was answered was confirmed, as the answer says. */
  readonly age: number
  /** Milliseconds. */
  readonly took: number
}

/** Requests a second. */
const READS = 100

/** No answer within so many milliseconds counts as none. */
const PATIENCE = 1000

/** One client of all nodes, that asks the next when one refuses the connection, as a balancer does. */
export class Reader {
  readonly #nodes: Nodes
  #over = false
  readonly #reads: Promise<readonly Read[]>

  constructor(nodes: Nodes) {
    this.#nodes = nodes
    this.#reads = this.#run()
  }

  /** All that it asked. */
  stop(): Promise<readonly Read[]> {
    this.#over = true
    return this.#reads
  }

  async #run(): Promise<readonly Read[]> {
    const began = performance.now()
    const reads: Promise<Read>[] = []
    while (!this.#over) {
      const due = ((performance.now() - began) / 1000) * READS
      while (reads.length < due) reads.push(this.#one(reads.length))
      await pause(5)
    }
    return Promise.all(reads)
  }

  async #one(count: number): Promise<Read> {
    const { sites } = this.#nodes
    const began = performance.now()
    const signal = AbortSignal.timeout(PATIENCE)
    for (let turn = 0; turn < sites.length; turn++) {
      const site = sites[(count + turn) % sites.length]
      try {
        const answer = await fetch(`${site?.url}/prices/${MINTS[count % MINTS.length]}`, { signal })
        await answer.arrayBuffer()
        // In whole seconds (RFC 9111, 5.1).
        const age = Number(answer.headers.get('age') ?? 0)
        if (answer.status === 200) return { ok: true, age, took: performance.now() - began }
      } catch (error) {
        if (signal.aborted) break
        if (!(error instanceof TypeError)) throw error
      }
    }
    return { ok: false, age: Number.NaN, took: performance.now() - began }
  }
}
