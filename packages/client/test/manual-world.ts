import { ManualClock } from '../../gateway/test/manual-clock.ts'
import { type ClientOptions, createClient, type Ports, type Transport } from '../src/index.ts'

/** A request of a client, and its time. */
export interface Asked {
  readonly at: number
  readonly address: string
  /** How the browser's cache is used. */
  readonly cache: RequestCache | undefined
  /** Answers with a stream of server-sent events. */
  stream(): { say(type: string, fields: object): void; end(): void }
  answer(json: object, headers?: Record<string, string>): void
  /** Answers with a web page, like a proxy that requires a sign-in. */
  page(): void
  refuse(status: number, headers?: Record<string, string>): void
  /** Breaks the connection. */
  break(): void
}

/** An environment with a manual clock and servers controlled by the test. Only waiting is tested here. */
export function world(
  transports: readonly Transport[] = ['sse'],
  random = 0.5,
  socket?: typeof WebSocket,
  options: ClientOptions = {},
) {
  const time = new ManualClock()
  const asked: Asked[] = []
  const ports: Ports = {
    fetch: (input, init) =>
      new Promise<Response>((resolve, reject) => {
        const stop = () => reject(new Error('aborted'))
        init?.signal?.addEventListener('abort', stop)
        asked.push({
          at: time.monotonic(),
          address: String(input),
          cache: init?.cache,
          stream() {
            const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
            const writer = writable.getWriter()
            const text = new TextEncoder()
            resolve(new Response(readable, { headers: { 'content-type': 'text/event-stream' } }))
            return {
              say: (type, fields) =>
                void writer.write(text.encode(`event: ${type}\ndata: ${JSON.stringify(fields)}\n\n`)).catch(() => {}),
              end: () => void writer.close().catch(() => {}),
            }
          },
          answer: (json, headers = {}) => resolve(Response.json(json, { headers })),
          page: () => resolve(new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } })),
          refuse: (status, headers = {}) => resolve(new Response(status === 304 ? null : '{}', { status, headers })),
          break: () => reject(new Error('broken')),
        })
      }),
    WebSocket: socket,
    now: () => time.now(),
    after: (delay, task) => time.after(delay, task).stop,
    random: () => random,
  }
  const weir = createClient({ url: 'http://weir.test', transports, ports, ...options })
  return {
    time,
    asked,
    weir,
    /** The latest request. */
    get last() {
      const last = asked.at(-1)
      if (last === undefined) throw new Error('nothing was asked')
      return last
    },
    /** Milliseconds between consecutive requests. */
    pauses: () => asked.slice(1).map(({ at }, index) => at - (asked[index]?.at ?? 0)),
  }
}

export const HELLO = { now: Date.UTC(2026, 0, 1), heartbeat: 1000, level: 'normal' }
export const snapshot = (version: string, value: unknown, topic = '/a') => ({
  topic,
  version,
  changedAt: 1,
  checkedAt: 1,
  value,
})
