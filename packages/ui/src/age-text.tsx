import { useSyncExternalStore } from 'react'
import { formatAge, formatExactTime } from './age.ts'
import type { Clock } from './clock.ts'

interface AgeTextProps {
  readonly clock: Clock
  /** Milliseconds since 1970 by the same clock. */
  readonly since: number
  /** What happened then, for the exact time on hover: `confirmed`. */
  readonly what: string
  /** How often it is said anew at least, in milliseconds: a smaller age is not known any better. */
  readonly every?: number | undefined
}

/** `12 s ago`, kept up to date. Renders again only when its words change, so a page may show hundreds. */
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
