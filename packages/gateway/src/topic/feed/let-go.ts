import type { Entry } from '../../entry.ts'

/** Topics that are remembered. */
const MOST = 10_000

/**
 * What those who listen to a whole feed were told last of topics that nobody watches any more: when one is watched again they need not hear the
 * same version once more.
 */
export class LetGo {
  /** How often anybody began to listen to everything. */
  #joins = 0
  readonly #topics = new Map<string, { readonly version: string; readonly joins: number }>()

  joined(): void {
    this.#joins += 1
  }

  /** Nobody watches it any more. */
  add(topic: string, latest: Entry | undefined, listeners: number): void {
    if (listeners === 0) this.#topics.clear()
    else if (latest !== undefined) this.#topics.set(topic, { version: latest.versionText, joins: this.#joins })
    const [oldest] = this.#topics.keys()
    if (this.#topics.size > MOST && oldest !== undefined) this.#topics.delete(oldest)
  }

  /** Whether all who listen to everything now were told this entry. */
  knows(entry: Entry): boolean {
    const known = this.#topics.get(entry.topic)
    return known?.version === entry.versionText && known.joins === this.#joins
  }
}
