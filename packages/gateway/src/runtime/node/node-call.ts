import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Call, Identity } from '../../call.ts'
import { WeirError } from '../../errors.ts'
import { readTarget } from '../request-target.ts'

/** A Node request as a Call. It reads headers and body only on demand. */
export class NodeCall implements Call {
  readonly method: string
  readonly url: string
  readonly path: string
  readonly query: string
  readonly fault: WeirError | undefined
  identity: Identity | undefined
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  #controller: AbortController | undefined

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.#response = response
    this.method = request.method ?? 'GET'
    this.identity = undefined
    const { url, fault } = readTarget(request)
    this.url = url
    this.fault = fault
    const queryAt = this.url.indexOf('?')
    this.path = queryAt === -1 ? this.url : this.url.slice(0, queryAt)
    this.query = queryAt === -1 ? '' : this.url.slice(queryAt + 1)
  }

  get remote(): string {
    return this.#request.socket.remoteAddress ?? ''
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  *headers(): Iterable<readonly [string, string]> {
    for (const [name, value] of Object.entries(this.#request.headers)) {
      if (value !== undefined) yield [name, Array.isArray(value) ? value.join(', ') : value]
    }
  }

  body(limit: number): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const chunks: Buffer[] = []
    let bytes = 0
    // Listeners, because iterating over the stream would take most of the time of a small request.
    this.#request
      .on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= limit) chunks.push(chunk)
        else reject(new WeirError('body_too_large', `expected a body of at most ${limit} bytes, got more`))
      })
      .once('end', () => resolve(Buffer.concat(chunks)))
      .once('error', (error) => {
        if (!this.#request.socket.destroyed) return reject(error)
        // The client disconnected in the middle of its body, so there is no fault to report.
        const { signal } = this
        this.#controller?.abort()
        return reject(signal.reason)
      })
    return promise
  }

  inform(status: number, fields: Readonly<Record<string, string>>): void {
    if (this.#response.headersSent) return
    try {
      if (status === 102) this.#response.writeProcessing()
      if (status === 103) this.#response.writeEarlyHints({ ...fields })
    } catch {
      // Node rejects malformed hints. Hints are optional, so the request continues without them.
    }
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      this.#controller = controller
      this.#response.once('close', () => {
        if (!this.#response.writableFinished) controller.abort()
      })
    }
    return this.#controller.signal
  }
}
