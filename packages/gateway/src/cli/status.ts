import type { Gateway } from '../gateway-api.ts'

/** How often the line is redrawn, in milliseconds. */
const EVERY = 1000

/** Shows a line of figures at the bottom of a terminal. Returns a function that removes it. Does nothing without a terminal. */
export function showStatus(gateway: Gateway): () => void {
  const { stdout } = process
  if (!stdout.isTTY) return () => {}
  let before = gateway.metrics.summary
  const timer = setInterval(() => {
    const now = gateway.metrics.summary
    const perSecond = (name: 'requests' | 'messages' | 'upstreamCalls') => ((now[name] - before[name]) * 1000) / EVERY
    const reads = now.cacheReads - before.cacheReads
    const hits = reads === 0 ? '–' : `${Math.round(((now.cacheHits - before.cacheHits) / reads) * 100)} %`
    const parts = [
      gateway.level.now,
      `${now.connections.toLocaleString('en')} live`,
      `${perSecond('requests').toLocaleString('en')} requests/s`,
      `${perSecond('messages').toLocaleString('en')} messages/s`,
      `${perSecond('upstreamCalls').toLocaleString('en')} upstream calls/s`,
      `${hits} from cache`,
    ]
    before = now
    stdout.write(`\r\x1b[2K${parts.join('  ·  ').slice(0, stdout.columns - 1)}`)
  }, EVERY)
  timer.unref()
  return () => {
    clearInterval(timer)
    stdout.write('\r\x1b[2K')
  }
}
