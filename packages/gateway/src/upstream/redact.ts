import type { AnswerStream, Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { Decoded } from './decode.ts'
import { createMask, type Mask } from './mask.ts'
import { withEncodings } from './secrets.ts'

/** What proves the bytes of a body, and would not once something in it is covered (RFC 9530). */
const DIGESTS = ['content-md5', 'digest', 'content-digest', 'repr-digest']

/** The mask of what an upstream is asked with. */
export function maskOf(secrets: readonly string[]): Mask {
  return createMask(withEncodings(secrets))
}

/**
 * Takes our secrets out of all that comes in: some upstreams repeat a key or an address in what they answer, and that goes on to clients, into
 * errors, logs and events. It stands where answers are read and no longer compressed, so that nothing above has to think of it.
 */
export function redact(mask: Mask): Stage<UpstreamRequest, Promise<UpstreamAnswer>, UpstreamRequest, Promise<Decoded>> {
  if (mask.isEmpty) return (next) => next
  return (next) => async (request) => {
    const { inform } = request
    const asked =
      inform === undefined
        ? request
        : {
            ...request,
            inform: (status: number, fields: UpstreamAnswer['headers']) => inform(status, fieldsOf(mask, fields)),
          }
    try {
      return answerOf(mask, await next(asked))
    } catch (thrown) {
      throw masked(mask, thrown)
    }
  }
}

function answerOf(mask: Mask, { encoded, ...plain }: Decoded): UpstreamAnswer {
  const covered = mask.bytes(plain.body)
  const changed = covered !== plain.body
  // Compressed bytes in which there is nothing to cover go on as they came.
  const answer = encoded !== undefined && !changed ? encoded : plain
  const { cookies, stream } = answer
  const headers = fieldsOf(mask, answer.headers)
  if (changed || stream !== undefined) for (const name of DIGESTS) delete headers[name]
  // The ETag was of the compressed bytes.
  if (changed && encoded !== undefined) delete headers.etag
  return {
    ...answer,
    headers,
    body: changed ? covered : answer.body,
    ...(cookies === undefined ? {} : { cookies: cookies.map((cookie) => mask.text(cookie)) }),
    ...(stream === undefined ? {} : { stream: streamOf(mask, stream) }),
  }
}

function fieldsOf(mask: Mask, fields: UpstreamAnswer['headers']): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [mask.text(name), mask.text(value)]))
}

function streamOf(mask: Mask, { body, over }: AnswerStream): AnswerStream {
  const stream = mask.stream()
  const reader = body.getReader()
  const covered = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // A piece may be held back as a whole: then the next one is read.
        for (;;) {
          const { done, value } = await reader.read().catch((thrown) => Promise.reject(masked(mask, thrown)))
          const ready = done ? stream.end() : stream.push(value)
          if (ready.length > 0) controller.enqueue(ready)
          if (done) controller.close()
          if (done || ready.length > 0) return
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
  return { body: covered, over }
}

/** What was thrown, in words without a secret. */
function masked(mask: Mask, thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return typeof thrown === 'string' ? mask.text(thrown) : thrown
  const { code, message, cause, retryAfter, upstreamStatus, unreachable, requestId } =
    thrown instanceof WeirError ? thrown : new WeirError('upstream_failed', thrown.message, { cause: thrown })
  const words = mask.text(message)
  const inside = cause instanceof Error ? `${cause.message} ${cause.stack}` : String(cause)
  if (words === message && mask.text(inside) === inside) return thrown
  return new WeirError(code, words, {
    unreachable,
    requestId,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(upstreamStatus === undefined ? {} : { upstreamStatus }),
  })
}
