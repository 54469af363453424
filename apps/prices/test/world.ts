import type { FeedPorts, StreamEars } from '../page/src/feed-connection.ts'

/** Time that moves when told to, and streams that say what they are told: Node has no EventSource of its own. */
export class World implements FeedPorts {
  time = 0
  readonly opened: (StreamEars & { readonly url: string; closed: boolean })[] = []
  #tasks: { readonly at: number; readonly task: () => void }[] = []

  open(url: string, hear: StreamEars): { close(): void } {
    const stream = { ...hear, url, closed: false }
    this.opened.push(stream)
    return {
      close: () => {
        stream.closed = true
      },
    }
  }

  now = () => this.time
  random = () => 0.5

  after(milliseconds: number, task: () => void): () => void {
    const entry = { at: this.time + milliseconds, task }
    this.#tasks.push(entry)
    return () => {
      this.#tasks = this.#tasks.filter((each) => each !== entry)
    }
  }

  pass(milliseconds: number): void {
    const end = this.time + milliseconds
    for (;;) {
      const next = this.#tasks.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#tasks = this.#tasks.filter((each) => each !== next)
      this.time = next.at
      next.task()
    }
    this.time = end
  }

  get last(): StreamEars & { readonly url: string; closed: boolean } {
    const stream = this.opened.at(-1)
    if (stream === undefined) throw new Error('no stream was opened')
    return stream
  }
}
