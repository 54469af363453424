import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

/** A road to a server, that can be made worse. */
export interface Relay extends AsyncDisposable {
  readonly url: string
  /** Whether answers come back: requests arrive all the same. */
  answers: boolean
  /** By how many milliseconds answers are late. */
  delay: number
  /** Where the road leads for those who come from now on, as an address that follows the master does. */
  to: string
}

export async function relay(to: string): Promise<Relay> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const { hostname, port } = new URL(road.to)
    const waiting: Buffer[] = []
    let last = 0
    const far = connect(Number(port), hostname)
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.on('data', (data) => far.write(data))
    far.on('data', (data) => {
      if (!road.answers) return
      const now = performance.now()
      // Nothing overtakes what was delayed before it.
      last = Math.max(last, now + road.delay)
      if (waiting.length === 0 && last <= now) {
        near.write(data)
        return
      }
      waiting.push(data)
      setTimeout(() => near.write(waiting.shift() ?? ''), last - now)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const road: Relay = {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers: true,
    delay: 0,
    to,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return road
}
