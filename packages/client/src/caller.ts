import type { Ports } from './ports.ts'

/** What pages of one browser tell each other of the caller whom a server serves. */
export type CallerNews =
  /** A connection of another page serves this caller: an opaque text of the server, empty where it knows none. */
  | { readonly caller: string }
  /** Another page signed in or out. */
  | { readonly changed: true }

export interface CallerChannel {
  tell(news: CallerNews): void
  close(): void
}

/** How long the service worker may take to forget, in milliseconds. */
const FORGETS_WITHIN = 3000

/** An address of a server as it stands in names: the same for all spellings of it. */
export function nameOf(url: string): string {
  return (URL.parse(url, globalThis.location?.href)?.href ?? url).replace(/\/+$/, '')
}

/** All pages and workers of this origin that speak with the server at `url`. There are none outside of browsers. */
export function openCallerChannel(url: string, hear: (news: CallerNews) => void): CallerChannel | undefined {
  if (!globalThis.location || !globalThis.BroadcastChannel) return undefined
  const channel = new BroadcastChannel(`weir.caller ${nameOf(url)}`)
  channel.onmessage = ({ data }: MessageEvent<CallerNews>) => hear(data)
  return { tell: (news) => channel.postMessage(news), close: () => channel.close() }
}

/** Has the service worker of `keepPage()` drop what it keeps, and what is under way to it. */
export function forgetPages(ports: Ports): Promise<void> {
  const worker = globalThis.navigator?.serviceWorker?.controller
  if (!worker) return Promise.resolve()
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    const end = () => {
      stop()
      port1.close()
      resolve()
    }
    const stop = ports.after(FORGETS_WITHIN, end)
    port1.onmessage = end
    worker.postMessage({ weir: 'forget' }, [port2])
  })
}
