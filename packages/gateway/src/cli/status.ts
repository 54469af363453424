import type { Gateway } from '../gateway-api.ts'

/** How often the line is drawn anew, in milliseconds. */
const EVERY = 1000

/** Keeps one line of figures at the foot of a terminal; nothing where there is none. Returns how to take it away. */
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
      `from memory ${hits}`,
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
