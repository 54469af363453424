import type { Memory } from './client.ts'
import type { Entry } from './entry.ts'

/** How long until a change is in storage, in milliseconds. */
const SAVE = 2000

/**
 * Keeps the last values over visits, in `localStorage` unless told: a page that is opened offline shows them with their age. Of `most`
 * topics, 200 unless told, those that were heard last.
 */
export function keepValues({
  storage = localStorage,
  key = 'weir.values',
  most = 200,
}: {
  readonly storage?: Pick<Storage, 'getItem' | 'setItem'>
  readonly key?: string
  readonly most?: number
} = {}): Memory {
  const entries = new Map(load(storage, key).map((entry) => [entry.topic, entry]))
  let saving: ReturnType<typeof setTimeout> | undefined
  function save(): void {
    clearTimeout(saving)
    saving = undefined
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
      // The last one heard stands last.
      entries.delete(entry.topic)
      entries.set(entry.topic, entry)
      saving ??= setTimeout(save, SAVE)
    },
  }
}

function load(storage: Pick<Storage, 'getItem'>, key: string): readonly Entry[] {
  try {
    const entries: unknown = JSON.parse(storage.getItem(key) ?? '[]')
    return Array.isArray(entries) ? entries : []
  } catch {
    return []
  }
}
