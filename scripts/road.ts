import { createServer, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/** A transport of the client. */
type Transport = 'sse' | 'ws' | 'poll'

/** A proxy to a server that blocks selected transports, and counts their connections. */
export interface Road extends AsyncDisposable {
  readonly url: string
  /** Number of connections of a transport that passed. */
  readonly opened: Readonly<Record<Transport, number>>
  /** Blocks these transports, and closes their open connections. */
  block(...transports: Transport[]): void
  /** Drops all data of these transports to the client, but keeps their connections open. */
  hush(...transports: Transport[]): void
  /** Switches to another server, and closes open connections. */
  leadTo(url: string): void
}

/** The transport of a request; undefined for others, such as a page or a single value. */
function transportOf({ url = '' }: IncomingMessage): Transport | undefined {
  if (url.startsWith('/weir/stream')) return 'sse'
  if (url.startsWith('/weir/ws')) return 'ws'
  return url.startsWith('/weir/values') || url.includes('as=poll') ? 'poll' : undefined
}

export async function openRoad(target: string): Promise<Road> {
  let blocked: readonly Transport[] = []
  let hushed: readonly Transport[] = []
  const open = new Map<Socket, Transport | undefined>()
  const opened = { sse: 0, ws: 0, poll: 0 }

  /** Whether the request may pass. */
  function admit(call: IncomingMessage): boolean {
    const transport = transportOf(call)
    if (transport !== undefined && blocked.includes(transport)) {
      call.socket.destroy()
      return false
    }
    open.set(call.socket, transport)
    call.socket.once('close', () => open.delete(call.socket))
    if (transport !== undefined) opened[transport] += 1
    return true
  }

  const server = createServer((call, answer) => {
    if (!admit(call)) return
    const transport = transportOf(call)
    const { pathname, search } = new URL(call.url ?? '', target)
    const on = request(new URL(pathname + search, target), { method: call.method, headers: call.headers, agent: false })
    on.once('response', (from) => {
      const quiet = () => transport !== undefined && hushed.includes(transport)
      if (quiet()) return
      // One connection per request, so that blocking one transport does not close another.
      answer.writeHead(from.statusCode ?? 502, { ...from.headers, connection: 'close' })
      answer.flushHeaders()
      from.on('data', (bytes: Buffer) => {
        if (!quiet()) answer.write(bytes)
      })
      from.once('end', () => answer.end())
      from.once('error', () => call.socket.destroy())
    })
    on.once('error', () => call.socket.destroy())
    answer.once('close', () => on.destroy())
    call.pipe(on)
  })
  server.on('upgrade', (call: IncomingMessage, socket: Socket) => {
    if (!admit(call)) return
    const { hostname, port } = new URL(target)
    const on = connect(Number(port), hostname, () => {
      const headers = call.rawHeaders.flatMap((name, index) =>
        index % 2 === 0 ? `${name}: ${call.rawHeaders[index + 1]}\r\n` : [],
      )
      on.write(`GET ${call.url} HTTP/1.1\r\n${headers.join('')}\r\n`)
      socket.pipe(on)
    })
    on.on('data', (bytes: Buffer) => {
      if (!hushed.includes('ws')) socket.write(bytes)
    })
    on.on('error', () => socket.destroy())
    on.on('close', () => socket.destroy())
    socket.on('error', () => on.destroy())
    socket.on('close', () => on.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    opened,
    block(...transports) {
      blocked = transports
      for (const [socket, transport] of open) if (transport && transports.includes(transport)) socket.destroy()
    },
    hush(...transports) {
      hushed = transports
    },
    leadTo(url) {
      target = url
      for (const socket of open.keys()) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      for (const socket of open.keys()) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
