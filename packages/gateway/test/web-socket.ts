import { once } from 'node:events'
import type { SocketMessage } from '@weir/protocol'
import { type ClientOptions, WebSocket } from 'ws'

/** How a connection ended. */
export interface Ended {
  readonly code: number
  readonly reason: string
}

/** A client of a WebSocket that remembers what it was told. `await using` ends it. */
export interface Peer extends AsyncDisposable {
  readonly socket: WebSocket
  /** Each message as it came. */
  readonly texts: readonly string[]
  /** The same, read. */
  readonly heard: readonly SocketMessage[]
  readonly ended: Promise<Ended>
  say(message: unknown): void
  /** The first message, from the given one on, that fits; it is waited for. */
  hears<Type extends SocketMessage['type']>(
    type: Type,
    fits?: (message: SocketMessage & { readonly type: Type }) => boolean,
    from?: number,
  ): Promise<SocketMessage & { readonly type: Type }>
}

/** Opens a WebSocket and waits until it is open. @throws when the handshake is refused, with its status */
export async function connect(url: string, path = '/weir/ws', options: ClientOptions = {}): Promise<Peer> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, options)
  const texts: string[] = []
  const heard: SocketMessage[] = []
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const one of waiting) one()
  }
  socket.on('message', (data) => {
    texts.push(String(data))
    heard.push(JSON.parse(String(data)))
    wake()
  })
  const ended = new Promise<Ended>((resolve) =>
    socket.once('close', (code, reason) => {
      resolve({ code, reason: String(reason) })
      wake()
    }),
  )
  await once(socket, 'open')
  socket.on('error', () => {})
  return {
    socket,
    texts,
    heard,
    ended,
    say: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    hears: (type, fits = () => true, from = 0) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = heard.slice(from).find((message) => {
            return message.type === type && fits(message as SocketMessage & { readonly type: typeof type })
          })
          if (found === undefined && socket.readyState !== WebSocket.CLOSED) return
          waiting.delete(look)
          if (found === undefined) reject(new Error(`expected ${type}, got the end after ${texts.join(' ')}`))
          else resolve(found as SocketMessage & { readonly type: typeof type })
        }
        waiting.add(look)
        look()
      }),
    async [Symbol.asyncDispose]() {
      socket.terminate()
      await ended
    },
  }
}
