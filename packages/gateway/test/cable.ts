import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A road of TCP to a server, with a length, that can be cut as a cable is: nobody is told, and what was under way comes late. */
export interface Cable extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Connections that were ever made. */
  readonly made: number
  /** Nothing comes through, until it is restored. */
  cut(): void
  restore(): void
  /** Ends every connection, and leads to another server if one is named. */
  drop(to?: string): void
}

/** @param delays milliseconds that each way takes, of one connection after the other */
export async function openCable(to: string, ...delays: readonly number[]): Promise<Cable> {
  let { hostname, port } = new URL(to)
  let open = true
  let made = 0
  /** What can't be sent on now, in order. */
  let held: (() => void)[] = []
  const sockets = new Set<Socket>()

  function pass(act: () => void): void {
    if (open) act()
    else held.push(act)
  }
  /** Each way keeps its order: timers of one length fire as they were set. */
  function later(delay: number, act: () => void): void {
    if (delay === 0) pass(act)
    else setTimeout(() => pass(act), delay)
  }
  function join(from: Socket, into: Socket, delay: number): void {
    from.on('data', (bytes) => later(delay, () => into.destroyed || into.write(bytes)))
    from.on('end', () => later(delay, () => into.end()))
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      later(delay, () => into.destroy())
    })
  }

  const server = createServer((near) => {
    const delay = delays[made % delays.length] ?? 0
    made += 1
    sockets.add(near)
    const far = connect({ port: Number(port), host: hostname, noDelay: true })
    near.setNoDelay(true)
    sockets.add(far)
    join(near, far, delay)
    join(far, near, delay)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = (server.address() as AddressInfo).port
  return {
    url: `http://127.0.0.1:${own}`,
    port: own,
    get made() {
      return made
    },
    cut() {
      open = false
    },
    restore() {
      open = true
      const acts = held
      held = []
      for (const act of acts) act()
    },
    drop(to) {
      if (to !== undefined) ({ hostname, port } = new URL(to))
      held = []
      for (const socket of sockets) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
