import { type LookupAddress, lookup } from 'node:dns'
import { connect as connectSocket, isIP, type Socket, type TcpSocketConnectOpts } from 'node:net'
import { buildConnector } from 'undici'
import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import { networkFault } from './fault.ts'

export interface ConnectParts {
  readonly upstream: string
  /** Milliseconds for all of it: name, connection and TLS. */
  readonly timeout: number
  readonly clock: Clock
  /** Finds the addresses of a name; the system's own by default. */
  readonly addressesOf?: (hostname: string) => Promise<readonly LookupAddress[]>
  readonly connectTo?: (options: TcpSocketConnectOpts) => Socket
}

/** After so long without a connection the next address is tried too, in milliseconds (RFC 8305, 5). */
const NEXT_ADDRESS = 250

/**
 * Makes connections for undici. Node gives each address of a name a quarter of a second and then gives it up, so that a far host with a dead address
 * is never reached: here each has all the time there is, and the first to answer wins. One clock is over name, connection and TLS handshake.
 */
export function createConnector(parts: ConnectParts): buildConnector.connector {
  const { upstream, timeout, clock, addressesOf = lookedUp, connectTo = connectSocket } = parts
  // Its own clock is as coarse as a second, and does not know how long it took to get this far.
  const secure = buildConnector({ timeout: 0 })

  return (options, callback) => {
    const { hostname, protocol } = options
    const port = Number(options.port || (protocol === 'https:' ? 443 : 80))
    const attempts = new Set<Socket>()
    let over = false

    function end(error: Error | undefined, socket?: Socket): void {
      if (over) {
        socket?.destroy()
        return
      }
      over = true
      late.stop()
      for (const attempt of attempts) if (attempt !== socket) attempt.destroy()
      if (error === undefined && socket !== undefined) callback(null, socket)
      else callback(unreachable(upstream, error), null)
    }

    const late = clock.after(timeout, () => {
      const detail = `${upstream}: no connection in ${Math.round(timeout)} ms`
      end(new WeirError('upstream_timeout', detail, { unreachable: true }))
    })

    function connected(socket: Socket): void {
      if (protocol !== 'https:') {
        end(undefined, socket)
        return
      }
      attempts.delete(socket)
      for (const attempt of attempts) attempt.destroy()
      attempts.clear()
      attempts.add(socket)
      secure({ ...options, httpSocket: socket }, (error, encrypted) => {
        if (encrypted === null) end(error ?? undefined)
        else {
          attempts.delete(socket)
          end(undefined, encrypted)
        }
      })
    }

    addressesOf(unbracketed(hostname))
      .then((addresses) =>
        race({ addresses: interleaved(addresses), port, attempts, clock, connectTo, isOver: () => over }),
      )
      .then(connected)
      .catch((error) => end(error))
  }
}

interface Race {
  readonly addresses: readonly LookupAddress[]
  readonly port: number
  /** The sockets that are under way. */
  readonly attempts: Set<Socket>
  readonly clock: Clock
  readonly connectTo: (options: TcpSocketConnectOpts) => Socket
  isOver(): boolean
}

/** The first of the addresses to take a connection. Each is tried a little after the one before it, or as soon as that fails. */
function race({ addresses, port, attempts, clock, connectTo, isOver }: Race): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  let next = 0
  let failed = 0
  let won = false

  function attempt(): void {
    const { address, family } = addresses[next] ?? {}
    next += 1
    if (address === undefined || won || isOver()) return
    const socket = connectTo({ host: address, port, family: family ?? 0 })
    attempts.add(socket)
    socket.setNoDelay(true).setKeepAlive(true, 60_000)
    const soon = clock.after(NEXT_ADDRESS, attempt)
    socket.once('connect', () => {
      soon.stop()
      socket.off('error', lost)
      won = true
      resolve(socket)
    })
    function lost(error: Error): void {
      soon.stop()
      attempts.delete(socket)
      failed += 1
      if (failed === addresses.length) reject(error)
      else attempt()
    }
    socket.once('error', lost)
  }

  if (addresses.length === 0) reject(Object.assign(new Error('the name has no address'), { code: 'ENODATA' }))
  attempt()
  return promise
}

function lookedUp(hostname: string): Promise<readonly LookupAddress[]> {
  const family = isIP(hostname)
  if (family !== 0) return Promise.resolve([{ address: hostname, family }])
  return new Promise((resolve, reject) => {
    lookup(hostname, { all: true }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)))
  })
}

/** Families in turn: where one leads nowhere the other is second. */
function interleaved(addresses: readonly LookupAddress[]): readonly LookupAddress[] {
  const [first] = addresses
  const same = addresses.filter(({ family }) => family === first?.family)
  const others = addresses.filter(({ family }) => family !== first?.family)
  return same.flatMap((one, index) => [one, ...others.slice(index, index + 1)]).concat(others.slice(same.length))
}

function unbracketed(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}

function unreachable(upstream: string, error: Error | undefined): Error {
  if (error instanceof WeirError) return error
  const cause = error ?? new Error('the connection ended during the TLS handshake')
  const words = error === undefined ? 'closed the connection before TLS was agreed on' : networkFault(error)
  return new WeirError('upstream_failed', `${upstream}: ${words}`, { unreachable: true, cause })
}
