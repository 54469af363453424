import { Agent, get, type IncomingMessage } from 'node:http'

/** What became of the requests of some readers. */
export interface Reading {
  /** Milliseconds that each took, sorted. */
  readonly times: readonly number[]
  /** How many had which status; `error` where there was no answer. */
  readonly statuses: Readonly<Record<string, number>>
}

/** Clients of plain requests, each with a connection that it keeps, in this process. */
export class Readers implements Disposable {
  readonly #agent: Agent
  readonly #site: string
  #times: number[] = []
  #statuses: Record<string, number> = {}

  constructor(site: string, connections: number) {
    this.#site = site
    // The connection that has rested longest is next: all of them are used.
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections, scheduling: 'fifo' })
  }

  /** Resolves with the whole answer's text; an empty one where there was none. */
  async get(path: string): Promise<string> {
    const began = performance.now()
    let text = ''
    let status = 'error'
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        get(`${this.#site}${path}`, { agent: this.#agent }, resolve).once('error', reject)
      })
      for await (const chunk of answer.setEncoding('utf8')) text += chunk
      status = String(answer.statusCode)
    } catch {
      // Counted as such.
    }
    this.#times.push(performance.now() - began)
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
    return text
  }

  /** What became of the requests since it was last asked. */
  take(): Reading {
    const reading = { times: this.#times.sort((a, b) => a - b), statuses: this.#statuses }
    this.#times = []
    this.#statuses = {}
    return reading
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
