import { compareVersions, formatVersion } from '@weir/protocol'
import type { LogBounds, LogHistory, LogLine, Logs } from '../backend/ports.ts'
import type { Clock, Timer } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Origin, OriginNews } from './origin.ts'
import type { OriginCall } from './told.ts'

export interface OriginLogsParts {
  readonly origin: Pick<Origin, 'follow' | 'leave' | 'hears'>
  readonly call: Pick<OriginCall, 'history'>
  /** What of each log is kept here. */
  readonly bounds: LogBounds
  readonly clock: Clock
}

/** A log that somebody listens to. */
interface Followed {
  readonly tell: (line: LogLine) => void
  /** Events are missing before what comes next. */
  readonly missed: () => void
  /** What was read and heard; undefined until it was read once, and when events are missing in it. */
  history: { readonly epoch: number; oldest: number; newest: number; readonly events: LogLine[] } | undefined
  /** Whether the origin was asked to tell what comes. */
  following: boolean
  /** What came while it was read. */
  readonly early: LogLine[]
  /** Reading under way. */
  filling: Promise<void> | undefined
}

/** How often what can't be heard is asked for, in milliseconds. */
const POLL_EVERY = 1000

/** So many epochs are remembered. */
const MOST_EPOCHS = 10_000

/** The most events of one page. */
const PAGE = 1000

/**
 * The logs of an origin, each event where it stands there. What somebody listens to is kept here, and served from here; what nobody
 * does is read there.
 */
export function originLogs({ origin, call, bounds, clock }: OriginLogsParts): Logs {
  const followed = new Map<string, Followed>()
  /** The last epoch of each log that was read, to say where to read on. */
  const epochs = new Map<string, number>()
  let poll: Timer | undefined

  async function ask(log: string, after: number, most: number): Promise<LogHistory> {
    const epoch = epochs.get(log) ?? (after > 0 ? (await page(log, undefined, 1)).epoch : 0)
    return page(log, after > 0 ? formatVersion({ epoch, sequence: after }) : undefined, most)
  }

  async function page(log: string, after: string | undefined, most: number): Promise<LogHistory> {
    const history = await call.history(log, after, Math.min(PAGE, Math.max(1, most)))
    epochs.delete(log)
    epochs.set(log, history.epoch)
    const [eldest] = epochs.size > MOST_EPOCHS ? epochs.keys() : []
    if (eldest !== undefined) epochs.delete(eldest)
    return { ...history, events: history.events.slice(0, most) }
  }

  /** All that the origin has, and from then on what comes. */
  async function fill(log: string, one: Followed): Promise<void> {
    const { epoch, oldest, newest, events } = await page(log, undefined, bounds.events)
    const all = [...events]
    let last = all.at(-1)?.offset ?? newest
    while (last < newest && all.length < bounds.events) {
      const next = await page(log, formatVersion({ epoch, sequence: last }), bounds.events - all.length)
      // It began anew meanwhile, or dropped what we had yet to read: what is told next shows that.
      if (next.epoch !== epoch || next.events.length === 0 || next.events[0]?.offset !== last + 1) break
      all.push(...next.events)
      last = all.at(-1)?.offset ?? last
    }
    one.history = { epoch, oldest, newest: last, events: all }
    for (const line of one.early.splice(0)) add(one, line)
    if (one.following || followed.get(log) !== one) return
    one.following = true
    origin.follow(log, (news) => hear(one, news), formatVersion({ epoch, sequence: last }))
    poll ??= clock.after(POLL_EVERY, () => void pollAll())
  }

  /** Drops what is too old or too many. */
  function trim(history: NonNullable<Followed['history']>): void {
    const { events } = history
    const young = events.findIndex(({ at }) => at > clock.now() - bounds.age)
    const surplus = Math.max(young === -1 ? events.length : young, events.length - bounds.events)
    if (surplus > 0) events.splice(0, surplus)
    history.oldest = events[0]?.offset ?? history.newest + 1
  }

  function hear(one: Followed, news: OriginNews): void {
    if (news.type === 'gap') {
      one.history = undefined
      one.missed()
    } else if (news.type === 'event' && add(one, news.line)) one.tell(news.line)
  }

  /** Keeps an event. False: it is known already. */
  function add(one: Followed, line: LogLine): boolean {
    const { history } = one
    if (history === undefined) {
      one.early.push(line)
      return true
    }
    const { epoch, newest } = history
    if (compareVersions({ epoch: line.epoch, sequence: line.offset }, { epoch, sequence: newest }) <= 0) return false
    if (line.epoch === epoch && line.offset === newest + 1) {
      history.events.push(line)
      history.newest = line.offset
      trim(history)
    } else one.history = undefined
    return true
  }

  /** What the origin does not tell, since no WebSocket is to be had, is asked for. */
  async function pollAll(): Promise<void> {
    const mine = poll
    await Promise.all(
      [...followed].map(async ([log, one]) => {
        if (one.history === undefined || origin.hears(log)) return
        const { epoch, newest } = one.history
        // Cut off: what is here stays here, and is told on when the origin is back.
        const next = await page(log, formatVersion({ epoch, sequence: newest }), PAGE).catch(() => undefined)
        if (next === undefined || followed.get(log) !== one) return
        if (next.epoch !== epoch || next.oldest > newest + 1) hear(one, { type: 'gap' })
        else for (const line of next.events) hear(one, { type: 'event', line })
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
      if (one.history === undefined) {
        one.filling ??= fill(log, one).finally(() => {
          one.filling = undefined
        })
        await one.filling
      }
      if (one.history === undefined) return ask(log, after, most)
      trim(one.history)
      const { events, epoch, oldest, newest } = one.history
      const from = Math.max(0, after + 1 - oldest)
      return { events: events.slice(from, from + most), epoch, oldest, newest }
    },

    subscribe(log, tell, missed = () => {}) {
      const one: Followed = { tell, missed, history: undefined, following: false, early: [], filling: undefined }
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
