import type { Entry } from '../../entry.ts'

/** The most topics that are remembered. */
const MOST = 10_000

/**
 * The last versions that listeners of a whole feed were sent of topics that are no longer watched: when one is watched again they are not sent the
 * same version once more.
 */
export class SentVersions {
  /** How many listeners of the whole feed there were so far. */
  #joins = 0
  readonly #topics = new Map<string, { readonly version: string; readonly joins: number }>()

  joined(): void {
    this.#joins += 1
  }

  /** A topic is no longer watched. */
  ended(topic: string, latest: Entry | undefined, listeners: number): void {
    if (listeners === 0) this.#topics.clear()
    else if (latest !== undefined) this.#topics.set(topic, { version: latest.versionText, joins: this.#joins })
    const [oldest] = this.#topics.keys()
    if (this.#topics.size > MOST && oldest !== undefined) this.#topics.delete(oldest)
  }

  /** Whether all listeners of the whole feed were sent this entry. */
  wasSent(entry: Entry): boolean {
    const known = this.#topics.get(entry.topic)
    return known?.version === entry.versionText && known.joins === this.#joins
  }
}
