import { parseVersion } from '@weir/protocol'
import type { LogLine } from '../../backend/ports.ts'
import { unpooledBuffer } from '../../buffer.ts'
import type { Next, UpstreamAnswer, UpstreamRequest } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { ConfigError, show, WeirError, withoutSecrets } from '../../errors.ts'
import { stringifyJson } from '../../json.ts'
import { WEIR_OPTIONS } from '../../options/upstream.ts'
import { type Duration, isRecord, readOptions } from '../../options.ts'
import { http } from '../http.ts'
import type { Upstream } from '../upstream.ts'
import { errorOf, lineageOf, type OriginCall, originValueOf } from './origin-value.ts'

/** What `weir()` takes. */
export interface WeirOptions {
  /** The origin in metrics and errors. `origin` by default; two origins need two names. */
  readonly name?: string
  /** Where the origin serves the same app, from the environment; undefined is refused with a clear error at start. */
  readonly url: string | undefined
  /** Headers sent with every call and handshake. */
  readonly headers?: Readonly<Record<string, string>>
  /** A connection that is silent for longer is given up; half as long, and it is pinged. `'5s'` by default. */
  readonly silenceTimeout?: Duration
  /** The most topics of one connection: as the origin's `socketTopics`. Beyond that another is opened. 500 by default. */
  readonly maxTopics?: number
  /** The longest that a call may take. `'5s'` by default. */
  readonly timeout?: Duration
}

/**
 * Declares another gateway as the upstream: feeds and logs from it are those of the same address there, under the origin's versions. What is
 * watched is followed on one WebSocket, and polled while there is none.
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function weir(options: WeirOptions): Upstream<OriginCall> {
  const where = `weir ${JSON.stringify(isRecord(options) ? (options.name ?? 'origin') : '?')}`
  const { name, url, headers, silenceTimeout, maxTopics, timeout } = readOptions(where, WEIR_OPTIONS, options)
  if (new URL(url).search !== '') throw new ConfigError(where, 'url', 'an address without a query', withoutSecrets(url))
  const base = url.replace(/\/$/, '')
  const fixed = (headers ?? {}) as Readonly<Record<string, string>>
  // Many small calls at once are the rule: a batch each for what was missed, and pages of logs.
  const asked = http({ name, url, headers: fixed, pastUsage: 'none', timeout: `${timeout}ms`, concurrency: 32 })
  const declared: Upstream<OriginCall> = {
    ...asked,
    get providers() {
      return [declared]
    },
    origin: { url: `${base.replace(/^http/, 'ws')}/weir/ws`, headers: fixed, silenceTimeout, maxTopics },
    client(context) {
      const call = asked.client(context)
      return {
        async values(wanted) {
          const query = wanted.map((topic) => `topic=${encodeURIComponent(topic)}`).join('&')
          // From the moment of asking: its answer was on its way for a part of the time since.
          const asked = context.now()
          const answer = await call.get(`/weir/values?${query}`)
          const { now, values } = isRecord(answer) ? answer : {}
          if (typeof now !== 'number' || !Array.isArray(values) || values.length !== wanted.length)
            throw new WeirError('upstream_invalid', `${name}: expected ${wanted.length} values, got ${show(answer)}`)
          const ahead = asked - now
          const lineage = lineageOf(answer)
          return values.map((said) => ('problem' in said ? errorOf(said.problem) : originValueOf(said, ahead, lineage)))
        },

        async history(topic, after, most) {
          const range = `${topic.includes('?') ? '&' : '?'}most=${most}${after === undefined ? '' : `&after=${after}`}`
          const page = await call.get(`${topic}${range}`)
          const { events, oldest, newest } = isRecord(page) ? page : {}
          const [first, last] = [parseVersion(String(oldest)), parseVersion(String(newest))]
          if (!Array.isArray(events) || first === undefined || last === undefined)
            throw new WeirError('upstream_invalid', `${name}: expected a page of a log, got ${show(page)}`)
          const lineage = lineageOf(page)
          return {
            events: events.map((said) => lineOf(said, lineage)),
            epoch: last.epoch,
            lineage,
            oldest: first.sequence,
            newest: last.sequence,
          }
        },
      }
    },
  }
  return declared
}

/** How a gateway asks an origin on nobody's behalf in particular. */
export function originCall({
  upstream,
  send,
  clock,
}: {
  readonly upstream: Upstream<OriginCall>
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  readonly clock: Clock
}): OriginCall {
  const { signal } = new AbortController()
  return upstream.client({
    signal,
    caller: {},
    now: () => clock.now(),
    send: (request) =>
      send({
        cost: 1,
        ...request,
        signal,
        priority: 'interactive',
        client: 'log',
        deadline: clock.monotonic() + upstream.settings.timeout,
        apiKey: undefined,
      }),
  })
}

/**
 * An event as an origin sends it, with its place there.
 *
 * @param lineage of the page or connection, where the event does not name it
 * @throws WeirError `upstream_invalid`
 */
export function lineOf(said: unknown, lineage: string | undefined): LogLine {
  const { position, at, event } = isRecord(said) ? said : {}
  const place = parseVersion(String(position))
  if (place === undefined || typeof at !== 'number')
    throw new WeirError('upstream_invalid', `origin: expected an event with its position, got ${show(said)}`)
  return {
    epoch: place.epoch,
    offset: place.sequence,
    lineage: lineageOf(said, lineage),
    at,
    event: unpooledBuffer(stringifyJson(event) ?? 'null'),
  }
}
