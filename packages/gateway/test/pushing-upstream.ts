import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

/**
 * A real upstream that has numbers: asked for by `GET /NAME`, and pushed on a WebSocket to those who subscribe. Like a node of
 * Solana it accepts a subscription by its id, gives it a number of its own, from 0 on, and names it by that afterwards.
 */
export interface PushingUpstream extends AsyncDisposable {
  readonly http: string
  readonly ws: string
  /** How often each name was asked for, over HTTP. */
  readonly asked: Map<string, number>
  /** Every message it was sent. */
  readonly said: readonly Said[]
  /** Connections that it has had. */
  readonly connections: number
  /** The names that are subscribed to now, once for each subscription. */
  readonly subscribed: readonly string[]
  /** What it does with subscriptions: accepts them, refuses them, or never answers. */
  manner: 'accept' | 'refuse' | 'ignore'
  /** Whether it takes connections at all. */
  open: boolean
  /** Whether it answers to pings, and says anything. */
  mute: boolean
  /** Sets a number; those who subscribed are told it, unless this says that they are not. */
  set(name: string, value: number, tell?: 'value' | 'change' | 'nothing'): void
  /** Says this to all. */
  say(text: string): void
  drop(): void
}

export interface Said {
  readonly method: string
  readonly id?: number
  readonly name?: string
  readonly token?: number
}

export async function pushingUpstream(): Promise<PushingUpstream> {
  const numbers = new Map<string, number>()
  const asked = new Map<string, number>()
  const said: Said[] = []
  const peers = new Map<WebSocket, Map<number, string>>()
  let connections = 0
  const server = createServer((request, response) => {
    const name = (request.url ?? '/').slice(1)
    asked.set(name, (asked.get(name) ?? 0) + 1)
    response.writeHead(200, { 'content-type': 'application/json' }).end(String(numbers.get(name) ?? 0))
  })
  const sockets = new WebSocketServer({ noServer: true, autoPong: false })
  server.on('upgrade', (request, socket, head) => {
    if (upstream.open) sockets.handleUpgrade(request, socket, head, serve)
    else socket.destroy()
  })
  function serve(peer: WebSocket): void {
    connections += 1
    const names = new Map<number, string>()
    peers.set(peer, names)
    let tokens = 0
    const answer = (message: unknown) => void (upstream.mute || peer.send(JSON.stringify(message)))
    peer.on('ping', (data) => void (upstream.mute || peer.pong(data)))
    peer.on('close', () => peers.delete(peer))
    peer.on('message', (text) => {
      const message: Said = JSON.parse(String(text))
      said.push(message)
      const { method, id, name = '', token = -1 } = message
      if (method === 'unsubscribe') names.delete(token)
      if (method !== 'subscribe' || upstream.manner === 'ignore') return
      if (upstream.manner === 'refuse') return answer({ id, error: 'no such name' })
      names.set(tokens, name)
      answer({ id, result: tokens })
      tokens += 1
    })
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const upstream: PushingUpstream = {
    http: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}`,
    asked,
    said,
    manner: 'accept',
    open: true,
    mute: false,
    get connections() {
      return connections
    },
    get subscribed() {
      return [...peers.values()].flatMap((names) => [...names.values()])
    },
    set(name, value, tell = 'value') {
      numbers.set(name, value)
      if (tell === 'nothing' || upstream.mute) return
      for (const [peer, names] of peers) {
        for (const [subscription, one] of names) {
          if (one === name) peer.send(JSON.stringify({ subscription, ...(tell === 'value' ? { value } : {}) }))
        }
      }
    },
    say(text) {
      for (const peer of peers.keys()) peer.send(text)
    },
    drop() {
      for (const peer of peers.keys()) peer.terminate()
    },
    async [Symbol.asyncDispose]() {
      upstream.open = false
      upstream.drop()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}
