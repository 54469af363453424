import type { Ask, Stage } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Content } from '../entry.ts'
import { WeirError } from '../errors.ts'
import type { Emit, Priority } from '../events.ts'

export interface BatchParts {
  readonly feed: string
  /** The most keys in one call. */
  readonly most: number
  /** How long the first key waits for others, in milliseconds; 0: no longer than the work at hand. */
  readonly within: number
  readonly clock: Clock
  readonly emit: Emit
}

interface Member<Value> {
  readonly ask: Ask
  resolve(value: Value): void
  reject(error: unknown): void
}

interface Gathering<Value> {
  members: Member<Value>[]
  timer: Timer | undefined
}

/** Gathers asks of the same class into one call, and hands each its own result. */
export function batch<Value = Content>({
  feed,
  most,
  within,
  clock,
  emit,
}: BatchParts): Stage<Ask, Promise<Value>, readonly Ask[], Promise<readonly (Value | Error)[]>> {
  const gatherings = new Map<Priority, Gathering<Value>>()

  return (next) => {
    async function send(priority: Priority, gathering: Gathering<Value>): Promise<void> {
      gathering.timer?.stop()
      if (gatherings.get(priority) === gathering) gatherings.delete(priority)
      const members = gathering.members.filter((member) => member.ask.signal?.aborted !== true)
      if (members.length === 0) return
      await deliver(members)
    }

    async function deliver(members: readonly Member<Value>[]): Promise<void> {
      emit({ type: 'batch.sent', feed, keys: members.length })
      try {
        const results = await next(members.map((member) => member.ask))
        members.forEach((member, index) => {
          const result = results[index]
          if (index >= results.length || result === undefined) {
            const got = `expected ${members.length} results, got ${results.length}`
            member.reject(new WeirError('upstream_invalid', `${feed}: ${got}`))
          } else if (result instanceof Error) {
            member.reject(result)
          } else {
            member.resolve(result)
          }
        })
      } catch (error) {
        if (members.length > 1 && isPoisoned(error)) {
          const middle = Math.ceil(members.length / 2)
          await Promise.all([deliver(members.slice(0, middle)), deliver(members.slice(middle))])
        } else {
          for (const member of members) member.reject(error)
        }
      }
    }

    return (ask) =>
      new Promise<Value>((resolve, reject) => {
        if (ask.signal?.aborted) return reject(ask.signal.reason)
        const gathering = gatherings.get(ask.priority) ?? { members: [], timer: undefined }
        gathering.members.push({ ask, resolve, reject })
        ask.signal?.addEventListener('abort', () => reject(ask.signal?.reason), { once: true })
        if (gathering.members.length >= most) {
          void send(ask.priority, gathering)
        } else if (gathering.members.length === 1) {
          gatherings.set(ask.priority, gathering)
          gathering.timer = clock.after(within, () => void send(ask.priority, gathering))
        }
      })
  }
}

/**
 * Whether one bad key may have failed all: the upstream understood us and refused what was asked, or answered nonsense. The halves
 * are asked again until the bad key is alone; an upstream that is down is not asked twice.
 */
function isPoisoned(error: unknown): boolean {
  if (!(error instanceof WeirError)) return false
  const { code, upstreamStatus: status = 0 } = error
  return code === 'upstream_invalid' || (code === 'upstream_failed' && status >= 400 && status < 500)
}
