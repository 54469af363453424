import type { Client } from '@weir/client'
import type { Clock } from './clock.ts'

/** Creates a clock with the server's time, and one timer for all ages on the page. */
export function createPageClock(client: Pick<Client, 'now'>): Clock {
  const beats = new Set<() => void>()
  let timer: ReturnType<typeof setInterval> | undefined
  return {
    now: client.now,
    subscribe(beat) {
      beats.add(beat)
      timer ??= setInterval(() => {
        for (const each of beats) each()
      }, 1_000)
      return () => {
        beats.delete(beat)
        if (beats.size > 0) return
        clearInterval(timer)
        timer = undefined
      }
    },
  }
}
