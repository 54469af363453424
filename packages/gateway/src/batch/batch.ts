import type { Ask, Stage } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { addressOf, type Content, ownerOf } from '../entry.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { createStragglerTracker } from './stragglers.ts'

export interface BatchParts {
  readonly feed: string
  /** Maximum keys per call. */
  readonly most: number
  /** How long the first key waits for others, in milliseconds; 0 waits only for the work already queued. */
  readonly within: number
  /** Maximum length of all topics in one call; unlimited by default. */
  readonly bytes?: number
  readonly clock: Clock
  readonly emit: Emit
}

/** If more parts of a batch than this fail together, the upstream is at fault, not a key. */
const MAX_FAILING_PARTS = 3

/** Maximum concurrent calls for keys that may be slow. */
const MAX_SEPARATE_CALLS = 8

/** A key with a deadline at most this much earlier than the latest does not get its own timer, in milliseconds. */
const NEGLIGIBLE = 100

interface Member<Value> {
  readonly ask: Ask
  /** The calls under way that include the key. */
  readonly calls: Set<Call>
  resolve(value: Value): void
  reject(error: unknown): void
  readonly left: () => void
  /** The key has its answer, or its waiter left. */
  settled: boolean
  deadlineTimer: Timer | undefined
}

/** A call for some members. */
interface Call {
  readonly controller: AbortController
  /** Members that still wait for an answer, from this call or another. */
  waiting: number
}

/** Members for one call. */
interface Part<Value> {
  readonly members: readonly Member<Value>[]
  /** Whether one of them may have caused another call to fail or be late. */
  readonly suspect: boolean
  /** The same object for both halves of a call. */
  readonly halfOf: object | undefined
}

/** Members that failed together, perhaps because of one of them. */
interface Failing<Value> extends Omit<Part<Value>, 'suspect'> {
  readonly error: unknown
}

/** The state of a batch that is being split. */
interface Search {
  readonly startedAt: number
  /** Some of it was answered, so the upstream works and the failing rest is bad. */
  answered: boolean
  /** Splits without an answer so far. */
  fruitless: number
}

interface Gathering<Value> {
  readonly lane: string
  /** Set for keys that may be slow: how many of them share a call. */
  groupSize: number | undefined
  readonly members: Member<Value>[]
  bytes: number
  timer: Timer | undefined
}

/**
 * Collects keys of the same priority into one call, and gives each its own result. A key that makes its call fail is
 * found by bisection. When a call is late, its halves are fetched too, within a tenth of the traffic. The first answer
 * for a key wins. Keys that were late while others were not have calls of their own for a while. Each key has its own
 * deadline.
 */
export function batch<Value = Content>({
  feed,
  most,
  within,
  bytes = Number.POSITIVE_INFINITY,
  clock,
  emit,
}: BatchParts): Stage<Ask, Promise<Value>, readonly Ask[], Promise<readonly (Value | Error)[]>> {
  const gatherings = new Map<string, Gathering<Value>>()
  const stragglers = createStragglerTracker(clock)

  return (next) => {
    function send(gathering: Gathering<Value>): void {
      gathering.timer?.stop()
      if (gatherings.get(gathering.lane) === gathering) gatherings.delete(gathering.lane)
      const members = gathering.members.filter(isWaiting)
      if (members.length === 0) return
      const latest = latestOf(members)
      for (const member of members) {
        const { deadline, topic } = member.ask
        if (deadline + NEGLIGIBLE >= latest) continue
        member.deadlineTimer = clock.after(deadline - clock.monotonic(), () => {
          const detail = `${feed}: expected ${addressOf(topic)} before the deadline, got nothing`
          settle(member, () => member.reject(new WeirError('upstream_timeout', detail)))
        })
      }
      const { groupSize } = gathering
      const size = groupSize === undefined ? most : Math.max(groupSize, Math.ceil(members.length / MAX_SEPARATE_CALLS))
      const parts: Part<Value>[] = []
      for (let i = 0; i < members.length; i += size)
        parts.push({ members: members.slice(i, i + size), suspect: groupSize !== undefined, halfOf: undefined })
      stragglers.sent()
      void fetchParts(parts)
    }

    /**
     * Fetches parts and bisects those that fail, until the bad key is alone. That key then has calls of its own, so it
     * fails no other.
     */
    async function fetchParts(parts: readonly Part<Value>[]): Promise<void> {
      const search: Search = { startedAt: clock.monotonic(), answered: false, fruitless: 0 }
      let failing = await deliver(parts, search)
      while (failing.length > 0) {
        if (search.answered) {
          stragglers.refundSplits(search.fruitless)
          search.fruitless = 0
        }
        const found = failing
        const halved = toHalve(found, search)
        const rest = found.filter((part) => !halved.includes(part))
        // An answer for other parts may show that it is worth continuing.
        const kept = halved.length > 0 ? rest.filter((part) => !isSingle(part)) : []
        for (const part of rest) if (!kept.includes(part)) giveUp(part, search)
        const parts = halved.flatMap(({ members }) => halves(members))
        failing = [...kept, ...(await deliver(parts, search))]
      }
      if (!search.answered && search.fruitless > 0) stragglers.searchFailed()
    }

    /**
     * Chooses the parts that are split next. Before the first answer it is only the smallest one that may be, so that the few
     * splits soon lead to a part without a bad key.
     */
    function toHalve(failing: readonly Failing<Value>[], search: Search): readonly Failing<Value>[] {
      if (search.answered) return failing.filter((part) => mayHalve(part, failing, search))
      const smallest = failing.toSorted((a, b) => a.members.length - b.members.length)
      const next = smallest.find((part) => mayHalve(part, failing, search))
      return next === undefined ? [] : [next]
    }

    /**
     * Decides whether a failing part is split further. The split surely ends with an answer if the other half was
     * answered, or if the members belong to several clients and anything was answered. Other splits may be useless, as
     * when the upstream is down or one client requests only bad keys, so they are limited.
     */
    function mayHalve(part: Failing<Value>, failing: readonly Failing<Value>[], search: Search): boolean {
      if (isSingle(part) || stragglers.isHopeless(part.members.map(topicOf))) return false
      const shared = clientsOf(part.members).size > 1
      if (search.answered) {
        const lone = failing.filter(({ halfOf }) => halfOf === part.halfOf).length === 1
        return shared || (lone && part.halfOf !== undefined) || stragglers.mayHalve(false, 1)
      }
      const many =
        failing.filter((part) => !isSingle(part) && clientsOf(part.members).size === 1).length > MAX_FAILING_PARTS
      const needed = search.fruitless === 0 ? Math.ceil(Math.log2(part.members.length)) : 1
      if ((many && !shared) || !stragglers.mayHalve(shared, needed)) return false
      search.fruitless += 1
      return true
    }

    /** A key that fails alone is fetched alone for a while, and a client that requested it has calls of its own. */
    function giveUp(part: Failing<Value>, { startedAt }: Search): void {
      const [client, other] = clientsOf(part.members)
      if (isSingle(part)) {
        for (const member of part.members) stragglers.failedAlone(topicOf(member))
        stragglers.suspect(part.members.map(topicOf), startedAt)
      }
      if (client !== undefined && other === undefined) stragglers.separateClient(client, startedAt)
      fail(part.members, part.error)
    }

    /** Makes the calls and returns the parts that failed and may be split. */
    async function deliver(parts: readonly Part<Value>[], search: Search): Promise<readonly Failing<Value>[]> {
      const failing = await Promise.all(parts.map((part) => call(part, search)))
      return failing.filter((part) => part !== undefined)
    }

    async function call(part: Part<Value>, search: Search): Promise<Failing<Value> | undefined> {
      const { members: all, suspect, halfOf } = part
      const members = all.filter(isWaiting)
      if (members.length === 0) return undefined
      emit({ type: 'batch.sent', feed, keys: members.length })
      const startedAt = clock.monotonic()
      const call: Call = { controller: new AbortController(), waiting: members.length }
      for (const { calls } of members) calls.add(call)
      const after = stragglers.lateAfter(latestOf(members) - startedAt)
      let split = false
      const onLate = () => {
        const waiting = members.filter(isWaiting)
        if (suspect) {
          stragglers.suspect(waiting.map(topicOf), startedAt)
          const [client, other] = clientsOf(waiting)
          if (client !== undefined && other === undefined) stragglers.separateClient(client, startedAt)
        }
        fetchHalves(waiting)
      }
      const fetchHalves = (waiting: readonly Member<Value>[]) => {
        if (split || waiting.length < 2 || latestOf(waiting) <= clock.monotonic() || !stragglers.maySplit()) return
        split = true
        void fetchParts(halves(waiting))
      }
      // A key that was alone from the start delays no other.
      const watched = after !== undefined && (members.length > 1 || suspect)
      const timer = watched ? clock.after(after, onLate) : undefined
      const over = () => {
        timer?.stop()
        for (const { calls } of members) calls.delete(call)
      }
      const { signal } = call.controller
      try {
        const results = await next(members.map(({ ask }) => ({ ...ask, signal })))
        over()
        search.answered = true
        stragglers.answered()
        const took = clock.monotonic() - startedAt
        if (after === undefined || took < after) stragglers.onTime(members.map(topicOf), took)
        else if (!suspect) stragglers.answeredLate(took)
        members.forEach((member, index) => {
          const result = results[index]
          settle(member, () => {
            if (result === undefined) {
              const detail = `${feed}: expected a result for each key, got none for ${addressOf(topicOf(member))}`
              member.reject(new WeirError('upstream_invalid', detail))
            } else if (result instanceof Error) {
              member.reject(result)
            } else {
              member.resolve(result)
            }
          })
        })
      } catch (error) {
        over()
        const waiting = members.filter(isWaiting)
        if (isPoisoned(error) && (waiting.length > 1 || suspect)) return { members: waiting, error, halfOf }
        if (isTimeout(error) && !suspect) fetchHalves(waiting)
        fail(waiting, error)
      }
      return undefined
    }

    /** Keys that may be slow or bad have separate calls, and so do those of a client that requested a bad one. */
    function laneOf(ask: Ask, separate: boolean): string {
      if (separate) return `slow ${kindOf(ask)}`
      return stragglers.isSeparate(clientOf(ask)) ? `of ${clientOf(ask)} ${kindOf(ask)}` : kindOf(ask)
    }

    return (ask) =>
      new Promise<Value>((resolve, reject) => {
        if (ask.signal?.aborted) return reject(ask.signal.reason)
        const groupSize = stragglers.groupSize(ask.topic)
        const lane = laneOf(ask, groupSize !== undefined)
        const size = ask.topic.length
        const open = gatherings.get(lane)
        const full = open !== undefined && open.bytes + size > bytes
        if (full) send(open)
        const gathering =
          full || open === undefined ? { lane, groupSize, members: [], bytes: 0, timer: undefined } : open
        const left = () => settle(member, () => reject(ask.signal?.reason))
        const member: Member<Value> = {
          ...{ ask, calls: new Set(), resolve, reject, left },
          settled: false,
          deadlineTimer: undefined,
        }
        gathering.members.push(member)
        if (groupSize !== undefined) gathering.groupSize = Math.min(groupSize, gathering.groupSize ?? groupSize)
        gathering.bytes += size
        ask.signal?.addEventListener('abort', left, { once: true })
        if (gathering.members.length >= most) {
          send(gathering)
        } else if (gathering.members.length === 1) {
          gatherings.set(lane, gathering)
          gathering.timer = clock.after(within, () => send(gathering))
        }
      })
  }
}

/** Keys may share a call if they have the same priority and the same owner. */
function kindOf({ priority, topic }: Ask): string {
  return priority + ownerOf(topic)
}

/** Settles a member once. A call without waiting members is aborted. */
function settle<Value>(member: Member<Value>, deliver: () => void): void {
  if (member.settled) return
  member.settled = true
  member.deadlineTimer?.stop()
  member.ask.signal?.removeEventListener('abort', member.left)
  deliver()
  for (const call of member.calls) {
    call.waiting -= 1
    if (call.waiting === 0) call.controller.abort()
  }
}

/** Fails the members that have no other call under way. */
function fail<Value>(members: readonly Member<Value>[], error: unknown): void {
  for (const member of members) if (member.calls.size === 0) settle(member, () => member.reject(error))
}

function isWaiting<Value>({ settled }: Member<Value>): boolean {
  return !settled
}

function topicOf<Value>({ ask }: Member<Value>): string {
  return ask.topic
}

function latestOf<Value>(members: readonly Member<Value>[]): number {
  return Math.max(...members.map(({ ask }) => ask.deadline))
}

/** Splits members in two. Keys of one client stay together, so its bad keys are found at once. */
function halves<Value>(members: readonly Member<Value>[]): readonly Part<Value>[] {
  const byClient = [...Map.groupBy(members, ({ ask }) => clientOf(ask)).values()]
  const groups = byClient.length > 1 ? byClient : members.map((member) => [member])
  const halfOf = {}
  return inTwo(groups).map((half) => ({ members: half.flat(), suspect: true, halfOf }))
}

function inTwo<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  const middle = Math.ceil(items.length / 2)
  return [items.slice(0, middle), items.slice(middle)]
}

/** The poller serves many clients, so each of its keys counts as another client. */
function clientOf({ client, topic }: Ask): string {
  return client === 'poller' ? `${client} ${topic}` : client
}

function clientsOf<Value>(members: readonly Member<Value>[]): ReadonlySet<string> {
  return new Set(members.map(({ ask }) => clientOf(ask)))
}

function isSingle<Value>({ members }: Failing<Value>): boolean {
  return members.length === 1
}

/**
 * Whether one bad key may have failed the whole call: the upstream received it and refused, failed or sent an invalid
 * answer.
 */
function isPoisoned(error: unknown): boolean {
  if (!(error instanceof WeirError)) return false
  const { code, unreachable } = error
  return code === 'upstream_invalid' || code === 'upstream_refused' || (code === 'upstream_failed' && !unreachable)
}

function isTimeout(error: unknown): boolean {
  return error instanceof WeirError && error.code === 'upstream_timeout'
}
