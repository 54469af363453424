import { useSyncExternalStore } from 'react'
import { formatAge, formatExactTime } from './age.ts'
import type { Clock } from './clock.ts'

interface AgeTextProps {
  readonly clock: Clock
  /** Milliseconds since 1970 by the same clock. */
  readonly since: number
  /** What happened then, for the exact time on hover: `confirmed`. */
  readonly what: string
}

/** `12 s ago`, kept up to date. Renders again only when its words change, so a page may show hundreds. */
export function AgeText({ clock, since, what }: AgeTextProps) {
  const words = useSyncExternalStore(clock.subscribe, () => formatAge(clock.now() - since))
  return (
    <time
      className="age"
      dateTime={new Date(since).toISOString()}
      title={`${what} ${formatExactTime(since, clock.now())}`}
    >
      {words}
    </time>
  )
}
