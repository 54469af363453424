import { errors, Pool } from 'undici'
import type { UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

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
  /** Bytes of the largest answer that is taken. */
  readonly maxAnswer: number
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
  const { upstream, url, connections, timeout, maxAnswer, clock, emit } = parts
  const { connectTimeout = timeout, headersTimeout = timeout, bodyTimeout = timeout } = parts
  const { origin, pathname } = new URL(url)
  const base = pathname.replace(/\/$/, '')
  const pool = new Pool(origin, {
    connections,
    headersTimeout,
    bodyTimeout,
    connect: { timeout: connectTimeout },
    pipelining: 1,
  })

  async function exchange(request: UpstreamRequest, signal: AbortSignal): Promise<UpstreamAnswer> {
    const { statusCode, headers, body } = await pool.request({
      method: request.method,
      path: base + request.path,
      headers: request.headers,
      body: request.body ?? null,
      signal,
    })
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > maxAnswer) {
        body.destroy()
        throw new WeirError(
          'upstream_invalid',
          `${upstream}: expected an answer of at most ${maxAnswer} bytes, got more`,
        )
      }
      chunks.push(chunk)
    }
    return {
      status: statusCode,
      headers: flat(headers),
      body: chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks),
    }
  }

  return {
    async send(request) {
      request.signal?.throwIfAborted()
      const started = clock.monotonic()
      // One controller for both ends of a call: its time is up, or nobody waits for it any more.
      const controller = new AbortController()
      const limit = Math.max(1, Math.min(timeout, request.deadline - started))
      const late = clock.after(limit, () => {
        controller.abort(new WeirError('upstream_timeout', `${upstream}: no whole answer in ${Math.round(limit)} ms`))
      })
      const left = () => controller.abort(request.signal?.reason)
      request.signal?.addEventListener('abort', left)
      try {
        const answer = await exchange(request, controller.signal)
        emit({
          type: 'pool.answered',
          upstream,
          status: answer.status,
          took: clock.monotonic() - started,
          bytes: answer.body.length,
        })
        return answer
      } catch (thrown) {
        if (request.signal?.aborted) throw thrown
        const error = named(upstream, thrown)
        emit({ type: 'pool.failed', upstream, code: error.code, took: clock.monotonic() - started })
        throw error
      } finally {
        late.stop()
        request.signal?.removeEventListener('abort', left)
      }
    },

    close: () => pool.destroy(),
  }
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
  const words = thrown instanceof Error ? thrown.message || thrown.name : String(thrown)
  return new WeirError(late ? 'upstream_timeout' : 'upstream_failed', `${upstream}: ${words}`, { cause: thrown })
}
