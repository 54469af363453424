import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

/** A road to a server on which what comes back can be lost: requests arrive, answers do not. */
export interface OneWay extends AsyncDisposable {
  readonly url: string
  answers: boolean
}

export async function oneWay(to: string): Promise<OneWay> {
  const { hostname, port } = new URL(to)
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
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
      if (road.answers) near.write(data)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const road: OneWay = {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers: true,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return road
}
