import type { Readable } from 'node:stream'
import { type Dispatcher, errors, Pool } from 'undici'
import type { AnswerStream, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { createConnector } from './connect.ts'
import { networkFault } from './fault.ts'

export interface PoolParts {
  readonly upstream: string
  /** The upstream's address; a path in it comes before the path of each call. */
  readonly url: string
  readonly connections: number
  /** Milliseconds from the start of a call to its last byte. */
  readonly timeout: number
  /** The longest for a connection to be made, for headers to come, and between two pieces of a body; `timeout` unless told. */
  readonly connectTimeout?: number
  readonly headersTimeout?: number
  readonly bodyTimeout?: number
  /** How old a connection gets, in milliseconds; five minutes unless told. */
  readonly connectionAge?: number
  /** Bytes of the largest answer that is taken. */
  readonly maxResponse: number
  readonly clock: Clock
  readonly emit: Emit
}

/** Sockets to one upstream: the end of the read path. */
export interface UpstreamPool {
  send(request: UpstreamRequest): Promise<UpstreamAnswer>
  close(): Promise<void>
}

/** undici's Pool as transport only; what may start, and whether again, is decided above. */
export function createPool(parts: PoolParts): UpstreamPool {
  const { upstream, url, connections, timeout, maxResponse, clock, emit } = parts
  const {
    connectTimeout = timeout,
    headersTimeout = timeout,
    bodyTimeout = timeout,
    connectionAge = 5 * 60_000,
  } = parts
  const { origin, pathname } = new URL(url)
  const base = pathname.replace(/\/$/, '')
  const connect = createConnector({ upstream, timeout: connectTimeout, clock })
  /** Connections that there are. */
  let open = 0
  const pool = new Pool(origin, {
    connections,
    headersTimeout,
    bodyTimeout,
    connect: (options, callback) =>
      connect(options, (...[error, socket]) => {
        if (error !== null) return callback(error, null)
        open += 1
        socket.once('close', () => {
          open -= 1
        })
        return callback(null, socket)
      }),
    pipelining: 1,
    // An upstream that moves is followed where names lead today.
    clientTtl: connectionAge,
  })

  return {
    async send(request) {
      request.signal?.throwIfAborted()
      const started = clock.monotonic()
      // One controller for both ends of a call: its time is up, or nobody waits for it any more.
      const controller = new AbortController()
      const limit = Math.max(1, Math.min(timeout, request.deadline - started))
      const late = clock.after(limit, () => {
        // Of a call that had little time itself it says nothing that there is no connection yet.
        const unreachable = open === 0 && limit >= Math.min(timeout, LONG_ENOUGH)
        const what = unreachable ? 'no connection' : 'no whole answer'
        controller.abort(
          new WeirError('upstream_timeout', `${upstream}: ${what} in ${Math.round(limit)} ms`, { unreachable }),
        )
      })
      const left = () => controller.abort(request.signal?.reason)
      request.signal?.addEventListener('abort', left)

      function answered(status: number, bytes: number): void {
        emit({ type: 'pool.answered', upstream, status, took: clock.monotonic() - started, bytes })
      }
      function failed(thrown: unknown): WeirError {
        const error = named(upstream, thrown)
        emit({ type: 'pool.failed', upstream, code: error.code, took: clock.monotonic() - started })
        return error
      }

      let stream: AnswerStream | undefined
      try {
        const {
          statusCode: status,
          headers,
          body,
        } = await abortable(
          controller.signal,
          pool.request({
            // undici sends any token, and names only those it knows.
            method: request.method as Dispatcher.HttpMethod,
            path: base + request.path,
            headers: request.headers,
            body: request.body ?? null,
            signal: controller.signal,
            ...(request.inform === undefined ? {} : { onInfo: informed(request.inform) }),
          }),
        )
        // Without a listener an error between two reads would end the process; the next read finds it.
        body.on('error', () => {})
        const took = clock.monotonic() - started
        const head = { status, headers: flat(headers), took, sentAt: started, ...cookiesOf(headers) }
        const impossible = impossibleOf(head)
        if (impossible !== undefined) {
          body.destroy()
          throw new WeirError('upstream_invalid', `${upstream}: ${impossible}`)
        }
        // What fails is told in few words; only what may be large on purpose is streamed.
        const most = request.kept === undefined || status >= 400 ? maxResponse : Math.min(request.kept, maxResponse)
        const pieces: AsyncIterator<Buffer> = body[Symbol.asyncIterator]()
        const chunks: Buffer[] = []
        let bytes = 0
        let larger = lengthOf(request, head) > most
        while (!larger) {
          const piece = await pieces.next()
          if (piece.done === true) {
            // It says that there is nothing more to show (RFC 9110, 15.3.6).
            if (status === 205 && bytes > 0) throw new WeirError('upstream_invalid', `${upstream}: ${WITH_CONTENT}`)
            answered(status, bytes)
            return { ...head, body: chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks) }
          }
          bytes += piece.value.length
          chunks.push(piece.value)
          larger = bytes > most
        }
        if (request.kept === undefined || status >= 400) {
          body.destroy()
          throw new WeirError('upstream_invalid', `${upstream}: expected an answer of at most ${most} bytes, got more`)
        }
        // From here whoever reads holds the call: it ends with its reader, or by its timeouts.
        request.signal?.removeEventListener('abort', left)
        stream = streamOf(body, pieces, chunks, (bytes, error) => {
          late.stop()
          if (error !== undefined) return failed(error)
          answered(status, bytes)
          return undefined
        })
        return { ...head, body: NOTHING, stream }
      } catch (thrown) {
        if (request.signal?.aborted) throw thrown
        throw failed(thrown)
      } finally {
        if (stream === undefined) late.stop()
        request.signal?.removeEventListener('abort', left)
      }
    },

    close: () => pool.destroy(),
  }
}

const NOTHING = Buffer.alloc(0)

/** An upstream to which there is no connection after this long can't be reached, in milliseconds. */
const LONG_ENOUGH = 1000

/** undici tells a call that waits for a connection that it was aborted when there is one, or none: its caller does not wait for that. */
function abortable(signal: AbortSignal, response: Promise<Dispatcher.ResponseData>): Promise<Dispatcher.ResponseData> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    response.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
    if (signal.aborted) aborted()
  })
}

const WITH_CONTENT = 'expected an answer of 205 without content, got one with it'

/** What is wrong with the head of an answer that HTTP does not know (RFC 9110, 15). */
function impossibleOf({ status, headers }: Pick<UpstreamAnswer, 'status' | 'headers'>): string | undefined {
  if (status < 200 || status > 599) return `expected a status from 200 to 599, got ${status}`
  return status === 205 && Number(headers['content-length'] ?? 0) > 0 ? WITH_CONTENT : undefined
}

/** The bytes that will come, as far as is said: an answer without a body names the length of another's (RFC 9110, 8.6). */
function lengthOf(
  { method }: UpstreamRequest,
  { status, headers }: Pick<UpstreamAnswer, 'status' | 'headers'>,
): number {
  return method === 'HEAD' || status === 304 ? 0 : Number(headers['content-length'] ?? 0)
}

/**
 * The rest of an answer as a stream that reads on only when its reader does.
 *
 * @param closed told once when it is over, with the bytes that came, and the error that ended it; returns the error to tell
 */
function streamOf(
  body: Readable,
  pieces: AsyncIterator<Buffer>,
  chunks: readonly Buffer[],
  closed: (bytes: number, error: unknown) => WeirError | undefined,
): AnswerStream {
  const first = [...chunks]
  let bytes = first.reduce((sum, { length }) => sum + length, 0)
  let cancelled = false
  let error: WeirError | undefined
  const over = new Promise<void>((resolve) => {
    body.once('close', () => {
      error = closed(bytes, cancelled ? undefined : (body.errored ?? undefined))
      resolve()
    })
  })
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const ready = first.shift()
        if (ready !== undefined) return controller.enqueue(ready)
        try {
          const piece = await pieces.next()
          if (piece.done === true) return controller.close()
          bytes += piece.value.length
          controller.enqueue(piece.value)
        } catch (thrown) {
          controller.error(error ?? thrown)
        }
      },
      cancel() {
        cancelled = true
        body.destroy()
      },
    },
    { highWaterMark: 0 },
  )
  return { body: stream, over }
}

function informed(inform: NonNullable<UpstreamRequest['inform']>): NonNullable<Dispatcher.RequestOptions['onInfo']> {
  return ({ statusCode, headers }) => inform(statusCode, flat(headers))
}

/** Each cookie by itself. */
function cookiesOf({ 'set-cookie': cookies = [] }: Readonly<Record<string, string | string[] | undefined>>): {
  readonly cookies?: readonly string[]
} {
  return cookies.length === 0 ? {} : { cookies: typeof cookies === 'string' ? [cookies] : cookies }
}

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flattened: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flattened[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return flattened
}

function named(upstream: string, thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown
  const late =
    thrown instanceof errors.HeadersTimeoutError ||
    thrown instanceof errors.BodyTimeoutError ||
    thrown instanceof errors.ConnectTimeoutError
  const detail = `${upstream}: ${networkFault(thrown)}`
  return new WeirError(late ? 'upstream_timeout' : 'upstream_failed', detail, { cause: thrown })
}
