/** A server-sent event. */
export interface StreamEvent {
  readonly event: string
  readonly id: string | undefined
  // Not validated, since each test checks the data it reads.
  readonly data: Record<string, unknown>
}

/** Reads server-sent events from a response. */
export class EventStream implements AsyncDisposable {
  readonly response: Response
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''
  retry: number | undefined

  constructor(response: Response) {
    if (response.body === null) throw new Error(`expected a stream, got ${response.status} without a body`)
    this.response = response
    this.#reader = response.body.getReader()
  }

  /** Returns the next event; undefined at the end of the stream. */
  async next(): Promise<StreamEvent | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end === -1) {
        const { done, value } = await this.#reader.read()
        if (done) return undefined
        this.#text += this.#decoder.decode(value, { stream: true })
        continue
      }
      const lines = this.#text.slice(0, end).split('\n')
      this.#text = this.#text.slice(end + 2)
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const retry = field('retry')
      if (retry !== undefined) this.retry = Number(retry)
      const data = field('data')
      if (data !== undefined) return { event: field('event') ?? 'message', id: field('id'), data: JSON.parse(data) }
    }
  }

  /** Returns the next event with this name, and skips others. */
  async until(name: string, accept: (event: StreamEvent) => boolean = () => true): Promise<StreamEvent> {
    for (;;) {
      const event = await this.next()
      if (event === undefined) throw new Error(`expected the event ${name}, got the end of the stream`)
      if (event.event === name && accept(event)) return event
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel()
  }
}
