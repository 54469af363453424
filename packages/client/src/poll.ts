import type { LogPage, Problem } from '@weir/protocol'
import { createPipe, type OpenLink, partTopics, within } from './link.ts'
import { jsonIn, type ProblemError, problemIn } from './problem-error.ts'
import { askValues } from './values.ts'

/** How long a request is held, in seconds: whether a value is stale is only told after that. */
const HELD = 10
/** The least between two rounds, in milliseconds. */
const BREATH = 100
/** The longest between two rounds in which everything is refused or nothing is held, in milliseconds, unless the server asks for more. */
const SLOWEST = 30_000

/**
 * No stream at all: all values are asked for, and again after an interval. Of one topic alone a request is held until it moves; one for each of
 * many would take the six connections that browsers have for a host.
 */
export const openPoll: OpenLink = (parts, ears) => {
  const { ports, url, interval } = parts
  const leaving = new AbortController()
  let wanted: readonly string[] = []
  let wake = () => {}
  /** Rounds in a row in which nothing was to be had, and held requests in a row that were refused or brought nothing. */
  let refusals = 0
  let vain = 0
  /** A held request ended at once: the version that was had, and what it may be that is wrong. */
  let hasty: { readonly since: string; readonly problem: Problem } | undefined
  /** What the server wants to be waited for, in milliseconds. */
  let pause = 0
  const pipe = createPipe(parts, ears, () => {
    leaving.abort()
    wake()
  })
  const sleep = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      wake = resolve
      pipe.rest(milliseconds)
      ports.after(milliseconds, resolve)
    })
  const ask = (address: string, signal: AbortSignal) => ports.fetch(`${url}${address}`, { cache: 'no-store', signal })

  /** What a log has after what is had. */
  async function follow(topic: string, caller: string | undefined): Promise<void> {
    const since = ears.since(topic)
    const answer = await ask(within(topic, `as=json${since ? `&after=${since}` : ''}`), leaving.signal)
    const { events, gap, lineage, private: hidden, caller: served } = await jsonIn<LogPage>(answer)
    // The credentials changed since the values were asked for.
    if (hidden && served !== caller) return pipe.fail(0, true)
    const whose = lineage && { lineage }
    const mark = hidden && { private: hidden }
    if (gap) pipe.onMessage({ type: 'gap', topic, ...whose, ...gap })
    for (const event of events) pipe.onMessage({ type: 'event', topic, ...whose, ...mark, ...event })
  }

  /** How long to wait after so many refusals in a row: longer each time, and as long as the server wants. */
  function slower(count: number): number {
    const wish = pause
    pause = 0
    return Math.max(wish, Math.min(Math.max(SLOWEST, interval), interval * 2 ** count))
  }

  async function round(): Promise<void> {
    let refused = 0
    for (const part of partTopics(wanted)) {
      const { messages, ...head } = await askValues(parts, part, leaving.signal)
      pipe.onMessage({ type: 'hello', heartbeat: HELD * 1000 + interval, ...head })
      for (const message of messages) {
        if (message.type === 'heartbeat' && message.version !== ears.since(message.topic))
          await follow(message.topic, head.caller)
        if (message.type === 'error') {
          refused += 1
          pause = Math.max(pause, (message.problem.retryAfter ?? 0) * 1000)
        }
        pipe.onMessage(message)
      }
    }
    refusals = refused === wanted.length ? refusals + 1 : 0
  }

  /** Waits for news of one topic as long as the server holds, of more for the interval. */
  async function wait(): Promise<void> {
    const [topic = '', ...rest] = wanted
    const since = ears.since(topic)
    const ended = hasty
    hasty = undefined
    if (refusals > 0 || rest.length > 0 || !since) return sleep(slower(refusals))
    if (ended?.since === since) return slow(topic, ended.problem)
    if (ended) vain = 0
    const began = ports.now()
    const enough = new AbortController()
    wake = () => enough.abort()
    const answer = await ask(within(topic, `as=poll&wait=${HELD}s&after=${since}`), enough.signal).catch((thrown) => {
      if (!enough.signal.aborted) throw thrown
    })
    if (answer && answer.status >= 500) throw await problemIn(answer)
    // An absent value is a 404 that says which version it is; any other is a refusal, whatever the values say.
    const refused = answer && answer.status >= 400 && !answer.headers.has('weir-version')
    if (!answer || (!refused && ports.now() - began >= interval)) vain = 0
    else {
      const { problem, pause: wish = 0 } = await problemIn(answer)
      pause = wish
      if (refused) return slow(topic, problem)
      hasty = { since, problem }
    }
    await sleep(BREATH)
  }

  /** Holding is of no use now: the values are asked for instead, less often each time, and the page can say why. */
  function slow(topic: string, problem: Problem): Promise<void> {
    vain += 1
    pipe.onMessage({ type: 'error', topic, problem })
    return sleep(slower(vain))
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
      run().catch((thrown: Partial<ProblemError>) => pipe.fail(thrown.pause, undefined, thrown.problem))
    },
    resync: () => wake(),
    close: pipe.close,
  }
}
