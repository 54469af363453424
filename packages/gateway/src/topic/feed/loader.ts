import type { StandardSchemaV1 } from '@standard-schema/spec'
import { LRUCache } from 'lru-cache'
import { unpooledBuffer } from '../../buffer.ts'
import { type Ask, type Next, type UpstreamAnswer, type UpstreamRequest, Urgency } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { addressOf, type Content } from '../../entry.ts'
import { asWeirError, WeirError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { readAge } from '../../http-cache/directives.ts'
import { stringifyJson, unwritable } from '../../json.ts'
import { isRecord } from '../../options.ts'
import { OriginValue } from '../../upstream/weir/origin-value.ts'
import { type Absent, absent, type FeedPlan, isAbsent } from './feed.ts'
import { counting, MadeOf } from './made-of.ts'

/** How long a loader may run beyond the deadline, in milliseconds: the stages below it fail first, with better messages. */
const GRACE = 20

/** How many keys with an unusable last answer are remembered. */
const UNUSABLE = 1000

/**
 * The end of the read path of values: runs a feed's loader for some keys and makes each result a content, or an Error.
 * What the loader asks of the upstream goes down the path of requests, on behalf of those who wait.
 */
export function loader(
  plan: FeedPlan,
  send: Next<UpstreamRequest, Promise<UpstreamAnswer>>,
  clock: Clock,
  emit: Emit = () => {},
): Next<readonly Ask[], Promise<readonly (Content | Error)[]>> {
  /** Keys whose last answer could not be used. */
  const unusable = new LRUCache<string, true>({ max: UNUSABLE })

  function noted(asks: readonly Ask[], results: readonly (Content | Error)[]): void {
    asks.forEach(({ topic }, index) => {
      if (results[index] instanceof Error) unusable.set(topic, true)
      else unusable.delete(topic)
    })
  }

  /** Reports to the operator what clients are not shown. Failures of the upstream were reported where they came in. */
  function report(thrown: unknown, signal: AbortSignal): void {
    // All clients have left: nothing failed.
    if (signal.aborted) return
    if (thrown instanceof WeirError && thrown.cause !== undefined && !(thrown.cause instanceof WeirError))
      emit({ type: 'failed', where: plan.where, error: thrown })
  }

  return async (asks) => {
    const [first] = asks
    if (first === undefined) return []
    const unconditional = asks.some(({ topic }) => unusable.has(topic))
    const controller = allGone(asks)
    const { signal } = controller
    const deadline = Math.max(...asks.map((ask) => ask.deadline))
    const urgency = urgencyOf(asks)
    const startedAt = clock.monotonic()
    let since = Number.POSITIVE_INFINITY
    const client = plan.upstream?.client({
      signal,
      caller: first.identity ?? {},
      now: () => clock.now(),
      send: async (request) => {
        const answer = await send({
          cost: 1,
          operation: plan.name,
          ...(unconditional ? { unconditional } : {}),
          ...request,
          signal,
          priority: urgency.priority,
          urgency,
          client: first.client,
          deadline,
          apiKey: undefined,
        })
        since = Math.min(since, momentOf(answer, startedAt))
        return answer
      },
    })
    // A loader may wait for more than `call`, and one that never ends would block its keys for ever.
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = clock.after(deadline + GRACE - clock.monotonic(), () => {
      const error = new WeirError(
        'upstream_timeout',
        `${plan.where}: load: expected an end before the deadline, got none`,
      )
      controller.abort(error)
      reject(error)
    })
    const loading = () => load(plan, asks, client)
    const making = plan.upstream === undefined ? madeWhole(loading) : counting(undefined, loading).then(asked)
    const { answered, made } = await Promise.race([making, late])
      .catch((thrown) => {
        for (const { topic } of asks) unusable.set(topic, true)
        report(thrown, signal)
        throw thrown
      })
      .finally(() => timer.stop())
    const results = plan.keyOf === undefined ? answered : matched(plan, asks, answered)
    if (!Array.isArray(results) || results.length !== asks.length) {
      const got = Array.isArray(results) ? `${results.length} results` : typeof results
      throw new WeirError(
        'upstream_invalid',
        `${plan.where}: load: expected ${asks.length} results, one for each key in order, got ${got}`,
      )
    }
    // As old as its oldest part; a value that needed no call is as of now.
    if (!Number.isFinite(since)) since = startedAt
    const age = made?.age(since) ?? { since }
    // One by one: a failure of one, such as a schema that throws, must not fail the others.
    const contents = await Promise.all(
      results.map(async (result) => {
        const content = await contentOf(plan, result).catch((thrown) => failure(plan, thrown))
        return content instanceof Error || content.stamp !== undefined ? content : { ...content, ...age }
      }),
    )
    noted(asks, contents)
    for (const content of contents) if (content instanceof Error) report(content, signal)
    return contents
  }
}

interface Loaded {
  readonly answered: unknown
  readonly made?: MadeOf
}

const asked = (answered: unknown): Loaded => ({ answered })

/** How often at most a value is made when its parts change meanwhile. */
const MOST_TORN = 3

/** Makes values of others, all of them as of one moment as far as they can be had so. */
async function madeWhole(load: () => Promise<unknown>): Promise<Loaded> {
  for (let turn = 1; ; turn++) {
    const made = new MadeOf()
    const answered = await counting(made, load).finally(() => made.over())
    if (turn === MOST_TORN || !made.torn) return { answered, made }
  }
}

/** Of what moment an answer is (RFC 9111, 4.2.3): when it was asked for, less the age that it says it has. */
function momentOf({ sentAt, headers }: UpstreamAnswer, startedAt: number): number {
  return (sentAt ?? startedAt) - readAge(headers.age) * 1000
}

/** Values in an order of the upstream's own, each put with its key; what is missing is absent. */
function matched(plan: FeedPlan, asks: readonly Ask[], values: unknown): unknown {
  if (!Array.isArray(values)) return values
  const byTopic = new Map(values.map((value) => [topicOf(plan, value), value]))
  const missing: Absent = absent('not found', { for: `${plan.missing}ms` })
  return asks.map(({ topic }) => byTopic.get(addressOf(topic)) ?? missing)
}

/** Undefined for a value that belongs to no key; it is ignored. */
function topicOf({ keys, keyOf }: FeedPlan, value: unknown): string | undefined {
  try {
    const key = keyOf?.(value)
    return isRecord(key) ? keys.fromParts(key).topic : undefined
  } catch {
    return undefined
  }
}

/** As urgent as the most urgent of those who ask, now and later. */
function urgencyOf(asks: readonly Ask[]): Urgency {
  const urgency = new Urgency('background')
  for (const ask of asks) {
    urgency.raise(ask.urgency?.priority ?? ask.priority)
    ask.urgency?.onRaise((priority) => urgency.raise(priority))
  }
  return urgency
}

async function load(plan: FeedPlan, asks: readonly Ask[], client: unknown): Promise<unknown> {
  try {
    return await plan.load(
      asks.map(({ key }) => key),
      client,
      asks.map(({ topic }) => addressOf(topic)),
    )
  } catch (thrown) {
    throw failure(plan, thrown)
  }
}

/** What an upstream says of a key as a content, or why it can't be understood. */
export async function contentOf(plan: FeedPlan, result: unknown): Promise<Content | Error> {
  if (result instanceof Error) return failure(plan, result)
  // The origin has checked it, and made of it what its schema makes: that must not be done twice.
  if (result instanceof OriginValue) return result.content
  if (isAbsent(result)) {
    return { json: undefined, reason: result.reason, absentFor: result.for }
  }
  const checked = await plan.value['~standard'].validate(result)
  if (checked.issues !== undefined) return invalid(plan, checked.issues[0])
  const wrong = unwritable(checked.value)
  if (wrong !== undefined)
    return new WeirError('upstream_invalid', `${plan.where}: expected a JSON value, got ${wrong}`)
  return { json: unpooledBuffer(stringifyJson(checked.value) ?? 'null'), reason: undefined, absentFor: undefined }
}

function invalid(plan: FeedPlan, issue: StandardSchemaV1.Issue | undefined): WeirError {
  const path = (issue?.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  return new WeirError(
    'upstream_invalid',
    `${plan.where}: ${path === '' ? 'value' : path}: ${issue?.message ?? 'refused by its schema'}`,
  )
}

/**
 * What a loader throws or gives as an Error, without a code of ours, is a bug or a failure that it did not foresee: its words are for
 * the operator. A `WeirError` is for clients too.
 */
function failure(plan: FeedPlan, thrown: unknown): WeirError {
  const { code, requestId } = asWeirError(thrown)
  if (thrown instanceof WeirError && code !== 'internal') return thrown
  return new WeirError('upstream_failed', `${plan.where}: its loader failed`, { cause: thrown, requestId })
}

/** Aborted when all who asked are gone. */
function allGone(asks: readonly Ask[]): AbortController {
  const controller = new AbortController()
  let left = asks.length
  const gone = () => {
    left -= 1
    if (left === 0) controller.abort()
  }
  for (const { signal } of asks) {
    if (signal?.aborted === true) gone()
    else signal?.addEventListener('abort', gone, { once: true })
  }
  return controller
}
