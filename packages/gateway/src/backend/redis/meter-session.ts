import type { Clock } from '../../clock.ts'
import type { Priority } from '../../events.ts'
import { BACK_OFF, LAST_ARRIVALS, LONG, syncedLimits } from '../memory/meters.ts'
import { formOf } from '../memory/stricter.ts'
import { CATCHING_UP } from '../memory/window.ts'
import { type Grant, type Grants, type MeterLimit, type MeterPlan, SPENT_FOR, type Want } from '../ports.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { type MeterCalls, placeOf, type RunningCall, replayOf } from './meter-calls.ts'
import { type MeterReports, removeSent } from './meter-reports.ts'
import { HORIZON, JOIN_DELAY, type MeterTiming, PRESENCE, REMAINING_TTL } from './meter-timing.ts'
import { TAKE } from './scripts.ts'
import { ServerClock } from './server-clock.ts'
import type { Listed, Paused, Place, TakeReply, TakeRequest, TakeSettings } from './take.ts'

export interface SessionParts {
  readonly upstream: string
  readonly plan: MeterPlan
  readonly timing: MeterTiming
  readonly connection: RedisConnection
  readonly keys: Keys
  readonly node: string
  readonly clock: Clock
  readonly reports: MeterReports
  readonly calls: MeterCalls
  /** Called when something must be reported at once. */
  readonly urgent: () => void
  /** Called when nodes begin to share the upstream with different limits, with the limits that hold then. */
  readonly mixed?: ((upstream: string, limits: readonly MeterLimit[]) => void) | undefined
}

/** Wants in one request. */
export const MOST_WANTS = 64

/** One start in this many goes to a lower class that waits on another node. */
const LOWER_CLASS_TURN = 8

/** Lanes that each request checks for deletion: more than its wants can add. */
const LANE_SWEEP = 4 * MOST_WANTS

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/** The numbered requests of one node to the meter in Redis, and what the last reply said. */
export class MeterSession {
  readonly #parts: SessionParts
  readonly #settings: TakeSettings
  readonly #serverClock: ServerClock
  /** No request is sent before the one before it is over: their numbers arrive in order. */
  #last: Promise<unknown> = Promise.resolve()

  /** The number of the last request, of the last one whose reply was received, and the id of the last grant. */
  #sequence = 0
  #lastReply = 0
  #lastId = 0
  #lastTime = 0
  /** When the last request that was answered was sent. Moments are on the monotonic clock. */
  #sentAt = Number.NEGATIVE_INFINITY

  #generation = ''
  /** Redis knows more of the past than the nodes could report; and whether this node reports all of it after the last loss. */
  #unreplicated = true
  #complete = false
  #members: readonly string[] = []
  #membershipVersion = 0
  #confirmedVersion = 0
  #probing = false
  #limitsForm = ''

  /** When the last reply was received. */
  repliedAt = Number.NEGATIVE_INFINITY
  /** When the request was sent by which Redis last learned that this node receives its replies. */
  knownAt = Number.NEGATIVE_INFINITY
  share = 0
  /** The limits that hold, including those of nodes of another version. */
  limits: readonly MeterLimit[]
  exhausted: readonly { readonly key: number }[] = []
  /** Until when nothing starts, by what is paused. */
  readonly paused = new Map<Paused, number>()
  /** The next request is the node's last. */
  leaving = false

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.#settings = settingsOf(parts.plan, parts.timing)
    this.#serverClock = new ServerClock(parts.timing.slack)
    this.limits = parts.plan.limits
  }

  /** Whether the others wait for this node to confirm that it knows the list of nodes. */
  get mustConfirm(): boolean {
    return this.#membershipVersion !== this.#confirmedVersion
  }

  nextId(): number {
    this.#lastId += 1
    return this.#lastId
  }

  pause(of: Paused, until: number): void {
    this.paused.set(of, Math.max(this.paused.get(of) ?? 0, until))
  }

  /**
   * Reports what there is to report, and asks for grants. Rejects when Redis can't be reached.
   *
   * @param replay calls that the shared windows do not know of
   */
  exchange(wants: readonly Want[], replay: TakeRequest['replay'] = []): Promise<Grants> {
    const done = this.#last.then(() => this.#exchange(wants, replay))
    this.#last = done.catch(() => {})
    return done
  }

  async #exchange(wants: readonly Want[], replay: TakeRequest['replay']): Promise<Grants> {
    const { connection, keys, upstream, node, clock, timing, calls, reports } = this.#parts
    const sent = { ...reports }
    const sentAt = clock.monotonic()
    const extended = calls.heldBefore(sentAt - timing.hold / 2)
    const request = this.#request(wants, replay, extended, sentAt)
    const args = [JSON.stringify(request), keys.arrivals(upstream)]
    const text = await connection.run(TAKE, [keys.meter(upstream), keys.nodes(upstream)], args)
    const now = clock.monotonic()
    const reply = JSON.parse(String(text)) as TakeReply
    if (reply.outdated) {
      throw new Error(`${upstream}: Redis has seen a later request than number ${request.sequence} of ${node}`)
    }
    removeSent(reports, sent)
    for (const call of extended) call.heldAt = sentAt
    const jumped = this.#serverClock.jumped(Number(reply.now), sentAt, now)
    this.#read(reply, request, { sentAt, now, jumped })
    return this.#grants(reply, { sentAt, now, jumped })
  }

  #request(
    wants: readonly Want[],
    replay: TakeRequest['replay'],
    extended: readonly RunningCall[],
    sentAt: number,
  ): TakeRequest {
    const { node, plan, reports } = this.#parts
    this.#sequence += 1
    const firstId = this.#lastId + 1
    this.#lastId += wants.length
    return {
      ...this.#settings,
      node,
      sequence: this.#sequence,
      lastReply: this.#lastReply,
      lastTime: this.#lastTime,
      generation: this.#generation,
      membershipVersion: this.#membershipVersion,
      share: this.share,
      leave: this.leaving,
      members: reports.members,
      complete: this.#complete,
      pastUnknown: plan.pastUsage === 'unknown' || this.#lastReply > 0,
      clockJumped: reports.clockJumped,
      replay: [...replay, ...reports.replay.map((call) => replayOf(call, sentAt))],
      wants: wants.map(({ priority, cost, lane = '' }) => ({ rank: CLASSES.indexOf(priority), cost, lane })),
      firstId,
      ended: reports.ended.map(({ grant, cost, at }) => [...placeOf(grant), cost, sentAt - at]),
      cancelled: reports.cancelled.map(placeOf),
      extended: extended.map(({ grant }) => placeOf(grant)),
      pauses: reports.pauses.filter(({ until }) => until > sentAt).map(({ until, of }) => [until - sentAt, of]),
      exhausted: reports.exhausted.map(({ key }) => key),
      remaining: reports.remaining
        .filter(({ at }) => this.#probing || sentAt - at < REMAINING_TTL)
        .map(({ at, ...remaining }) => remaining),
      backOff: reports.backOff,
    }
  }

  #read(reply: TakeReply, request: TakeRequest, { sentAt, now, jumped }: Received): void {
    const { timing, reports, urgent } = this.#parts
    this.#lastReply = request.sequence
    this.#lastTime = Number(reply.now)
    this.repliedAt = now
    if (reply.generation !== this.#generation) {
      const inTime = now - this.#sentAt < JOIN_DELAY - timing.slack
      this.#complete = inTime && !jumped && !request.clockJumped && !this.#unreplicated
      this.#begin(reply.generation)
    }
    this.knownAt = this.#sentAt
    this.#sentAt = sentAt
    this.share = reply.share
    this.#confirmedVersion = request.membershipVersion
    this.#membershipVersion = reply.membershipVersion
    if (reply.members !== undefined) this.#members = listed(reply.members)
    this.#unreplicated = reply.unreplicated
    this.#agree(reply.limits)
    this.#probing = reply.probing
    // A new node waits until all others have confirmed that they know it.
    if (this.mustConfirm) urgent()
    for (const [of, until] of this.paused) if (until <= now) this.paused.delete(of)
    for (const [duration, of] of listed(reply.paused)) this.pause(of, sentAt + duration)
    this.exhausted = listed(reply.exhausted).map((key) => ({ key }))
    if (jumped && !reply.clockJumped) reports.clockJumped = true
  }

  /** The windows lost what they knew: what still holds is reported again, at once. */
  #begin(generation: string): void {
    const { calls, reports, urgent } = this.#parts
    const first = this.#generation === ''
    this.#generation = generation
    if (first) return
    reports.replay = calls.all()
    reports.members = [...new Set([...reports.members, ...this.#members])]
    reports.pauses = [...this.paused].map(([of, until]) => ({ until, of }))
    reports.exhausted = [...reports.exhausted, ...this.exhausted]
    urgent()
  }

  #agree(shared: Listed<MeterLimit> | undefined): void {
    const { plan, upstream, mixed } = this.#parts
    const before = this.#limitsForm
    const limits = shared === undefined ? undefined : listed(shared)
    this.#limitsForm = limits === undefined ? '' : formOf(limits)
    this.limits = limits ?? plan.limits
    if (limits !== undefined && this.#limitsForm !== before) mixed?.(upstream, limits)
  }

  #grants(reply: TakeReply, { sentAt, now, jumped }: Received): Grants {
    const { timing, calls, reports } = this.#parts
    const granted = listed(reply.granted).map((one) => grantOf(one, sentAt, now, timing.slack))
    if (jumped && !reply.clockJumped) {
      // The jump freed places that are not free. Nothing of this starts, and the next request shuts the meter for a window.
      reports.cancelled = [...reports.cancelled, ...granted]
      return { granted: [], wait: 1 }
    }
    const inTime = granted.filter((grant) => grant.expiresAt > grant.notBefore)
    reports.cancelled = [...reports.cancelled, ...granted.filter((grant) => !inTime.includes(grant))]
    for (const grant of inTime) calls.start(grant, now)
    const wait = inTime.length < granted.length ? 1 : reply.wait
    return { granted: inTime, wait, ...(reply.never === undefined ? {} : { never: reply.never }) }
  }
}

interface Received {
  readonly sentAt: number
  readonly now: number
  /** Redis's clock jumped, as this node sees it. */
  readonly jumped: boolean
}

function settingsOf(plan: MeterPlan, { hold, slack, isolationLimit }: MeterTiming): TakeSettings {
  const synced = syncedLimits(plan.limits)
  return {
    limits: plan.limits.map((limit) => ({ ...limit, synced: synced.has(limit) })),
    limitsForm: formOf(plan.limits),
    pace: plan.pace === true,
    keyCount: plan.keys,
    keyNames: plan.names ?? Array.from({ length: plan.keys }, (_, index) => String(index)),
    presenceTtl: PRESENCE,
    joinDelay: JOIN_DELAY,
    isolationLimit,
    hold,
    slack,
    horizon: HORIZON,
    lastArrivals: LAST_ARRIVALS,
    longWindow: LONG,
    exhaustedFor: plan.spentFor ?? SPENT_FOR,
    lowerClassTurn: LOWER_CLASS_TURN,
    backOffFactor: BACK_OFF.keep,
    backOffFloor: BACK_OFF.least,
    backOffRecovery: BACK_OFF.creep,
    paceCatchUp: CATCHING_UP,
    laneSweep: LANE_SWEEP,
  }
}

/** The moment of a grant lies between the request and the reply: it opens late and closes early. */
function grantOf(
  [id, key, lane, cost, opensIn]: readonly [...Place, number],
  sentAt: number,
  now: number,
  slack: number,
): Grant {
  return { id, key, lane, cost, notBefore: now + opensIn, expiresAt: sentAt + opensIn + slack }
}

function listed<Item>(list: Listed<Item>): readonly Item[] {
  return Array.isArray(list) ? list : []
}
