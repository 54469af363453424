import { compareVersions, formatVersion, judge, type Line, newLine, type Version } from '@weir/protocol'
import type { LogBounds, LogHistory, LogLine, Logs } from '../../backend/ports.ts'
import type { Clock, Timer } from '../../clock.ts'
import { WeirError } from '../../errors.ts'
import type { Origin, OriginNews } from './origin.ts'
import type { OriginCall } from './origin-value.ts'

export interface OriginLogsParts {
  readonly origin: Pick<Origin, 'follow' | 'leave' | 'hears'>
  readonly call: Pick<OriginCall, 'history'>
  /** What of each log is kept here. */
  readonly bounds: LogBounds
  readonly clock: Clock
}

/** A log that somebody listens to. */
interface Followed {
  readonly log: string
  readonly tell: (line: LogLine) => void
  /** What is kept here is to be read again. */
  readonly missed: () => void
  /** Of which line of epochs the positions are, and which lines were left. */
  readonly line: Line
  /** What was read and followed; undefined until it was read once. */
  history: History | undefined
  /** Events after the history are missing: the next reader waits until they are read. */
  holed: boolean
  /** The connection is at another position than the history, or could not be read from: the log is polled too. */
  astray: boolean
  /** Whether the origin was asked to send what comes. */
  following: boolean
  /** Reading under way. */
  filling: Promise<void> | undefined
}

interface History extends Omit<LogHistory, 'events' | 'epoch'> {
  readonly epoch: number
  oldest: number
  newest: number
  readonly events: LogLine[]
}

/** How often a log is polled that does not come by itself, in milliseconds. */
const POLL_EVERY = 1000

/** So many epochs are remembered. */
const MOST_EPOCHS = 10_000

/** The most events of one page. */
const PAGE = 1000

/**
 * The logs of an origin, each event where it stands there. A log with listeners is kept here, and served from here; any other is read there.
 *
 * Positions of a log that is kept here only rise, as versions of values do: an origin whose epochs went back is followed once nothing else was
 * acceptable for `START_OVER_AFTER`, so two origins that answer in turns do not move the log back and forth.
 */
export function originLogs({ origin, call, bounds, clock }: OriginLogsParts): Logs {
  const followed = new Map<string, Followed>()
  /** The last epoch of each log that was read, to say where to read on. */
  const epochs = new Map<string, number>()
  let poll: Timer | undefined

  async function ask(log: string, after: number, most: number): Promise<LogHistory> {
    if (after <= 0) return page(log, undefined, most)
    const epoch = epochs.get(log) ?? (await page(log, undefined, 1)).epoch
    const history = await page(log, formatVersion({ epoch, sequence: after }), most)
    // A position of another epoch is answered with all that is kept.
    return history.epoch === epoch ? history : page(log, formatVersion({ epoch: history.epoch, sequence: after }), most)
  }

  async function page(log: string, after: string | undefined, most: number): Promise<LogHistory> {
    const history = await call.history(log, after, Math.min(PAGE, Math.max(1, most)))
    epochs.delete(log)
    epochs.set(log, history.epoch)
    const [eldest] = epochs.size > MOST_EPOCHS ? epochs.keys() : []
    if (eldest !== undefined) epochs.delete(eldest)
    return { ...history, events: history.events.slice(0, most) }
  }

  /** Brings the history up to what the origin has. One call at a time; what came meanwhile is kept. */
  function readOn(one: Followed): Promise<void> {
    one.filling ??= readPages(one)
      .catch((thrown) => {
        // Cut off: what is here stays here, and is sent on when the origin is back.
        one.astray = true
        throw thrown
      })
      .finally(() => {
        one.filling = undefined
      })
    return one.filling
  }

  async function readPages(one: Followed): Promise<void> {
    one.holed = false
    for (let count = 0; count < bounds.events; ) {
      const { history } = one
      const next = await page(one.log, history && formatVersion(placeOf(history)), PAGE)
      if (followed.get(one.log) !== one) return
      if (!take(one, next) || next.events.length === 0) break
      count += next.events.length
      if (one.history !== undefined && one.history.newest >= next.newest) break
    }
    if (one.history === undefined || one.following) return
    one.following = true
    origin.follow(one.log, (news) => hear(one, news), formatVersion(placeOf(one.history)))
    poll ??= clock.after(POLL_EVERY, () => void pollAll())
  }

  /** Takes in a page. False: it is older than what is kept, or of a line that is not followed. */
  function take(one: Followed, next: LogHistory): boolean {
    const { history } = one
    if (!follows(one, placeOf(next), next.lineage, true)) {
      one.astray = true
      return false
    }
    if (history !== undefined && next.epoch === history.epoch && next.oldest <= history.newest + 1) {
      for (const line of next.events) if (add(one, line)) one.tell(line)
      return true
    }
    const events = [...next.events]
    one.history = { ...next, events, newest: events.at(-1)?.offset ?? next.newest }
    if (history !== undefined) one.missed()
    return true
  }

  /** Whether a position of the origin is to be followed. `whole`: what is kept there comes with it. */
  function follows(one: Followed, place: Version, lineage: string | undefined, whole = false): boolean {
    return judge(one.line, lineage, orderOf(one, place), clock.monotonic(), whole) !== 'refuse'
  }

  /** Drops what is too old or too many. */
  function trim(history: History): void {
    const { events } = history
    const young = events.findIndex(({ at }) => at > clock.now() - bounds.age)
    const surplus = Math.max(young === -1 ? events.length : young, events.length - bounds.events)
    if (surplus > 0) events.splice(0, surplus)
    history.oldest = events[0]?.offset ?? history.newest + 1
  }

  function hear(one: Followed, news: OriginNews): void {
    if (news.type === 'event') {
      const { line } = news
      one.astray = !follows(one, { epoch: line.epoch, sequence: line.offset }, line.lineage)
      if (!one.astray && add(one, line)) one.tell(line)
    } else if (news.type === 'gap') {
      const missing = orderOf(one, news.to) > 0
      one.astray = !follows(one, news.to, news.lineage)
      if (one.astray || !missing) return
      one.holed = true
      one.missed()
    } else if (news.type === 'stands') {
      const order = orderOf(one, news.at)
      // A newer event that did not come got lost, or a page was ahead of the connection.
      one.astray = order > 0 || !follows(one, news.at, news.lineage)
    }
  }

  /** Keeps an event. False: it is known already. */
  function add(one: Followed, line: LogLine): boolean {
    const { history } = one
    if (history === undefined) return false
    const { epoch, newest } = history
    if (compareVersions({ epoch: line.epoch, sequence: line.offset }, placeOf(history)) <= 0) return false
    if (line.epoch === epoch && line.offset === newest + 1) {
      history.events.push(line)
      history.newest = line.offset
      trim(history)
    } else one.holed = true
    return true
  }

  /** Reads on where the connection brings nothing, or something else than what is kept here. */
  async function pollAll(): Promise<void> {
    const mine = poll
    await Promise.all(
      [...followed].map(async ([log, one]) => {
        if (one.history === undefined || (origin.hears(log) && !one.astray && !one.holed)) return
        await readOn(one).catch(() => {})
      }),
    )
    if (poll !== mine) return
    poll = followed.size === 0 ? undefined : clock.after(POLL_EVERY, () => void pollAll())
  }

  function refused(log: string): Promise<never> {
    const detail = `${log}: expected an event at the origin, got one at a region: publish it there`
    return Promise.reject(new WeirError('not_published', detail))
  }

  return {
    append: refused,
    appendAfter: refused,

    async read(log, after, most) {
      const one = followed.get(log)
      if (one === undefined) return ask(log, after, most)
      if (one.history === undefined) await readOn(one)
      else if (one.holed) await readOn(one).catch(() => {})
      if (one.history === undefined) return ask(log, after, most)
      trim(one.history)
      const { events, oldest } = one.history
      const from = Math.max(0, after + 1 - oldest)
      return { ...one.history, events: events.slice(from, from + most) }
    },

    subscribe(log, tell, missed = () => {}) {
      const line = newLine()
      const state = { history: undefined, holed: false, astray: false, following: false, filling: undefined }
      const one: Followed = { log, tell, missed, line, ...state }
      followed.set(log, one)
      return () => {
        if (followed.get(log) === one) followed.delete(log)
        if (one.following) origin.leave(log)
        if (followed.size > 0) return
        poll?.stop()
        poll = undefined
      }
    },
  }
}

/** Above zero when a position is newer than what is kept, zero when it is the newest. */
function orderOf({ history }: Followed, place: Version): number {
  return history === undefined ? 1 : compareVersions(place, placeOf(history))
}

/** Where a history ends. */
function placeOf({ epoch, newest }: Pick<LogHistory, 'epoch' | 'newest'>): Version {
  return { epoch, sequence: newest }
}
