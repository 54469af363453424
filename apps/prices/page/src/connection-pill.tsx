import type { Status, Transport } from '@weir/client'
import { type ConnectionStatus, formatAge, formatDuration, StatusPill } from '@weir/ui'
import { useSyncExternalStore } from 'react'
import { usePage } from './page-context.ts'
import { useStatus, useWatchlist } from './page-hooks.ts'
import { useStaleness } from './use-staleness.ts'

const TRANSPORTS: Readonly<Record<Transport, string>> = { sse: 'SSE', ws: 'WebSocket', poll: 'Polling' }

/** How the connection is doing, in a word. */
export function ConnectionPill() {
  const { clock } = usePage()
  const status = useStatus()
  const { mints } = useWatchlist()
  const { stale, oldest } = useStaleness()
  const online = useOnline()
  const word = connectionWord(status, stale, online)
  const detail = useSyncExternalStore(clock.subscribe, () => {
    if (word === 'stale') {
      return stale < mints.length ? `${stale} of ${mints.length}` : formatDuration(clock.now() - oldest)
    }
    return status.lostAt === undefined ? undefined : formatDuration(Date.now() - status.lostAt)
  })
  const facts: [string, string][] = [
    ['Transport', status.transport === undefined ? 'none' : TRANSPORTS[status.transport]],
    ['Gateway level', status.level ?? 'not known'],
    ['Heartbeat', status.heartbeat === undefined ? 'not known' : `every ${formatDuration(status.heartbeat)}`],
    ['Tokens', String(mints.length)],
  ]
  if (stale > 0) facts.push(['Stale', `${stale}, oldest ${formatAge(clock.now() - oldest)}`])
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
