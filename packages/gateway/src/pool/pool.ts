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
  /** The upstream's URL; its path is prepended to the path of each call. */
  readonly url: string
  readonly connections: number
  /** Maximum milliseconds from the start of a call to its last byte. */
  readonly timeout: number
  /** Maximum milliseconds to connect, until headers arrive, and between two pieces of a body; by default `timeout`. */
  readonly connectTimeout?: number
  readonly headersTimeout?: number
  readonly bodyTimeout?: number
  /** Maximum age of a connection, in milliseconds; by default five minutes. */
  readonly connectionAge?: number
  /** Maximum size of an answer in bytes. */
  readonly maxResponse: number
  readonly clock: Clock
  readonly emit: Emit
}

/** The connections to one upstream: the end of the read path. */
export interface UpstreamPool {
  send(request: UpstreamRequest): Promise<UpstreamAnswer>
  close(): Promise<void>
}

/** Uses undici's Pool as transport only. The stages above decide what starts and what is retried. */
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
  /** Open connections. */
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
    // Connections are replaced, so that an upstream that moves in DNS is followed.
    clientTtl: connectionAge,
  })

  return {
    async send(request) {
      request.signal?.throwIfAborted()
      const started = clock.monotonic()
      // One controller for both reasons to end a call: its time is over, or its caller left.
      const controller = new AbortController()
      const limit = Math.max(1, Math.min(timeout, request.deadline - started))
      const late = clock.after(limit, () => {
        // A call with little time does not show that the upstream is unreachable.
        const unreachable = open === 0 && limit >= Math.min(timeout, UNREACHABLE_AFTER)
        const what = unreachable ? 'no connection' : 'no whole answer'
        controller.abort(
          new WeirError('upstream_timeout', `${upstream}: ${what} in ${Math.round(limit)} ms`, { unreachable }),
        )
      })
      const onAbort = () => controller.abort(request.signal?.reason)
      request.signal?.addEventListener('abort', onAbort)

      function answered(status: number, bytes: number): void {
        emit({ type: 'pool.answered', upstream, status, took: clock.monotonic() - started, bytes })
      }
      function failed(thrown: unknown): WeirError {
        const error = asPoolError(upstream, thrown)
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
            // undici sends any method, but its type lists only known ones.
            method: request.method as Dispatcher.HttpMethod,
            path: base + request.path,
            headers: request.headers,
            body: request.body ?? null,
            signal: controller.signal,
            ...(request.inform === undefined ? {} : { onInfo: informed(request.inform) }),
          }),
        )
        // Without a listener, an error between two reads would end the process. The next read reports it.
        body.on('error', () => {})
        const took = clock.monotonic() - started
        const head = { status, headers: flat(headers), took, sentAt: started, ...cookiesOf(headers) }
        const fault = faultOf(head)
        if (fault !== undefined) {
          body.destroy()
          throw new WeirError('upstream_invalid', `${upstream}: ${fault}`)
        }
        // Failures are short, so only successful answers may be streamed.
        const limitBytes =
          request.kept === undefined || status >= 400 ? maxResponse : Math.min(request.kept, maxResponse)
        const pieces: AsyncIterator<Buffer> = body[Symbol.asyncIterator]()
        const chunks: Buffer[] = []
        let bytes = 0
        let larger = lengthOf(request, head) > limitBytes
        while (!larger) {
          const piece = await pieces.next()
          if (piece.done === true) {
            // A 205 must have no content (RFC 9110, 15.3.6).
            if (status === 205 && bytes > 0) throw new WeirError('upstream_invalid', `${upstream}: ${HAS_CONTENT}`)
            answered(status, bytes)
            return { ...head, body: chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks) }
          }
          bytes += piece.value.length
          chunks.push(piece.value)
          larger = bytes > limitBytes
        }
        if (request.kept === undefined || status >= 400) {
          body.destroy()
          throw new WeirError(
            'upstream_invalid',
            `${upstream}: expected an answer of at most ${limitBytes} bytes, got more`,
          )
        }
        // From here the reader controls the call: it ends with its reader, or by its timeouts.
        request.signal?.removeEventListener('abort', onAbort)
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
        request.signal?.removeEventListener('abort', onAbort)
      }
    },

    close: () => pool.destroy(),
  }
}

const NOTHING = Buffer.alloc(0)

/** An upstream without a connection after this long counts as unreachable, in milliseconds. */
const UNREACHABLE_AFTER = 1000

/**
 * undici rejects an aborted call that waits for a connection only once that connection succeeds or fails. Callers do
 * not wait for that.
 */
function abortable(signal: AbortSignal, response: Promise<Dispatcher.ResponseData>): Promise<Dispatcher.ResponseData> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    response.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
    if (signal.aborted) aborted()
  })
}

const HAS_CONTENT = 'expected a 205 without content, got one with content'

/** The fault of an answer's head that HTTP does not allow (RFC 9110, 15). */
function faultOf({ status, headers }: Pick<UpstreamAnswer, 'status' | 'headers'>): string | undefined {
  if (status < 200 || status > 599) return `expected a status from 200 to 599, got ${status}`
  return status === 205 && Number(headers['content-length'] ?? 0) > 0 ? HAS_CONTENT : undefined
}

/** The announced length of the body. An answer without a body may state the length of another (RFC 9110, 8.6). */
function lengthOf(
  { method }: UpstreamRequest,
  { status, headers }: Pick<UpstreamAnswer, 'status' | 'headers'>,
): number {
  return method === 'HEAD' || status === 304 ? 0 : Number(headers['content-length'] ?? 0)
}

/**
 * Streams the rest of an answer, and reads only as fast as its reader does.
 *
 * @param closed called once at the end, with the received bytes and the error that ended it; returns the error to
 * report
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

/** Separate cookies. */
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

function asPoolError(upstream: string, thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown
  const late =
    thrown instanceof errors.HeadersTimeoutError ||
    thrown instanceof errors.BodyTimeoutError ||
    thrown instanceof errors.ConnectTimeoutError
  const detail = `${upstream}: ${networkFault(thrown)}`
  return new WeirError(late ? 'upstream_timeout' : 'upstream_failed', detail, { cause: thrown })
}
