import type { Ask, MaybePromise } from '../call.ts'
import type { Entry, Stored } from '../entry.ts'

/** The read path as topics see it; the pipeline makes one for each feed. */
export interface ReadPath {
  /** An entry that is kept comes at once, others as a promise. */
  read(ask: Ask): MaybePromise<Entry>
  /** The entry that would be served without asking. */
  fresh(topic: string): Entry | undefined
  /** Whatever is kept, however old. */
  kept(topic: string): Entry | undefined
  accept(topic: string, key: unknown, stored: Stored): Entry
  /** Until when an entry is fresh by its age alone, on the monotonic clock. */
  freshUntil(entry: Entry): number
  /** Milliseconds for which an entry is served without asking. */
  left(entry: Entry): number
  drop(topic: string): Promise<void>
  forget(topic: string): void
  /** Takes a value that came by itself. Undefined while another node asks for it. Throws when its schema refuses it. */
  put(topic: string, value: unknown): Promise<Stored | undefined>
  /** The origin confirms what is kept. */
  holds(topic: string): void
  tagged(tag: string): readonly string[]
  /** Whether nothing may be asked for now. */
  resting(): boolean
  /** Takes the calls a second that watched values want, and returns how many of them the budget allows. */
  allot(wish: number): number
}
