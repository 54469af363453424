import type { Ask, Stage } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { addressOf, type Content } from '../entry.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

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

interface Member<Value> {
  readonly ask: Ask
  resolve(value: Value): void
  reject(error: unknown): void
}

/** Members that failed together, perhaps for one of them. */
interface Failing<Value> {
  readonly members: readonly Member<Value>[]
  readonly error: unknown
}

interface Gathering<Value> {
  members: Member<Value>[]
  bytes: number
  timer: Timer | undefined
}

/** Gathers asks of the same class into one call, and hands each its own result. */
export function batch<Value = Content>({
  feed,
  most,
  within,
  bytes = Number.POSITIVE_INFINITY,
  clock,
  emit,
}: BatchParts): Stage<Ask, Promise<Value>, readonly Ask[], Promise<readonly (Value | Error)[]>> {
  const gatherings = new Map<string, Gathering<Value>>()

  return (next) => {
    async function send(kind: string, gathering: Gathering<Value>): Promise<void> {
      gathering.timer?.stop()
      if (gatherings.get(kind) === gathering) gatherings.delete(kind)
      // A part in which a key is bad is halved until the key is alone.
      let failing = await deliver([gathering.members])
      while (failing.length > 0 && failing.length <= MOST_BAD) failing = await deliver(failing.flatMap(halves))
      for (const { members, error } of failing) for (const member of members) member.reject(error)
    }

    /** Answers those that it can have no other answer for, and returns the rest. */
    async function deliver(parts: readonly (readonly Member<Value>[])[]): Promise<readonly Failing<Value>[]> {
      const failing = await Promise.all(parts.map(askFor))
      return failing.filter((part) => part !== undefined)
    }

    async function askFor(part: readonly Member<Value>[]): Promise<Failing<Value> | undefined> {
      const members = part.filter(({ ask }) => ask.signal?.aborted !== true)
      if (members.length === 0) return undefined
      emit({ type: 'batch.sent', feed, keys: members.length })
      try {
        const results = await next(members.map((member) => member.ask))
        members.forEach((member, index) => {
          const result = results[index]
          if (result === undefined) {
            const got = `expected ${members.length} results, got ${results.length}`
            member.reject(new WeirError('upstream_invalid', `${feed}: ${got}`))
          } else if (result instanceof Error) {
            member.reject(result)
          } else {
            member.resolve(result)
          }
        })
      } catch (error) {
        if (members.length > 1 && isPoisoned(error)) return { members, error }
        for (const member of members) member.reject(error)
      }
      return undefined
    }

    return (ask) =>
      new Promise<Value>((resolve, reject) => {
        if (ask.signal?.aborted) return reject(ask.signal.reason)
        const size = ask.topic.length
        const kind = kindOf(ask)
        const open = gatherings.get(kind)
        const full = open !== undefined && open.bytes + size > bytes
        if (full) void send(kind, open)
        const gathering = full || open === undefined ? { members: [], bytes: 0, timer: undefined } : open
        gathering.members.push({ ask, resolve, reject })
        gathering.bytes += size
        ask.signal?.addEventListener('abort', () => reject(ask.signal?.reason), { once: true })
        if (gathering.members.length >= most) {
          void send(kind, gathering)
        } else if (gathering.members.length === 1) {
          gatherings.set(kind, gathering)
          gathering.timer = clock.after(within, () => void send(kind, gathering))
        }
      })
  }
}

/** What may share a call: the same class, and never the values of two callers. */
function kindOf({ priority, topic }: Ask): string {
  return priority + topic.slice(addressOf(topic).length)
}

function halves<Value>({ members }: Failing<Value>): readonly (readonly Member<Value>[])[] {
  const middle = Math.ceil(members.length / 2)
  return [members.slice(0, middle), members.slice(middle)]
}

/**
 * Whether one bad key may have failed all: the upstream understood us and refused what was asked, or answered nonsense. An
 * upstream that is down is not asked twice.
 */
function isPoisoned(error: unknown): boolean {
  if (!(error instanceof WeirError)) return false
  const { code, upstreamStatus: status = 0 } = error
  return code === 'upstream_invalid' || (code === 'upstream_failed' && status >= 400 && status < 500)
}
