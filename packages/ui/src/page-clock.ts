import type { Client } from '@weir/client'
import type { Clock } from './clock.ts'

/** The server's time as the client knows it, and one timer for every age on the page. */
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
