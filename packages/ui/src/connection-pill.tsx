import type { Status, Transport } from '@weir/client'
import { useSyncExternalStore } from 'react'
import { formatAge, formatDuration } from './age.ts'
import type { Clock } from './clock.ts'
import { type ConnectionStatus, StatusPill } from './status-pill.tsx'

/** Labels of the transports. */
export const TRANSPORTS: Readonly<Record<Transport, string>> = { sse: 'SSE', ws: 'WebSocket', poll: 'Polling' }

interface ConnectionPillProps {
  readonly clock: Clock
  readonly status: Status
  /** Number of values on the page that are stale or failed to load. */
  readonly stale: number
  /** Number of values on the page. */
  readonly total: number
  /** The earliest confirmation of a stale value, in milliseconds since 1970; Infinity if none was ever received. */
  readonly oldest: number
  /** Label of the values in the list of facts: `Tokens`. */
  readonly what: string
}

/** Shows the state of the connection. */
export function ConnectionPill({ clock, status, stale, total, oldest, what }: ConnectionPillProps) {
  const online = useOnline()
  const shown = Number.isFinite(oldest)
  const word = connectionWord(status, stale, online)
  const detail = useSyncExternalStore(clock.subscribe, () => {
    if (word === 'stale')
      return stale < total ? `${stale} of ${total}` : shown ? formatDuration(clock.now() - oldest) : undefined
    return status.lostAt === undefined ? undefined : formatDuration(Date.now() - status.lostAt)
  })
  const facts: [string, string][] = [
    ['Transport', status.transport === undefined ? 'none' : TRANSPORTS[status.transport]],
    ['Gateway level', status.level ?? 'not known'],
    ['Heartbeat', status.heartbeat === undefined ? 'not known' : `every ${formatDuration(status.heartbeat)}`],
    [what, String(total)],
  ]
  if (stale > 0) facts.push(['Stale', shown ? `${stale}, oldest ${formatAge(clock.now() - oldest)}` : String(stale)])
  return <StatusPill status={word} detail={detail} facts={facts} />
}

function connectionWord({ state }: Status, stale: number, online: boolean): ConnectionStatus {
  if (state === 'live' || state === 'stale') return stale > 0 ? 'stale' : 'live'
  if (state === 'idle') return 'idle'
  if (!online) return 'offline'
  return state === 'offline' ? 'reconnecting' : 'connecting'
}

function useOnline(): boolean {
  return useSyncExternalStore(
    (changed) => {
      addEventListener('online', changed)
      addEventListener('offline', changed)
      return () => {
        removeEventListener('online', changed)
        removeEventListener('offline', changed)
      }
    },
    () => navigator.onLine,
  )
}
