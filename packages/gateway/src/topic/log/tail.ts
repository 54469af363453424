import { formatVersion, type Version } from '@weir/protocol'
import type { LogBounds, LogHistory, LogLine } from '../../backend/ports.ts'
import type { Clock } from '../../clock.ts'
import { addressOf, Encoded, type Entry } from '../../entry.ts'
import type { Notice, Tail } from '../../hub/hub.ts'
import { gapAfter } from './gap.ts'
import { LoggedEvent } from './logged-event.ts'

interface Kept {
  readonly message: Encoded<Entry | Notice>
  /** Moment on the monotonic clock at which the event was added. */
  readonly since: number
  readonly bytes: number
}

/** Bytes of events beyond the history that stay for readers who lag. All readers of a topic share them. */
const FOR_LAGGING = 1024 ** 2

/** Bytes of a message besides its event. */
const MESSAGE = 200

/** The history of a log with listeners on this node: each event is encoded once, also for listeners that replay it. */
export class LogTail implements Tail {
  readonly #topic: string
  readonly #bounds: LogBounds
  readonly #clock: Clock
  readonly #kept: Kept[] = []
  #bytes = 0
  /** The count of the oldest event inside the history: from there on, there are events only, and none is missing. */
  #oldest = 0
  first = 0
  newest: Version = { epoch: 0, sequence: 0 }
  lineage: string | undefined

  constructor(topic: string, bounds: LogBounds, clock: Clock) {
    this.#topic = topic
    this.#bounds = bounds
    this.#clock = clock
  }

  /** Bytes of an event that is kept, on average; 0 when none is. */
  get usual(): number {
    return this.#kept.length === 0 ? 0 : this.#bytes / this.#kept.length - MESSAGE
  }

  at(count: number): Encoded<Entry | Notice> | undefined {
    return this.#kept[count - this.first]?.message
  }

  /** Where a reader begins that has come to `known`, and what it missed. Without `known` it begins with the oldest event. */
  resume(known: Version | undefined): { readonly from: number; readonly gap: Notice | undefined } {
    this.#trim()
    if (known === undefined) return { from: this.#oldest, gap: undefined }
    const { epoch, sequence: newest } = this.newest
    const to = gapAfter(known, { epoch, oldest: newest + 1 - (this.#next - this.#oldest), newest })
    return {
      from: this.#next - (newest - (to ?? known).sequence),
      gap: to === undefined ? undefined : this.#gap(known, to),
    }
  }

  /** Takes in what the log has. */
  fill(history: LogHistory): void {
    const { epoch, oldest } = history
    const begins = { epoch, sequence: oldest - 1 }
    if (this.newest.epoch === 0) this.newest = begins
    this.lineage = history.lineage
    const gap = gapAfter(this.newest, history)
    if (gap !== undefined) {
      this.#keep(this.#gap(this.newest, gap), this.#clock.now(), 0)
      this.newest = gap
      // Events before the gap are kept only for listeners that lag.
      this.#oldest = this.#next
    }
    for (const line of history.events) this.add(line)
  }

  /** Takes in the next event. False: events before it are missing. */
  add(line: LogLine): boolean {
    const { epoch, sequence } = this.newest
    if (line.epoch < epoch || (line.epoch === epoch && line.offset <= sequence)) return true
    // A log that had no events may begin a larger epoch with its first: nothing was lost.
    const next = line.offset === sequence + 1 && (line.epoch === epoch || sequence === 0)
    if (!next) return false
    this.newest = { epoch: line.epoch, sequence: line.offset }
    this.lineage = line.lineage
    this.#keep(new LoggedEvent(this.#topic, line), line.at, line.event.byteLength)
    this.#trim()
    return true
  }

  get #next(): number {
    return this.first + this.#kept.length
  }

  #keep(message: Notice, at: number, size: number): void {
    // The wall clock may have jumped since; what is older than that matters little while it is only filled in.
    const since = this.#clock.monotonic() - Math.max(0, this.#clock.now() - at)
    const bytes = MESSAGE + size
    this.#kept.push({ message: new Encoded<Entry | Notice>(message), since, bytes })
    this.#bytes += bytes
  }

  #trim(): void {
    const { events, age } = this.#bounds
    const before = this.#clock.monotonic() - age
    while (this.#next - this.#oldest > events || this.#isOlder(this.#oldest, before)) this.#oldest += 1
    while (this.first < this.#oldest && this.#bytes > FOR_LAGGING) {
      this.#bytes -= this.#kept.shift()?.bytes ?? 0
      this.first += 1
    }
  }

  #isOlder(count: number, before: number): boolean {
    const kept = this.#kept[count - this.first]
    return kept !== undefined && kept.since <= before
  }

  #gap(from: Version, to: Version): Notice {
    const line = this.lineage === undefined ? {} : { lineage: this.lineage }
    return { type: 'gap', topic: addressOf(this.#topic), ...line, from: formatVersion(from), to: formatVersion(to) }
  }
}
