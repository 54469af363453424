import { type Carrier, createFleet, createPipe, type OpenLink, type Pipe, topicQuery } from './link.ts'
import { type ProblemError, problemIn } from './problem-error.ts'

/** Server-sent events, read with `fetch`: that shows status codes, and Node has it. Other topics take another stream. */
export const openSse: OpenLink = (parts, ears) => {
  /** The stream before goes on until this one speaks: nothing is lost between, and what comes twice has its version. */
  function createStream(topics: readonly string[], before: Pipe | undefined): Pipe {
    const leaving = new AbortController()
    let pause: number | undefined
    const pipe = createPipe(parts, ears, () => {
      leaving.abort()
      before?.close()
    })

    function say(block: string): void {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
      const retry = field('retry')
      if (retry) pause = Number(retry)
      const data = field('data')
      if (!data) return
      const message = { ...JSON.parse(data), type: field('event') }
      if (message.type === 'hello') {
        before?.close()
        before = undefined
      }
      pipe.hear(message)
    }

    async function read(): Promise<void> {
      const answer = await parts.ports.fetch(`${parts.url}/weir/stream?${topicQuery(topics, ears.since)}`, {
        headers: { accept: 'text/event-stream' },
        cache: 'no-store',
        signal: leaving.signal,
      })
      if (!answer.ok || !answer.body) throw await problemIn(answer)
      const reader = answer.body.getReader()
      const decoder = new TextDecoder()
      let text = ''
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        const blocks = (text + decoder.decode(value, { stream: true })).split('\n\n')
        text = blocks.pop() ?? ''
        blocks.forEach(say)
      }
    }

    read()
      .catch((thrown: Partial<ProblemError>) => {
        pause = thrown.pause ?? pause
      })
      .then(() => pipe.fail(pause))
    return pipe
  }

  return createFleet(() => {
    let stream: Pipe | undefined
    let topics: readonly string[]
    const carrier: Carrier = {
      carry(wanted) {
        topics = wanted
        stream = createStream(topics, stream)
      },
      again: () => carrier.carry(topics),
      close: () => stream?.close(),
    }
    return carrier
  })
}
