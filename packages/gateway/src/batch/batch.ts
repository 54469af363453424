import type { Ask, Stage } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { addressOf, type Content, ownerOf } from '../entry.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { createStragglerTracker } from './stragglers.ts'

export interface BatchParts {
  readonly feed: string
  /** The most keys in one call. */
  readonly most: number
  /** How long the first key waits for others, in milliseconds; 0: no longer than the work at hand. */
  readonly within: number
  /** The most text of topics in one call; unbounded when it is not said. */
  readonly bytes?: number
  readonly clock: Clock
  readonly emit: Emit
}

/** Parts of a batch that may fail at once before it is no key's fault, but the upstream's. */
const MOST_BAD = 3

/** Keys that may be slow are asked for in at most so many calls at once. */
const MOST_APART = 8

/** So little more time than others have, in milliseconds, is no reason to leave before them. */
const BARELY = 100

interface Member<Value> {
  readonly ask: Ask
  /** The calls under way that ask for it. */
  readonly calls: Set<Call>
  resolve(value: Value): void
  reject(error: unknown): void
  readonly left: () => void
  /** It has its answer, or has left. */
  settled: boolean
  late: Timer | undefined
}

/** One call for some members. */
interface Call {
  readonly controller: AbortController
  /** How many of them wait for an answer, from this call or another. */
  waiting: number
}

/** Members to ask for in one call. */
interface Part<Value> {
  readonly members: readonly Member<Value>[]
  /** Whether one of them may have failed another call, or made it late. */
  readonly suspect: boolean
  /** Both halves of one call have the same. */
  readonly halfOf: object | undefined
}

/** Members that failed together, perhaps for one of them. */
interface Failing<Value> extends Omit<Part<Value>, 'suspect'> {
  readonly error: unknown
}

/** What became of a batch that is split. */
interface Search {
  readonly startedAt: number
  /** Some of it was answered: the upstream is well, and what fails is bad. */
  answered: boolean
  /** Splits that led to no answer. */
  fruitless: number
}

interface Gathering<Value> {
  readonly lane: string
  /** Its keys may be slow: the most of them that go in one call. */
  company: number | undefined
  readonly members: Member<Value>[]
  bytes: number
  timer: Timer | undefined
}

/**
 * Gathers asks of the same class into one call, and hands each its own result. A key that makes its call fail is found by
 * halves. Beside a call that is late its halves are asked for, within a tenth of the traffic; the first answer for a key wins,
 * and keys that were late while others were not have calls of their own for a while. Each has its own deadline.
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
  const pace = createStragglerTracker(clock)

  return (next) => {
    function send(gathering: Gathering<Value>): void {
      gathering.timer?.stop()
      if (gatherings.get(gathering.lane) === gathering) gatherings.delete(gathering.lane)
      const members = gathering.members.filter(isWaiting)
      if (members.length === 0) return
      const latest = latestOf(members)
      for (const member of members) {
        const { deadline, topic } = member.ask
        if (deadline + BARELY >= latest) continue
        member.late = clock.after(deadline - clock.monotonic(), () => {
          const detail = `${feed}: expected ${addressOf(topic)} before the deadline, got nothing`
          settle(member, () => member.reject(new WeirError('upstream_timeout', detail)))
        })
      }
      const { company } = gathering
      const size = company === undefined ? most : Math.max(company, Math.ceil(members.length / MOST_APART))
      const parts: Part<Value>[] = []
      for (let i = 0; i < members.length; i += size)
        parts.push({ members: members.slice(i, i + size), suspect: company !== undefined, halfOf: undefined })
      pace.sent()
      void askFor(parts)
    }

    /** A part in which a key is bad is halved until the key is alone. From then on it has calls of its own, and fails no other. */
    async function askFor(parts: readonly Part<Value>[]): Promise<void> {
      const search: Search = { startedAt: clock.monotonic(), answered: false, fruitless: 0 }
      let failing = await deliver(parts, search)
      while (failing.length > 0) {
        if (search.answered) {
          pace.fruitful(search.fruitless)
          search.fruitless = 0
        }
        const found = failing
        const halved = found.filter((part) => mayHalve(part, found, search))
        const rest = found.filter((part) => !halved.includes(part))
        // An answer for others may show that it is worth it to go on.
        const kept = halved.length > 0 ? rest.filter((part) => !isAlone(part)) : []
        for (const part of rest) if (!kept.includes(part)) giveUp(part, search)
        const parts = halved.flatMap(({ members }) => halves(members))
        failing = [...kept, ...(await deliver(parts, search))]
      }
    }

    /**
     * Where the other half was answered, or the members are of several clients and anything was, the split ends with an answer. Every other
     * one may be for nothing, as when the upstream is down or one client asks for bad keys alone, so these are few.
     */
    function mayHalve(part: Failing<Value>, failing: readonly Failing<Value>[], search: Search): boolean {
      if (isAlone(part) || pace.isHopeless(part.members.map(topicOf))) return false
      const shared = clientsOf(part.members).size > 1
      if (search.answered) {
        const lone = failing.filter(({ halfOf }) => halfOf === part.halfOf).length === 1
        return shared || (lone && part.halfOf !== undefined) || pace.mayHalve(false)
      }
      const many = failing.filter((part) => !isAlone(part) && clientsOf(part.members).size === 1).length > MOST_BAD
      if ((many && !shared) || !pace.mayHalve(shared)) return false
      search.fruitless += 1
      return true
    }

    /** A key that fails alone goes alone for a while, and a client that asked for it has calls of its own. */
    function giveUp(part: Failing<Value>, { startedAt }: Search): void {
      const [client, other] = clientsOf(part.members)
      if (isAlone(part)) {
        for (const member of part.members) pace.failedAlone(topicOf(member))
        pace.suspect(part.members.map(topicOf), startedAt)
      }
      if (client !== undefined && other === undefined) pace.spoiled(client, startedAt)
      fail(part.members, part.error)
    }

    /** Answers those that it can have no other answer for, and returns the rest. */
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
      const after = pace.lateAfter(latestOf(members) - startedAt)
      let split = false
      const late = () => {
        const waiting = members.filter(isWaiting)
        if (suspect) {
          pace.suspect(waiting.map(topicOf), startedAt)
          const [client, other] = clientsOf(waiting)
          if (client !== undefined && other === undefined) pace.spoiled(client, startedAt)
        }
        askForHalves(waiting)
      }
      const askForHalves = (waiting: readonly Member<Value>[]) => {
        if (split || waiting.length < 2 || latestOf(waiting) <= clock.monotonic() || !pace.maySplit()) return
        split = true
        void askFor(halves(waiting))
      }
      // Who was alone from the first keeps nobody waiting.
      const watched = after !== undefined && (members.length > 1 || suspect)
      const timer = watched ? clock.after(after, late) : undefined
      const over = () => {
        timer?.stop()
        for (const { calls } of members) calls.delete(call)
      }
      const { signal } = call.controller
      try {
        const results = await next(members.map(({ ask }) => ({ ...ask, signal })))
        over()
        search.answered = true
        pace.answered()
        const took = clock.monotonic() - startedAt
        if (after === undefined || took < after) pace.onTime(members.map(topicOf), took)
        else if (!suspect) pace.behind(took)
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
        if (isTimeout(error) && !suspect) askForHalves(waiting)
        fail(waiting, error)
      }
      return undefined
    }

    /** Keys that may be slow or bad go apart, and so do those of a client that asked for a bad one. */
    function laneOf(ask: Ask, apart: boolean): string {
      if (apart) return `slow ${kindOf(ask)}`
      return pace.spoils(clientOf(ask)) ? `of ${clientOf(ask)} ${kindOf(ask)}` : kindOf(ask)
    }

    return (ask) =>
      new Promise<Value>((resolve, reject) => {
        if (ask.signal?.aborted) return reject(ask.signal.reason)
        const company = pace.groupSize(ask.topic)
        const lane = laneOf(ask, company !== undefined)
        const size = ask.topic.length
        const open = gatherings.get(lane)
        const full = open !== undefined && open.bytes + size > bytes
        if (full) send(open)
        const gathering = full || open === undefined ? { lane, company, members: [], bytes: 0, timer: undefined } : open
        const left = () => settle(member, () => reject(ask.signal?.reason))
        const member: Member<Value> = {
          ...{ ask, calls: new Set(), resolve, reject, left },
          settled: false,
          late: undefined,
        }
        gathering.members.push(member)
        if (company !== undefined) gathering.company = Math.min(company, gathering.company ?? company)
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

/** Keys that may share a call: those of one priority, and never the values of two callers. */
function kindOf({ priority, topic }: Ask): string {
  return priority + ownerOf(topic)
}

/** Ends the waiting of one; a call of which nobody waits for anything any more is given up. */
function settle<Value>(member: Member<Value>, tell: () => void): void {
  if (member.settled) return
  member.settled = true
  member.late?.stop()
  member.ask.signal?.removeEventListener('abort', member.left)
  tell()
  for (const call of member.calls) {
    call.waiting -= 1
    if (call.waiting === 0) call.controller.abort()
  }
}

/** Fails those for whom no other call is under way. */
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

/** Keys of one client stay together: bad ones of one are found as one. */
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

/** A poller asks on behalf of many: each of its keys is of another. */
function clientOf({ client, topic }: Ask): string {
  return client === 'poller' ? `${client} ${topic}` : client
}

function clientsOf<Value>(members: readonly Member<Value>[]): ReadonlySet<string> {
  return new Set(members.map(({ ask }) => clientOf(ask)))
}

function isAlone<Value>({ members }: Failing<Value>): boolean {
  return members.length === 1
}

/** Whether one bad key may have failed all: the upstream refused or failed a call that reached it, or answered nonsense. */
function isPoisoned(error: unknown): boolean {
  if (!(error instanceof WeirError)) return false
  const { code, unreachable } = error
  return code === 'upstream_invalid' || code === 'upstream_refused' || (code === 'upstream_failed' && !unreachable)
}

function isTimeout(error: unknown): boolean {
  return error instanceof WeirError && error.code === 'upstream_timeout'
}
