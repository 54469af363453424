import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A real HTTP server to ask, that counts what it was asked. */
export interface CountingUpstream extends AsyncDisposable {
  readonly url: string
  /** How often each path and query was asked. */
  readonly asked: Map<string, number>
  /** Calls in all. */
  readonly calls: number
  /** When each arrived, milliseconds by the monotonic clock. */
  readonly arrivals: readonly number[]
  /** What it answers from now on; by default the JSON of its path. */
  answer: (path: string, response: ServerResponse) => void
}

/** Answers with JSON. */
export function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

export async function countingUpstream(): Promise<CountingUpstream> {
  const asked = new Map<string, number>()
  const arrivals: number[] = []
  const server = createServer((request, response) => {
    arrivals.push(performance.now())
    const path = request.url ?? '/'
    asked.set(path, (asked.get(path) ?? 0) + 1)
    upstream.answer(path, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const upstream: CountingUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    arrivals,
    get calls() {
      return [...asked.values()].reduce((sum, count) => sum + count, 0)
    },
    answer: (path, response) => json(response, { path }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}
