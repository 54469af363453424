import type { Clock } from '../clock.ts'
import type { Listener } from './channel.ts'

/** A server that stops closes this many connections at once, and more every so many milliseconds. */
const AT_ONCE = 100
const EVERY = 50

export interface Closing {
  readonly clock: Clock
  /** Milliseconds; the last connection is closed after four fifths of them. */
  readonly within: number
  /** Milliseconds after which a client comes back. */
  readonly retry: () => number
  /** Sends what is pending. */
  readonly flush: () => void
}

/** Sends a goodbye to each listener, and closes its connection. */
export async function closeListeners(
  listeners: ReadonlySet<Listener>,
  { clock, within, retry, flush }: Closing,
): Promise<void> {
  const all = [...listeners]
  const rounds = Math.max(1, Math.floor((within * 0.8) / EVERY))
  const most = Math.max(AT_ONCE, Math.ceil(all.length / rounds))
  for (let next = 0; next < all.length; next += most) {
    if (next > 0) await new Promise<void>((resolve) => clock.after(EVERY, resolve))
    flush()
    for (const listener of all.slice(next, next + most)) {
      if (!listeners.has(listener)) continue
      listener.connection.write(listener.wire.encode({ type: 'goodbye', retry: retry() }))
      listener.connection.close()
    }
  }
}
