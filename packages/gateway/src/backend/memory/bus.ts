import type { Stored } from '../../entry.ts'
import type { Bus } from '../ports.ts'

/** Listeners inside one process, called at once. */
export function memoryBus(): Bus {
  const channels = new Map<string, Set<(message: Stored) => void>>()

  return {
    publish(channel, message) {
      for (const listener of channels.get(channel) ?? []) listener(message)
    },

    subscribe(channel, listener) {
      const listeners = channels.get(channel) ?? new Set()
      channels.set(channel, listeners.add(listener))
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0 && channels.get(channel) === listeners) channels.delete(channel)
      }
    },
  }
}
