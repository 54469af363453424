import type { Memory } from './client.ts'
import type { Entry } from './entry.ts'

/** Delay until changes are written to storage, in milliseconds. */
const SAVE_DELAY = 2000

/** The default prefix of storage keys. Earlier releases used it alone as the key, and that value may be private. */
const DEFAULT_PREFIX = 'weir.values'

/** The parts of `localStorage` that are used. */
type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

/**
 * Stores the last values between visits, in `localStorage` by default: a page opened offline shows them with their age.
 * Keeps the latest `most` topics, 200 by default. Private values are never stored, so it does not matter which caller
 * opens the page next.
 */
export function keepValues({
  storage = localStorage,
  key: prefix = DEFAULT_PREFIX,
  most = 200,
}: {
  readonly storage?: Store
  /** Prefix of the storage key: `weir.values` by default. The server's address follows. */
  readonly key?: string
  readonly most?: number
} = {}): (url: string) => Memory {
  return (url) => {
    const key = `${prefix} ${url}`
    remove(storage, DEFAULT_PREFIX)
    const entries = new Map(load(storage, key).map((entry) => [entry.topic, entry]))
    let saving: ReturnType<typeof setTimeout> | undefined
    function stopSaving(): void {
      clearTimeout(saving)
      saving = undefined
    }
    function save(): void {
      stopSaving()
      try {
        storage.setItem(key, JSON.stringify([...entries.values()].slice(-most)))
      } catch {
        // Storage is blocked or full. This visit still has its values in memory.
      }
    }
    globalThis.addEventListener?.('pagehide', save)
    return {
      get: (topic) => entries.get(topic),
      set(entry) {
        if (entry.private) return
        // The newest comes last.
        entries.delete(entry.topic)
        entries.set(entry.topic, entry)
        saving ??= setTimeout(save, SAVE_DELAY)
      },
      clear() {
        stopSaving()
        entries.clear()
        remove(storage, key)
      },
    }
  }
}

function load(storage: Store, key: string): readonly Entry[] {
  try {
    const entries: unknown = JSON.parse(storage.getItem(key) ?? '[]')
    return Array.isArray(entries) ? entries : []
  } catch {
    return []
  }
}

function remove(storage: Store, key: string): void {
  try {
    storage.removeItem(key)
  } catch {
    // Storage is blocked, so nothing is stored.
  }
}
