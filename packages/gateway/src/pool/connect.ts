import { type LookupAddress, lookup } from 'node:dns'
import { connect as connectSocket, isIP, type Socket, type TcpSocketConnectOpts } from 'node:net'
import { buildConnector } from 'undici'
import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import { networkFault } from './fault.ts'

export interface ConnectParts {
  readonly upstream: string
  /** Milliseconds for name resolution, connection and TLS together. */
  readonly timeout: number
  readonly clock: Clock
  /** Resolves a host name; by default with the system's resolver. */
  readonly addressesOf?: (hostname: string) => Promise<readonly LookupAddress[]>
  readonly connectTo?: (options: TcpSocketConnectOpts) => Socket
}

/** Delay before the next address is tried too, in milliseconds (RFC 8305, 5). */
const NEXT_ADDRESS = 250

/**
 * Makes connections for undici. Node gives up each address of a name after a quarter of a second, so a distant host
 * with one dead address is never reached. Here every address has the whole time, and the first to connect wins. One
 * timer covers name, connection and TLS handshake.
 */
export function createConnector(parts: ConnectParts): buildConnector.connector {
  const { upstream, timeout, clock, addressesOf = resolveHost, connectTo = connectSocket } = parts
  // Its own timer has a resolution of a second, and does not include the time before.
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
      timer.stop()
      for (const attempt of attempts) if (attempt !== socket) attempt.destroy()
      if (error === undefined && socket !== undefined) callback(null, socket)
      else callback(unreachable(upstream, error), null)
    }

    const timer = clock.after(timeout, () => {
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
        race({ addresses: interleave(addresses), port, attempts, clock, connectTo, isOver: () => over }),
      )
      .then(connected)
      .catch((error) => end(error))
  }
}

interface Race {
  readonly addresses: readonly LookupAddress[]
  readonly port: number
  /** The sockets that are connecting. */
  readonly attempts: Set<Socket>
  readonly clock: Clock
  readonly connectTo: (options: TcpSocketConnectOpts) => Socket
  isOver(): boolean
}

/**
 * Returns the first socket to connect. Each address is tried a little after the one before it, or as soon as that
 * fails.
 */
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
    const nextAttempt = clock.after(NEXT_ADDRESS, attempt)
    socket.once('connect', () => {
      nextAttempt.stop()
      socket.off('error', onError)
      won = true
      resolve(socket)
    })
    function onError(error: Error): void {
      nextAttempt.stop()
      attempts.delete(socket)
      failed += 1
      if (failed === addresses.length) reject(error)
      else attempt()
    }
    socket.once('error', onError)
  }

  if (addresses.length === 0) reject(Object.assign(new Error('the name has no address'), { code: 'ENODATA' }))
  attempt()
  return promise
}

function resolveHost(hostname: string): Promise<readonly LookupAddress[]> {
  const family = isIP(hostname)
  if (family !== 0) return Promise.resolve([{ address: hostname, family }])
  return new Promise((resolve, reject) => {
    lookup(hostname, { all: true }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)))
  })
}

/** Alternates address families, so that the other one is tried second if one is unreachable. */
function interleave(addresses: readonly LookupAddress[]): readonly LookupAddress[] {
  const [first] = addresses
  const same = addresses.filter(({ family }) => family === first?.family)
  const others = addresses.filter(({ family }) => family !== first?.family)
  return same
    .flatMap((address, index) => [address, ...others.slice(index, index + 1)])
    .concat(others.slice(same.length))
}

function unbracketed(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}

function unreachable(upstream: string, error: Error | undefined): Error {
  if (error instanceof WeirError) return error
  const cause = error ?? new Error('the connection ended during the TLS handshake')
  const fault = error === undefined ? 'closed the connection during the TLS handshake' : networkFault(error)
  return new WeirError('upstream_failed', `${upstream}: ${fault}`, { unreachable: true, cause })
}
