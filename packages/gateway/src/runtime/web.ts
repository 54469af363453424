import type { Answer, AnswerHeaders, Call, Connection, ConnectionOwner, Handler, LiveAnswer } from '../call.ts'
import { unchunked } from '../chunk.ts'
import { WeirError } from '../errors.ts'
import { noSocket } from '../transport/problem.ts'

/** Bytes that may wait in a live answer's stream before its reader counts as slow. */
const HIGH_WATER = 65_536

/**
 * Turns a site into a Web-standard `fetch(request)`, for Bun, Deno, workers, tests, or a route of another framework.
 * `remote` is the client's address. Without it, all clients count as one.
 */
export function toFetch(handle: Handler): (request: Request, remote?: string) => Promise<Response> {
  return async (request, remote = '') => respond(await handle(callOf(request, remote)), request)
}

function callOf(request: Request, remote: string): Call {
  const { pathname, search, host } = new URL(request.url)
  return {
    method: request.method,
    url: pathname + search,
    path: pathname,
    query: search.slice(1),
    // Many platforms omit the Host field, so the host comes from the URL.
    header: (name) => request.headers.get(name) ?? (name === 'host' ? host : undefined),
    headers: () => request.headers,
    remote,
    identity: undefined,
    body: (limit) => bodyOf(request, limit),
    signal: request.signal,
  }
}

async function bodyOf(request: Request, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > limit) throw new WeirError('body_too_large', `expected a body of at most ${limit} bytes, got more`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Answers with a live stream. */
export function respondLive(answer: LiveAnswer, request: Request): Response {
  return new Response(streamOf(answer, request.signal), { headers: headersOf(answer.headers) })
}

function respond(answer: Answer, request: Request): Response {
  if (answer.kind === 'live') return respondLive(answer, request)
  if (answer.kind === 'socket') return respond(noSocket(), request)
  const { status, body } = answer
  const bodiless = request.method === 'HEAD' || status === 204 || status === 304
  // A copy, because a stream could transfer the buffer, which is shared.
  const sent =
    bodiless || body === null
      ? null
      : typeof body === 'string' || body instanceof ReadableStream
        ? body
        : new Uint8Array(body)
  return new Response(sent, { status, headers: headersOf(answer.headers) })
}

function headersOf(given: AnswerHeaders): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(given)) {
    for (const item of Array.isArray(value) ? value : [value]) headers.append(name, item)
  }
  return headers
}

function streamOf(answer: LiveAnswer, signal: AbortSignal): ReadableStream<Uint8Array> {
  let connection: StreamConnection | undefined
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        connection = new StreamConnection(controller)
        signal.addEventListener('abort', () => connection?.close(), { once: true })
        answer.open(connection)
      },
      pull: () => connection?.owner?.drained(),
      cancel: () => connection?.gone(),
    },
    { highWaterMark: HIGH_WATER, size: (chunk) => chunk.byteLength },
  )
}

class StreamConnection implements Connection {
  owner: ConnectionOwner | undefined
  readonly #controller: ReadableStreamDefaultController<Uint8Array>
  #open = true

  constructor(controller: ReadableStreamDefaultController<Uint8Array>) {
    this.#controller = controller
  }

  write(bytes: Uint8Array): boolean {
    if (!this.#open) return false
    this.#controller.enqueue(new Uint8Array(unchunked(bytes)))
    return (this.#controller.desiredSize ?? 0) > 0
  }

  cork(): void {}

  uncork(): void {}

  get waiting(): number {
    return Math.max(0, HIGH_WATER - (this.#controller.desiredSize ?? 0))
  }

  close(): void {
    if (!this.#open) return
    this.#controller.close()
    this.gone()
  }

  gone(): void {
    if (!this.#open) return
    this.#open = false
    this.owner?.closed()
  }
}
