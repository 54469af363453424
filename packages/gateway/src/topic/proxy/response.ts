import { addRoute, createRouter, findRoute } from 'rou3'
import type { Answer, AnswerHeaders, UpstreamAnswer } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { answerFor } from '../../http-cache/answer.ts'
import { readDate } from '../../http-cache/date.ts'
import { travels } from '../../http-cache/fields.ts'
import type { Exchanged } from '../../http-cache/policy.ts'
import type { Received } from '../../http-cache/received.ts'
import type { ProxyPlan } from './proxy.ts'
import { FOR_THE_CACHE, joined, type ProxyRequest, type ProxyRequests, VIA } from './request.ts'

/** Headers about our account with the upstream: they are no client's business, and would be believed by their own limiters. */
const OF_THE_ACCOUNT = /^(x-)?ratelimit(-|$)/

/** The result of a call to the upstream, for all who wait for it. */
export interface Outcome {
  /** The request that began the call: only it gets what is for one client alone. */
  readonly by: ProxyRequest
  readonly received: Received
  readonly answer: UpstreamAnswer
  /** The upstream has just confirmed it, or it stands in for a failure: it is for all who wait. */
  readonly forAll: boolean
  /** Whether it is cached now. */
  readonly kept: boolean
}

/** Makes answers to clients of those of the upstream. */
export class ProxyResponses {
  readonly #plan: ProxyPlan
  readonly #clock: Clock
  readonly #requests: ProxyRequests
  readonly #edges = createRouter<true>()

  constructor(plan: ProxyPlan, clock: Clock, requests: ProxyRequests) {
    this.#plan = plan
    this.#clock = clock
    this.#requests = requests
    for (const pattern of plan.cdnPaths) addRoute(this.#edges, '', pattern, true)
  }

  /** An answer of the upstream, as clients may see it. */
  received({ call: { method }, address, asked }: ProxyRequest, answer: UpstreamAnswer): Exchanged {
    const clock = this.#clock
    const receivedAt = clock.now()
    const goesOn = travels(answer.headers)
    const fields: Record<string, string> = {}
    for (const [name, value] of Object.entries(answer.headers)) {
      if (goesOn(name) && name !== 'set-cookie' && !OF_THE_ACCOUNT.test(name)) fields[name] = value
    }
    for (const name of ['location', 'content-location']) {
      const value = fields[name]
      const inside =
        value !== undefined && /^(\/|https?:)/i.test(value) ? this.#requests.inside(value, address) : undefined
      if (inside !== undefined) fields[name] = this.#plan.mount + inside
    }
    // A forwarded header may decide the answer, whether the upstream says so or not. So caches, here and downstream, keep requests apart by it.
    if (this.#requests.varyBy.length > 0) fields.vary = joined(fields.vary, this.#requests.varyBy.join(', '))
    // A recipient with a clock dates an answer that has no date (RFC 9110, 6.6.1).
    if (readDate(fields.date, receivedAt) === undefined) fields.date = new Date(receivedAt).toUTCString()
    const { status, cookies, sentAt } = answer
    // The time of the body counts too (RFC 9111, 4.2.3: response_delay).
    const took = sentAt === undefined ? 0 : clock.monotonic() - sentAt
    return { method, asked, status, fields, cookies: cookies !== undefined, receivedAt, took }
  }

  /** The answer to one of those who waited for a call. `why`: the reason of the call, for `Cache-Status`. */
  of(request: ProxyRequest, { by, received, answer, kept }: Outcome, why: string): Answer {
    const said = `fwd=${why}; fwd-status=${answer.status}${kept ? '; stored' : ''}`
    if (by === request && (answer.stream !== undefined || answer.cookies !== undefined)) {
      const headers = this.#headers(request, received, said, false)
      if (answer.cookies !== undefined) headers['set-cookie'] = [...answer.cookies]
      const body = answer.stream?.body ?? received.body
      return { kind: 'whole', status: received.status, headers, body }
    }
    return this.fromCache(request, received, said)
  }

  /** The answer with something cached, or that may be. `kept`: it was cached before. */
  fromCache(request: ProxyRequest, received: Received, said: string, kept = false): Answer {
    const { call } = request
    const fields: Record<string, string> = {}
    for (const name of FOR_THE_CACHE) {
      const value = call.header(name)
      if (value !== undefined) fields[name] = value
    }
    const headers = this.#headers(request, received, said, kept)
    return answerFor({ method: call.method, fields }, received, headers, this.#clock.now())
  }

  #headers({ address }: ProxyRequest, received: Received, said: string, kept: boolean): AnswerHeaders {
    const { fields, policy } = received
    const { cdn } = this.#plan
    const headers: AnswerHeaders = { ...fields }
    const age = received.age(this.#clock.monotonic())
    // An answer straight from its origin has no age (RFC 9111, 5.1).
    if (kept || fields.age !== undefined || age >= 1000) headers.age = String(Math.floor(age / 1000))
    const seconds = Math.ceil(policy.lifetime / 1000)
    if (policy.by === 'option') headers['cache-control'] = `${fields['cache-control'] ?? 'public'}, max-age=${seconds}`
    const shared = policy.storable && !policy.confirm && (policy.by !== 'upstream' || policy.lifetime > 0)
    if (cdn !== undefined && shared && received.status < 400 && this.#isForEdges(address)) {
      headers['cdn-cache-control'] = `max-age=${Math.floor(cdn / 1000)}`
    }
    headers['cache-status'] = joined(fields['cache-status'], `weir; ${said}`)
    headers.via = joined(fields.via, VIA)
    return headers
  }

  #isForEdges(address: string): boolean {
    return findRoute(this.#edges, '', address.split('?', 1)[0] ?? '') !== undefined
  }
}
