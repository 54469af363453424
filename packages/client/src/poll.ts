import type { LogPage, Problem } from '@weir/protocol'
import { createPipe, type OpenLink, splitTopics, withQuery } from './link.ts'
import { type ProblemError, readJson, readProblem } from './problem-error.ts'
import { fetchValues } from './values.ts'

/** How long the server holds a request, in seconds. Staleness is reported only afterwards. */
const HOLD_SECONDS = 10
/** Minimum pause between two rounds, in milliseconds. */
const MIN_PAUSE = 100
/**
 * Maximum pause between two rounds if everything is refused or nothing is held, in milliseconds, unless the server asks
 * for more.
 */
const MAX_PAUSE = 30_000

/**
 * Polling: fetches all values again after an interval. For a single topic, a request is held until its value changes.
 * One held request per topic would use up the six connections that browsers allow per host.
 */
export const openPoll: OpenLink = (parts, events) => {
  const { ports, url, interval } = parts
  const leaving = new AbortController()
  let wanted: readonly string[] = []
  let wake = () => {}
  /** Consecutive rounds without a value, and consecutive held requests that were refused or brought nothing. */
  let refusals = 0
  let fruitless = 0
  /** A held request that ended at once: the version at that time, and the possible cause. */
  let endedEarly: { readonly since: string; readonly problem: Problem } | undefined
  /** How long the server asks to wait, in milliseconds. */
  let pause = 0
  const pipe = createPipe(parts, events, () => {
    leaving.abort()
    wake()
  })
  const sleep = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      wake = resolve
      pipe.extendSilence(milliseconds)
      ports.after(milliseconds, resolve)
    })
  const ask = (address: string, signal: AbortSignal) => ports.fetch(`${url}${address}`, { cache: 'no-store', signal })

  /** Reads the newer events of a log. */
  async function readLog(topic: string, caller: string | undefined): Promise<void> {
    const since = events.since(topic)
    const answer = await ask(withQuery(topic, `as=json${since ? `&after=${since}` : ''}`), leaving.signal)
    const { events: logEvents, gap, lineage, private: hidden, caller: served } = await readJson<LogPage>(answer)
    // The caller changed since the values were fetched.
    if (hidden && served !== caller) return pipe.fail(0, true)
    const whose = lineage && { lineage }
    const mark = hidden && { private: hidden }
    if (gap) pipe.onMessage({ type: 'gap', topic, ...whose, ...gap })
    for (const event of logEvents) pipe.onMessage({ type: 'event', topic, ...whose, ...mark, ...event })
  }

  /** The pause after consecutive refusals: longer each time, and at least as long as the server asks. */
  function pauseAfter(count: number): number {
    const wish = pause
    pause = 0
    return Math.max(wish, Math.min(Math.max(MAX_PAUSE, interval), interval * 2 ** count))
  }

  async function round(): Promise<void> {
    let refused = 0
    for (const part of splitTopics(wanted)) {
      const { messages, ...head } = await fetchValues(parts, part, leaving.signal)
      pipe.onMessage({ type: 'hello', heartbeat: HOLD_SECONDS * 1000 + interval, ...head })
      for (const message of messages) {
        if (message.type === 'heartbeat' && message.version !== events.since(message.topic))
          await readLog(message.topic, head.caller)
        if (message.type === 'error') {
          refused += 1
          pause = Math.max(pause, (message.problem.retryAfter ?? 0) * 1000)
        }
        pipe.onMessage(message)
      }
    }
    refusals = refused === wanted.length ? refusals + 1 : 0
  }

  /** Waits for the next round: for one topic until its value changes, for several for the interval. */
  async function wait(): Promise<void> {
    const [topic = '', ...rest] = wanted
    const since = events.since(topic)
    const ended = endedEarly
    endedEarly = undefined
    if (refusals > 0 || rest.length > 0 || !since) return sleep(pauseAfter(refusals))
    if (ended?.since === since) return backOff(topic, ended.problem)
    if (ended) fruitless = 0
    const began = ports.now()
    const enough = new AbortController()
    wake = () => enough.abort()
    const answer = await ask(withQuery(topic, `as=poll&wait=${HOLD_SECONDS}s&after=${since}`), enough.signal).catch(
      (thrown) => {
        if (!enough.signal.aborted) throw thrown
      },
    )
    if (answer && answer.status >= 500) throw await readProblem(answer)
    // An absent value is a 404 with a version; any other error is a refusal, whatever `/weir/values` answers.
    const refused = answer && answer.status >= 400 && !answer.headers.has('weir-version')
    if (!answer || (!refused && ports.now() - began >= interval)) fruitless = 0
    else {
      const { problem, pause: wish = 0 } = await readProblem(answer)
      pause = wish
      if (refused) return backOff(topic, problem)
      endedEarly = { since, problem }
    }
    await sleep(MIN_PAUSE)
  }

  /** Held requests do not work now. Values are fetched instead, less often each time, and the page learns the reason. */
  function backOff(topic: string, problem: Problem): Promise<void> {
    fruitless += 1
    pipe.onMessage({ type: 'error', topic, problem })
    return sleep(pauseAfter(fruitless))
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
