import type { Clock, Timer } from '../../clock.ts'
import { WeirError } from '../../errors.ts'
import type { IpcPort } from './ipc-port.ts'

export interface IpcRpcParts {
  readonly carrier: IpcPort
  /** What the other side may ask of this one, by name. */
  readonly answers: object
  readonly clock: Clock
  /** Milliseconds in which every question is answered or has failed. */
  readonly deadline: number
  /** Who is at the other end, for messages. */
  readonly peer: string
  /** Told what goes wrong with what nobody waits for. */
  readonly report: (error: unknown) => void
}

/** Questions and answers between two processes. `Theirs`: what the other side answers. */
export interface IpcRpc<Theirs extends object> {
  /**
   * Asks and waits. `late` gets an answer that comes after the deadline, for undoing what was done.
   *
   * @throws WeirError `backend_unavailable` when there is no answer in time, or the other side failed
   */
  request<Name extends keyof Theirs & string>(
    name: Name,
    args: ArgsOf<Theirs, Name>,
    late?: (answer: AnswerOf<Theirs, Name>) => void,
  ): Promise<AnswerOf<Theirs, Name>>
  /** Says it without waiting. It is not forgotten while the other side lives, however slow. */
  notify<Name extends keyof Theirs & string>(name: Name, args: ArgsOf<Theirs, Name>): void
  /** Says what `latest` gives by the time the other side reads; nothing when that is undefined. */
  notifyLatest<Name extends keyof Theirs & string>(
    name: Name,
    latest: () => ArgsOf<Theirs, Name> | undefined,
  ): () => void
  onClose(listener: () => void): void
}

type ArgsOf<Theirs, Name extends keyof Theirs> = Theirs[Name] extends (...args: infer Args) => unknown ? Args : never
type AnswerOf<Theirs, Name extends keyof Theirs> = Theirs[Name] extends (...args: never[]) => infer Answer
  ? Awaited<Answer>
  : never

/** Number 0 asks for no answer. */
interface Question {
  readonly number: number
  readonly name: string
  readonly args: readonly unknown[]
}

interface Reply {
  readonly to: number
  readonly value?: unknown
  /** Why there is none. */
  readonly failed?: string
}

interface Waiting {
  readonly question: Question
  /** Undefined when the deadline has passed. */
  settle: { resolve(value: unknown): void; reject(error: WeirError): void } | undefined
  readonly timer: Timer
  readonly late: ((answer: never) => void) | undefined
}

/** Who has let a deadline pass is not asked for so long, unless it is heard of; in milliseconds. */
const REST = 250

/**
 * What is said in one go travels as one message, and the next follows when the system has taken it: so what the other side does not
 * read stays here, where a question that nobody waits for any more can be taken back.
 */
export function openIpcRpc<Theirs extends object>(parts: IpcRpcParts): IpcRpc<Theirs> {
  const { carrier, clock, deadline, peer, report } = parts
  const answers = new Map(Object.entries(parts.answers))
  const waiting = new Map<number, Waiting>()
  const latest = new Set<() => Question | undefined>()
  let queue = new Set<Question | Reply>()
  let last = 0
  let restUntil = Number.NEGATIVE_INFINITY
  let planned = false
  let busy = false
  let closed = false

  function say(item: Question | Reply): void {
    if (closed) return
    queue.add(item)
    flushSoon()
  }

  function flushSoon(): void {
    if (planned || busy) return
    planned = true
    queueMicrotask(flush)
  }

  function flush(): void {
    planned = false
    const news = closed ? [] : [...latest].flatMap((make) => make() ?? [])
    if (closed || queue.size + news.length === 0) return
    busy = true
    const said = [...queue, ...news]
    queue = new Set()
    carrier.post(said, () => {
      busy = false
      flush()
    })
  }

  function unavailable(why: string): WeirError {
    return new WeirError('backend_unavailable', `${peer}: ${why}`, { retryAfter: REST })
  }

  function expired(one: Waiting): void {
    one.settle?.reject(unavailable(`no answer in ${deadline} ms`))
    one.settle = undefined
    restUntil = clock.monotonic() + REST
    // One that was not sent has done nothing. What was sent may still be done: its answer is waited for, to be undone.
    if (queue.delete(one.question) || one.late === undefined) waiting.delete(one.question.number)
  }

  function replied({ to, value, failed }: Reply): void {
    const one = waiting.get(to)
    if (one === undefined) return
    waiting.delete(to)
    one.timer.stop()
    if (one.settle === undefined) {
      if (failed === undefined) one.late?.(value as never)
    } else if (failed === undefined) one.settle.resolve(value)
    else one.settle.reject(unavailable(failed))
  }

  async function asked({ number, name, args }: Question): Promise<void> {
    try {
      const answer = answers.get(name)
      if (typeof answer !== 'function') throw new TypeError(`expected a question that is known, got "${name}"`)
      const value: unknown = await answer(...args)
      if (number > 0) say({ to: number, value })
    } catch (error) {
      report(error)
      if (number > 0) say({ to: number, failed: String(error) })
    }
  }

  carrier.onMessage((said) => {
    restUntil = Number.NEGATIVE_INFINITY
    // Both sides are of one build: what comes is what `say` was given there.
    for (const item of said as readonly (Question | Reply)[]) {
      if ('to' in item) replied(item)
      else void asked(item)
    }
  })
  carrier.onClose(() => {
    closed = true
    queue.clear()
    for (const { timer, settle } of waiting.values()) {
      timer.stop()
      settle?.reject(unavailable('it is gone'))
    }
    waiting.clear()
  })

  return {
    request(name, args, late) {
      if (closed) return Promise.reject(unavailable('it is gone'))
      if (clock.monotonic() < restUntil) return Promise.reject(unavailable('it did not answer of late'))
      last += 1
      const question = { number: last, name, args }
      const { promise, resolve, reject } = Promise.withResolvers<AnswerOf<Theirs, typeof name>>()
      const one: Waiting = {
        question,
        settle: { resolve: (value) => resolve(value as AnswerOf<Theirs, typeof name>), reject },
        timer: clock.after(deadline, () => expired(one)),
        late,
      }
      waiting.set(last, one)
      say(question)
      return promise
    },

    notify(name, args) {
      say({ number: 0, name, args })
    },

    notifyLatest(name, make) {
      latest.add(() => {
        const args = make()
        return args === undefined ? undefined : { number: 0, name, args }
      })
      return flushSoon
    },

    onClose: (listener) => carrier.onClose(listener),
  }
}
