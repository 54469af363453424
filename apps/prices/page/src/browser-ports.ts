import type { FeedPorts } from './feed-connection.ts'

const EVENTS = ['hello', 'snapshot', 'absent', 'heartbeat', 'level', 'goodbye']

/** The browser's EventSource, timers and chance. */
export const browserPorts: FeedPorts = {
  open(url, hear) {
    const source = new EventSource(url)
    for (const type of EVENTS) source.addEventListener(type, (event) => hear.event(type, event.data))
    // Two things come as "error": the server's message of that name, which has data, and the failure of the stream.
    source.addEventListener('error', (event) => {
      if (event instanceof MessageEvent) hear.event('error', String(event.data))
      else hear.failed()
    })
    return source
  },
  now: () => performance.now(),
  after(milliseconds, task) {
    const timer = setTimeout(task, milliseconds)
    return () => clearTimeout(timer)
  },
  random: Math.random,
}
