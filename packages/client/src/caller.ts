import type { Ports } from './ports.ts'

/** Messages between pages of one browser about the caller that a server serves. */
export type CallerMessage =
  /** A connection of another page serves this caller: an opaque text of the server, empty if it knows none. */
  | { readonly caller: string }
  /** Another page signed in or out. */
  | { readonly changed: true }

export interface CallerChannel {
  send(message: CallerMessage): void
  close(): void
}

/** How long the service worker may take to drop its cache, in milliseconds. */
const FORGET_TIMEOUT = 3000

/** The address of a server in names: the same for all its spellings. */
export function nameOf(url: string): string {
  return (URL.parse(url, globalThis.location?.href)?.href ?? url).replace(/\/+$/, '')
}

/** A channel to all pages and workers of this origin that use the server at `url`. It exists only in browsers. */
export function openCallerChannel(url: string, listener: (message: CallerMessage) => void): CallerChannel | undefined {
  if (!globalThis.location || !globalThis.BroadcastChannel) return undefined
  const channel = new BroadcastChannel(`weir.caller ${nameOf(url)}`)
  channel.onmessage = ({ data }: MessageEvent<CallerMessage>) => listener(data)
  return { send: (message) => channel.postMessage(message), close: () => channel.close() }
}

/** Makes the service worker of `keepPage()` drop its cache and discard answers under way. */
export function forgetPages(ports: Ports): Promise<void> {
  const worker = globalThis.navigator?.serviceWorker?.controller
  if (!worker) return Promise.resolve()
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    const finish = () => {
      stop()
      port1.close()
      resolve()
    }
    const stop = ports.after(FORGET_TIMEOUT, finish)
    port1.onmessage = finish
    worker.postMessage({ weir: 'forget' }, [port2])
  })
}
