import { useSyncExternalStore } from 'react'
import { formatAge, formatExactTime } from './age.ts'
import type { Clock } from './clock.ts'

interface AgeTextProps {
  readonly clock: Clock
  /** Start of the age, in milliseconds since 1970 by the same clock. */
  readonly since: number
  /** A label for the exact time on hover: `confirmed`. */
  readonly what: string
  /** Interval of confirmations, in milliseconds. A smaller age is not shown, because it would be no more precise. */
  readonly every?: number | undefined
}

/** An age such as `12 s ago`, kept up to date. It renders only when the text changes, so a page can show hundreds. */
export function AgeText({ clock, since, what, every = 0 }: AgeTextProps) {
  const words = useSyncExternalStore(clock.subscribe, () => {
    const age = clock.now() - since
    return age < every ? `< ${formatAge(every)}` : formatAge(age)
  })
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
