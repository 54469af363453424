import type { LogPage } from '@weir/protocol'
import { createPipe, type OpenLink, partTopics, within } from './link.ts'
import { type ProblemError, problemIn } from './problem-error.ts'
import { askValues } from './values.ts'

/** How long a request is held, in seconds: whether a value is stale is only told after that. */
const HELD = 10
/** The least between two rounds, in milliseconds: an answer that comes at once each time must not become a hot loop. */
const BREATH = 100

/**
 * No stream at all: all values are asked for, and again after an interval. Of one topic alone a request is held until it moves; one for each of
 * many would take the six connections that browsers have for a host.
 */
export const openPoll: OpenLink = (parts, ears) => {
  const { ports, url, interval } = parts
  const leaving = new AbortController()
  let wanted: readonly string[] = []
  let wake = () => {}
  const pipe = createPipe(parts, ears, () => {
    leaving.abort()
    wake()
  })
  const sleep = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      wake = resolve
      ports.after(milliseconds, resolve)
    })
  const ask = async (address: string, signal: AbortSignal) => {
    const answer = await ports.fetch(`${url}${address}`, { cache: 'no-store', signal })
    if (answer.status >= 500) throw await problemIn(answer)
    return answer
  }

  /** What a log has after what is had. */
  async function follow(topic: string): Promise<void> {
    const since = ears.since(topic)
    const answer = await ask(within(topic, `as=json${since ? `&after=${since}` : ''}`), leaving.signal)
    const { events, gap }: LogPage = await answer.json()
    if (gap) pipe.hear({ type: 'gap', topic, ...gap })
    for (const event of events) pipe.hear({ type: 'event', topic, ...event })
  }

  async function round(): Promise<void> {
    for (const part of partTopics(wanted)) {
      const { now, level, messages } = await askValues(parts, part, leaving.signal)
      pipe.hear({ type: 'hello', now, level, heartbeat: HELD * 1000 + interval })
      for (const message of messages) {
        if (message.type === 'heartbeat' && message.version !== ears.since(message.topic)) await follow(message.topic)
        pipe.hear(message)
      }
    }
  }

  /** Waits for news of one topic as long as the server holds, of more for the interval. */
  async function wait(): Promise<void> {
    const [topic = '', ...rest] = wanted
    const since = ears.since(topic)
    if (rest.length > 0 || !since) return sleep(interval)
    const enough = new AbortController()
    wake = () => enough.abort()
    await ask(within(topic, `as=poll&wait=${HELD}s&after=${since}`), enough.signal).catch((thrown) => {
      if (!enough.signal.aborted) throw thrown
    })
    await sleep(BREATH)
  }

  async function run(): Promise<void> {
    while (!leaving.signal.aborted) {
      await round()
      await wait()
    }
  }

  return {
    want(topics) {
      const first = wanted.length === 0
      wanted = topics
      if (!first) return wake()
      run().catch((thrown: Partial<ProblemError>) => pipe.fail(thrown.pause))
    },
    again: () => wake(),
    close: pipe.close,
  }
}
