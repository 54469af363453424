import { type ConnectionStatus, formatAge, formatDuration, StatusPill } from '@weir/ui'
import { useSyncExternalStore } from 'react'
import { usePage } from './page-context.ts'
import { useFeedStatus, useWatchlist } from './page-hooks.ts'
import type { FeedStatus } from './price-feed.ts'
import { useStaleness } from './use-staleness.ts'

/** How the connection is doing, in a word. */
export function ConnectionPill() {
  const { clock, feed } = usePage()
  const status = useFeedStatus()
  const { mints } = useWatchlist()
  const { stale, oldest } = useStaleness()
  const online = useOnline()
  const word = connectionWord(status, stale, online)
  const detail = useSyncExternalStore(clock.subscribe, () => {
    if (word === 'stale') {
      return stale < mints.length ? `${stale} of ${mints.length}` : formatDuration(clock.now() - oldest)
    }
    return status.lostAt === undefined ? undefined : formatDuration(feed.now() - status.lostAt)
  })
  const facts: [string, string][] = [
    ['Transport', 'SSE'],
    ['Gateway level', status.level ?? 'not known'],
    ['Heartbeat', status.heartbeat === undefined ? 'not known' : `every ${formatDuration(status.heartbeat)}`],
    ['Tokens', String(mints.length)],
  ]
  if (stale > 0) facts.push(['Stale', `${stale}, oldest ${formatAge(clock.now() - oldest)}`])
  return <StatusPill status={word} detail={detail} facts={facts} />
}

function connectionWord(status: FeedStatus, stale: number, online: boolean): ConnectionStatus {
  if (status.phase === 'idle') return 'idle'
  if (status.phase === 'live') return stale > 0 ? 'stale' : 'live'
  if (!online) return 'offline'
  return status.phase === 'lost' ? 'reconnecting' : 'connecting'
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
