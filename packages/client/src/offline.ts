import type { Memory } from './client.ts'
import type { Entry } from './entry.ts'

/** How long until a change is in storage, in milliseconds. */
const SAVE = 2000

/** Where values lay before the key had the server's address in it; private ones may be among them. */
const BEFORE = 'weir.values'

/** What is needed of `localStorage`. */
type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>

/**
 * Keeps the last values over visits, in `localStorage` by default: a page that is opened offline shows them with their age. Of `most` topics,
 * 200 by default, those that came last. Private values are never kept, so it does not matter which caller opens the page next.
 */
export function keepValues({
  storage = localStorage,
  key: prefix = BEFORE,
  most = 200,
}: {
  readonly storage?: Store
  /** How their key in the storage begins: `weir.values` by default. The server's address follows. */
  readonly key?: string
  readonly most?: number
} = {}): (url: string) => Memory {
  return (url) => {
    const key = `${prefix} ${url}`
    remove(storage, BEFORE)
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
        // Storage is blocked or full: this visit has its values all the same.
      }
    }
    globalThis.addEventListener?.('pagehide', save)
    return {
      get: (topic) => entries.get(topic),
      set(entry) {
        if (entry.private) return
        // The newest one stands last.
        entries.delete(entry.topic)
        entries.set(entry.topic, entry)
        saving ??= setTimeout(save, SAVE)
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
    // Storage is blocked: nothing is there.
  }
}
