import type { Problem } from '@weir/protocol'
import { type Carrier, createCarriers, createPipe, type OpenLink, type Pipe, topicQuery } from './link.ts'
import { type ProblemError, readProblem } from './problem-error.ts'
import { createSseParser } from './sse-parser.ts'

/**
 * Server-sent events, read with `fetch`, which exposes status codes and exists in Node. A change of topics opens
 * another stream.
 */
export const openSse: OpenLink = (parts, events) => {
  /**
   * The previous stream continues until this one delivers: nothing is lost in between, and versions reveal duplicates.
   */
  function createStream(topics: readonly string[], before: Pipe | undefined): Pipe {
    const leaving = new AbortController()
    let pause: number | undefined
    let problem: Problem | undefined
    const pipe = createPipe(parts, events, () => {
      leaving.abort()
      before?.close()
    })

    const parser = createSseParser({
      event(type, data) {
        const message = { ...JSON.parse(data), type }
        if (type === 'hello') {
          before?.close()
          before = undefined
        }
        pipe.onMessage(message)
      },
      retry(milliseconds) {
        pause = milliseconds
      },
    })

    async function read(): Promise<void> {
      const answer = await parts.ports.fetch(`${parts.url}/weir/stream?${topicQuery(topics, events.since)}`, {
        headers: { accept: 'text/event-stream' },
        cache: 'no-store',
        signal: leaving.signal,
      })
      const stream = answer.headers.get('content-type')?.startsWith('text/event-stream')
      if (!answer.ok || !stream || !answer.body) throw await readProblem(answer)
      const reader = answer.body.getReader()
      const decoder = new TextDecoder()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        parser.read(decoder.decode(value, { stream: true }))
      }
    }

    read()
      .catch((thrown: Partial<ProblemError>) => {
        pause = thrown.pause ?? pause
        problem = thrown.problem
      })
      .then(() => pipe.fail(pause, undefined, problem))
    return pipe
  }

  return createCarriers(() => {
    let stream: Pipe | undefined
    let topics: readonly string[]
    const carrier: Carrier = {
      carry(wanted) {
        topics = wanted
        stream = createStream(topics, stream)
      },
      resync: () => carrier.carry(topics),
      close: () => stream?.close(),
    }
    return carrier
  })
}
