import { isUtf8 } from 'node:buffer'
import type { Stage, UpstreamAnswer, UpstreamRequest } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { type ErrorCode, WeirError } from '../../errors.ts'
import { parseToWrite, stringifyJson, withoutMark } from '../../json.ts'
import { isRecord } from '../../options.ts'
import { rpcStatus } from './answer.ts'

export interface JsonRpcBatchesParts {
  readonly upstream: string
  /** The most calls of one array. */
  readonly most: number
  readonly clock: Clock
}

/** Failures that one call of an array may have caused. */
const POISONED: readonly ErrorCode[] = ['upstream_failed', 'upstream_invalid']

/** The answer to a call that is to go alone. */
const UNSENT: UpstreamAnswer = { status: 503, headers: {}, body: Buffer.alloc(0), unsent: true }

/** A call that may go with others. */
interface Waiting {
  readonly request: UpstreamRequest
  readonly id: number
  readonly body: string
  resolve(answer: UpstreamAnswer): void
  reject(error: unknown): void
}

/**
 * Sends calls that start in one instant as one JSON-RPC array (JSON-RPC 2.0, 6), and gives each the answer with its id. It stands below the
 * budget, so each call of an array was charged by itself.
 *
 * Many providers refuse arrays, each in its own way. What came back in place of an array is a refusal: its calls are sent again, through the
 * budget, and from then on each goes alone. So are the calls of
 * an array that failed, of which one may be why, and a call that has waited for half of its time. A failure of the first array may be the node's or the array's own, which the next call tells.
 */
export function jsonRpcBatches({
  upstream,
  most,
  clock,
}: JsonRpcBatchesParts): Stage<UpstreamRequest, Promise<UpstreamAnswer>> {
  if (most <= 1) return (next) => next
  return (next) => {
    /** Whether the provider takes arrays. `doubted`: one failed, and no call alone was answered since. */
    let takes: 'unknown' | 'yes' | 'doubted' | 'no' = 'unknown'
    const waiting = new Map<string, Waiting[]>()

    async function alone(request: UpstreamRequest): Promise<UpstreamAnswer> {
      const answer = await next(request)
      if (takes === 'doubted') takes = rpcStatus(answer) < 400 ? 'no' : 'unknown'
      return answer
    }

    /** With what else starts before the event loop turns, and has the same key. A call that may never be answered holds up none that was lately. */
    function together(request: UpstreamRequest, body: string): Promise<UpstreamAnswer> {
      return new Promise((resolve, reject) => {
        const group = `${request.history?.answerable !== false} ${request.apiKey}`
        const call = { request, id: (JSON.parse(body) as { id: number }).id, body, resolve, reject }
        const others = waiting.get(group)
        if (others === undefined) {
          waiting.set(group, [call])
          clock.soon(() => flush(group))
        } else {
          others.push(call)
        }
      })
    }

    function flush(group: string): void {
      const calls = waiting.get(group) ?? []
      waiting.delete(group)
      let part: Waiting[] = []
      for (const call of calls) {
        const { signal } = call.request
        if (signal?.aborted) {
          call.reject(signal.reason)
          continue
        }
        // Declarations of one name share a provider, and each counts its calls by itself.
        if (part.length === most || part.some(({ id }) => id === call.id)) {
          begin(part)
          part = []
        }
        part.push(call)
      }
      begin(part)
    }

    function begin(calls: readonly Waiting[]): void {
      const [first, second] = calls
      if (first === undefined) return
      if (second === undefined) alone(first.request).then(first.resolve, first.reject)
      else void exchange(calls)
    }

    /** Each call ends by itself when nobody waits for it any more; the array ends when nobody waits for any of them. */
    async function exchange(calls: readonly Waiting[]): Promise<void> {
      const controller = new AbortController()
      let left = calls.length
      const stops = calls.map(({ request: { signal, deadline }, resolve, reject }) => {
        const leave = (reason: unknown) => {
          left -= 1
          if (left === 0) controller.abort(reason)
        }
        const gone = () => {
          reject(signal?.reason)
          leave(signal?.reason)
        }
        const patience = Math.max(0, deadline - clock.monotonic())
        const late = clock.after(patience / 2, () => {
          resolve(UNSENT)
          leave(new WeirError('upstream_timeout', `${upstream}: no whole answer in ${Math.round(patience / 2)} ms`))
        })
        signal?.addEventListener('abort', gone, { once: true })
        return () => {
          late.stop()
          signal?.removeEventListener('abort', gone)
        }
      })
      try {
        const answers = read(calls, await next(requestOf(calls, controller.signal)))
        for (const [index, call] of calls.entries()) {
          const answer = answers[index]
          if (answer !== undefined) call.resolve(answer)
        }
      } catch (thrown) {
        const ofOne = thrown instanceof WeirError && POISONED.includes(thrown.code) && !thrown.unreachable
        for (const { resolve, reject } of calls) {
          if (ofOne) resolve(UNSENT)
          else reject(thrown)
        }
      } finally {
        for (const stop of stops) stop()
      }
    }

    function read(calls: readonly Waiting[], answer: UpstreamAnswer): readonly UpstreamAnswer[] {
      const status = rpcStatus(answer)
      const items = status < 400 ? listIn(answer.body) : undefined
      if (items !== undefined) {
        takes = 'yes'
        return shared(calls, items).map((body) => ({ ...answer, body }))
      }
      if (status === 429) return calls.map(() => ({ ...answer, status }))
      // What may be for one call of it is no word on arrays.
      const failed = status >= 500
      if (status !== 401 && !(failed && (takes === 'yes' || status !== answer.status)))
        takes = failed ? 'doubted' : 'no'
      return calls.map(() => ({ ...answer, status: failed ? status : 503, unsent: true }))
    }

    return (request) => {
      const { body, kept, repeatable, alone: again } = request
      // What changes something goes alone: of an array that fails nobody knows what was done.
      const may = takes === 'unknown' || takes === 'yes'
      return may && typeof body === 'string' && repeatable === true && kept === undefined && !again
        ? together(request, body)
        : alone(request)
    }
  }
}

function requestOf(calls: readonly Waiting[], signal: AbortSignal): UpstreamRequest {
  const [first] = calls as readonly [Waiting, ...Waiting[]]
  return {
    ...first.request,
    body: `[${calls.map(({ body }) => body).join()}]`,
    signal,
    deadline: Math.max(...calls.map(({ request }) => request.deadline)),
  }
}

/** What has the id of each call, with every digit as it came. Unless that is one answer, the list of it, which is none. */
function shared(calls: readonly Waiting[], items: readonly unknown[]): readonly Buffer[] {
  const byId = new Map<string | undefined, string[]>()
  for (const item of items) {
    const id = isRecord(item) ? stringifyJson(item.id) : undefined
    byId.set(id, [...(byId.get(id) ?? []), stringifyJson(item) ?? ''])
  }
  return calls.map(({ id }) => {
    const own = byId.get(String(id)) ?? []
    return Buffer.from(own.length === 1 ? (own[0] ?? '') : `[${own.join()}]`)
  })
}

/** Undefined for what is no list. */
function listIn(body: Buffer): readonly unknown[] | undefined {
  if (!isUtf8(body)) return undefined
  try {
    const said = parseToWrite(withoutMark(body.toString()))
    return Array.isArray(said) ? said : undefined
  } catch {
    return undefined
  }
}
