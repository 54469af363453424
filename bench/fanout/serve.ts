/**
 * The others, each as its own documentation writes a broadcast: `serve.ts res.write|ws|socket.io BYTES EVERY_MS`.
 * Prints "port N" once it listens.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { WebSocketServer } from 'ws'
import { messageOf } from './message.ts'

const [kind, bytes, every] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const server = createServer()

/** What sends a message of so many bytes to all. */
const SENDERS: Readonly<Record<string, () => () => void>> = {
  'res.write'() {
    const all = new Set<ServerResponse>()
    server.on('request', (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      all.add(response)
      response.on('close', () => all.delete(response))
    })
    return () => {
      const event = Buffer.from(`data: ${messageOf(bytes - 8)}\n\n`)
      for (const response of all) response.write(event)
    }
  },
  ws() {
    const { clients } = new WebSocketServer({ server })
    return () => {
      const message = Buffer.from(messageOf(bytes))
      for (const client of clients) client.send(message, { binary: false })
    }
  },
  'socket.io'() {
    // A ping would have to be answered within 20 s; the clients of this bench only listen.
    const io = new Server(server, { pingInterval: 3_600_000 })
    return () => io.emit('update', messageOf(bytes))
  },
}

const send = SENDERS[kind ?? '']?.()
if (send === undefined) throw new Error(`expected one of ${Object.keys(SENDERS).join(', ')}, got ${kind}`)
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`)
  setInterval(send, every)
})
