import type { Client } from '@weir/client'
import { useSyncExternalStore } from 'react'
import { formatDuration } from './age.ts'
import type { Clock } from './clock.ts'

interface LostWordsProps {
  readonly clock: Clock
  readonly client: Pick<Client, 'status' | 'watchStatus' | 'retry'>
  /** What is still on the page: `The last prices are shown`. */
  readonly left: string
}

/** That the connection is lost, when it is tried again, and a button for trying now. */
export function LostWords({ clock, client, left }: LostWordsProps) {
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
