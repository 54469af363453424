import type { Client } from '@weir/client'
import { useSyncExternalStore } from 'react'
import { formatDuration } from './age.ts'
import type { Clock } from './clock.ts'

interface LostConnectionProps {
  readonly clock: Clock
  readonly client: Pick<Client, 'status' | 'watchStatus' | 'retry'>
  /** A sentence about the remaining content: `The last prices are shown`. */
  readonly left: string
}

/** A message about a lost connection, with the time of the next attempt and a button to retry now. */
export function LostConnection({ clock, client, left }: LostConnectionProps) {
  const { retryAt } = useSyncExternalStore(client.watchStatus, client.status)
  const next = useSyncExternalStore(clock.subscribe, () =>
    retryAt === undefined ? 'trying now' : `next try in ${formatDuration(retryAt - Date.now() + 999)}`,
  )
  return (
    <>
      Connection lost. {left}; {next}.{' '}
      <button type="button" className="link-button" onClick={() => client.retry()}>
        Try now
      </button>
    </>
  )
}
