import { LRUCache } from 'lru-cache'
import { unpooledCopy } from '../../buffer.ts'
import type { Answer, Ask, Call, MaybePromise, Next, UpstreamAnswer, UpstreamRequest, Urgency } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { asWeirError, WeirError } from '../../errors.ts'
import type { CacheOutcome, Emit } from '../../events.ts'
import { type Fields, travels } from '../../http-cache/fields.ts'
import type { Exchanged } from '../../http-cache/policy.ts'
import { Received } from '../../http-cache/received.ts'
import { replaced, Variants } from '../../http-cache/variants.ts'
import type { ProxyPlan } from './proxy.ts'
import {
  FOR_THE_CACHE,
  FOR_THE_ORIGIN,
  OF_PARTS,
  PASSED_WITH_BODY,
  type ProxyRequest,
  ProxyRequests,
  type Wish,
  wishOf,
} from './request.ts'
import { type Outcome, ProxyResponses } from './response.ts'

/** Where answers are cached, within the memory of the site. */
interface Shelf {
  get(address: string): unknown
  set(address: string, kept: Variants): unknown
  delete(address: string): unknown
}

/** What the pipeline gives a proxy. */
export interface ProxyPath {
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  readonly shelf: Shelf
  /** Makes one call for all that ask for a topic while it is under way. */
  share<Result>(
    start: (ask: Ask, signal: AbortSignal, urgency: Urgency) => Promise<Result>,
  ): (ask: Ask) => Promise<Result>
}

export interface ProxyRuntimeParts {
  readonly plan: ProxyPlan
  readonly path: ProxyPath
  readonly clock: Clock
  readonly emit: Emit
}

/** How long an address is remembered whose answers can't be shared, in milliseconds, and how many of them are. */
const APART_FOR = 10_000
const MOST_APART = 10_000

/** How often a client joins the call of another before it has one of its own. */
const MOST_ROUNDS = 3

/** Methods that change nothing and may be answered from the cache. */
const READS = ['GET', 'HEAD']

/** Failures for which a stale answer may stand in (RFC 5861, 4). */
const FAILURES = [500, 502, 503, 504]

/** A proxy at work: a shared cache (RFC 9111) before an upstream, in the upstream's budget. */
export class ProxyRuntime {
  readonly plan: ProxyPlan
  readonly #parts: ProxyRuntimeParts
  readonly #requests: ProxyRequests
  readonly #responses: ProxyResponses
  readonly #join: (ask: Ask) => Promise<Outcome>
  /** Addresses whose answers could not be shared, and until when that is remembered, on the monotonic clock. */
  readonly #apart = new LRUCache<string, number>({ max: MOST_APART })
  readonly #revalidating = new Set<string>()

  constructor(parts: ProxyRuntimeParts) {
    const { plan, path, clock } = parts
    this.plan = plan
    this.#parts = parts
    this.#requests = new ProxyRequests(plan, clock)
    this.#responses = new ProxyResponses(plan, clock, this.#requests)
    this.#join = path.share(async (ask, signal, urgency) => {
      const { request, kept } = ask.key as { request: ProxyRequest; kept: Received | undefined }
      const outcome = await this.#exchange(request, kept, signal, urgency)
      // A stream is for the client that began the call; when it has left, no other reads it.
      if (ask.signal?.aborted) await outcome.answer.stream?.body.cancel()
      return outcome
    })
  }

  /** @throws WeirError `not_found`, `bad_request`, `not_cached`, `body_too_large`, or why the upstream could not be asked */
  handle(call: Call): MaybePromise<Answer> {
    const address = this.#requests.addressOf(call)
    if (!READS.includes(call.method)) return this.#change(call, address)
    const wish = wishOf(call)
    const request = this.#requests.of(call, address, [])
    if (FOR_THE_ORIGIN.some((name) => call.header(name) !== undefined)) {
      return this.#alone(this.#requests.of(call, address, [...FOR_THE_ORIGIN, ...FOR_THE_CACHE]), undefined, 'bypass')
    }
    const variants = this.#variants(address)
    const kept = variants?.find(request.asked)
    const now = this.#parts.clock.monotonic()
    const use = kept === undefined ? 'ask' : this.#useOf(kept, wish, now)
    if (kept !== undefined && use !== 'ask') {
      this.#read(use === 'fresh' ? 'hit' : 'stale')
      if (use === 'revalidate') this.#revalidate(request, kept)
      return this.#responses.fromCache(request, kept, `hit; ttl=${Math.floor(kept.left(now) / 1000)}`, true)
    }
    if (wish.onlyKept) throw new WeirError('not_cached', `${this.plan.name}: no cached answer may be used`)
    this.#read(kept === undefined ? 'miss' : 'refresh')
    const why = variants === undefined ? 'uri-miss' : kept === undefined ? 'vary-miss' : this.#whyNot(kept, now)
    if (kept === undefined && call.header('range') !== undefined) {
      return this.#alone(this.#requests.of(call, address, OF_PARTS), undefined, why)
    }
    return this.#together(request, kept, why, 1)
  }

  #variants(address: string): Variants | undefined {
    const kept = this.#parts.path.shelf.get(this.#shelfKey(address))
    return kept instanceof Variants ? kept : undefined
  }

  #shelfKey(address: string): string {
    // No topic begins like this: all begin with a slash.
    return `proxy ${this.plan.name} ${address}`
  }

  /** Caches an answer in place of the one that the same request had before; without one, only removes that. */
  #replace(address: string, asked: Fields, received: Received | undefined): void {
    const { shelf } = this.#parts.path
    const key = this.#shelfKey(address)
    const variants = replaced(this.#variants(address), key, asked, received)
    if (variants === undefined) shelf.delete(key)
    else shelf.set(key, variants)
  }

  /** How a cached answer may be used for a client. */
  #useOf(kept: Received, wish: Wish, now: number): 'fresh' | 'stale' | 'revalidate' | 'ask' {
    const { reload, stale } = this.plan
    const { confirm, strict, whileAsked, by } = kept.policy
    const left = kept.left(now)
    if (confirm) return 'ask'
    if (reload && (wish.noCache || kept.age(now) > wish.maxAge || left < wish.minFresh)) return 'ask'
    if (left > 0) return 'fresh'
    if (strict) return 'ask'
    if (-left < (whileAsked ?? (by === 'option' ? stale : 0))) return 'revalidate'
    return -left < wish.maxStale ? 'stale' : 'ask'
  }

  #whyNot(kept: Received, now: number): string {
    return kept.isFresh(now) ? 'request' : 'stale'
  }

  /** Whether a cached answer may stand in for a failure (RFC 9111, 4.2.4; RFC 5861, 4). */
  #mayStandIn(kept: Received, now: number): boolean {
    const { confirm, strict, ifError, lifetime } = kept.policy
    return !confirm && !strict && -kept.left(now) < (ifError ?? (lifetime > 0 ? this.plan.stale : 0))
  }

  /** One call for all clients of the same address. A client that can't have its answer tries again, and finally with a call of its own. */
  async #together(request: ProxyRequest, kept: Received | undefined, why: string, round: number): Promise<Answer> {
    const flight = this.#flightOf(request)
    if (round > MOST_ROUNDS || (this.#apart.get(flight) ?? 0) > this.#parts.clock.monotonic()) {
      return this.#alone(request, kept, why)
    }
    const outcome = await this.#join(this.#ask(request, kept, flight)).catch((thrown) => this.#standIn(kept, thrown))
    if (outcome instanceof WeirError)
      return this.#responses.fromCache(request, kept as Received, `fwd=stale; detail=${outcome.code}`)
    const { by, received, answer, forAll } = outcome
    if (by === request) return this.#responses.of(request, outcome, why)
    const now = this.#parts.clock.monotonic()
    const whole = answer.stream === undefined
    if (whole && received.matches(request.asked) && (forAll || received.mayBeShared(now))) {
      return this.#responses.of(request, outcome, `${why}; collapsed`)
    }
    // The answer is for one client; that the upstream failed is for all.
    if (FAILURES.includes(received.status)) {
      throw new WeirError('upstream_failed', `${this.plan.name}: the upstream answered ${received.status}`, {
        upstreamStatus: received.status,
      })
    }
    return this.#together(request, this.#variants(request.address)?.find(request.asked), why, round + 1)
  }

  /** A call for one client only. */
  async #alone(request: ProxyRequest, kept: Received | undefined, why: string): Promise<Answer> {
    const outcome = await this.#exchange(request, kept, request.call.signal).catch((thrown) =>
      this.#standIn(kept, thrown),
    )
    if (outcome instanceof WeirError)
      return this.#responses.fromCache(request, kept as Received, `fwd=stale; detail=${outcome.code}`)
    return this.#responses.of(request, outcome, why)
  }

  /** The failure, when a cached answer may stand in for it; otherwise it is thrown. */
  #standIn(kept: Received | undefined, thrown: unknown): WeirError {
    if (kept === undefined || !this.#mayStandIn(kept, this.#parts.clock.monotonic())) throw thrown
    return asWeirError(thrown)
  }

  /** Revalidates an answer that was served stale. */
  #revalidate(request: ProxyRequest, kept: Received): void {
    const flight = this.#flightOf(request)
    if (this.#revalidating.has(flight)) return
    this.#revalidating.add(flight)
    this.#join({ ...this.#ask(request, kept, flight), signal: undefined, priority: 'live' })
      .then(({ by, answer }) => (by === request ? answer.stream?.body.cancel() : undefined))
      .catch(() => {
        // The client has its answer; the stage that failed has reported it.
      })
      .finally(() => this.#revalidating.delete(flight))
  }

  /** Requests with the same text share one call: they are alike in all that passes. */
  #flightOf({ call: { method }, address, asked }: ProxyRequest): string {
    const named = this.#requests.varyBy.map((name) => asked[name] ?? '')
    return JSON.stringify([method, address, asked['accept-encoding'], ...named])
  }

  #ask(request: ProxyRequest, kept: Received | undefined, flight: string): Ask {
    const { call, deadline } = request
    return {
      topic: flight,
      key: { request, kept },
      priority: 'interactive',
      client: call.remote,
      deadline,
      signal: call.signal,
      refresh: false,
    }
  }

  /** One exchange with the upstream, and its effect on the cache. With `kept`, it asks whether that is still valid. */
  async #exchange(
    request: ProxyRequest,
    kept: Received | undefined,
    signal: AbortSignal,
    urgency?: Urgency,
  ): Promise<Outcome> {
    const { clock } = this.#parts
    const { call, address, asked } = request
    const { fresh, failed } = this.plan
    const conditions = call.method === 'GET' ? (kept?.validators ?? {}) : {}
    const answer = await this.#send(request, conditions, signal, urgency)
    const exchanged = this.#responses.received(request, answer)
    const now = clock.monotonic()
    const outcome = { by: request, answer, forAll: false, kept: false }

    if (answer.status === 304 && kept !== undefined && Object.keys(conditions).length > 0) {
      const confirmed = kept.confirmed(exchanged, now, fresh)
      // It confirms another answer than the one in question, so nothing is known.
      if (confirmed === undefined) return this.#exchange(request, undefined, signal, urgency)
      const stays = confirmed.isWorthKeeping(now)
      this.#replace(address, asked, stays ? confirmed : undefined)
      return { ...outcome, received: confirmed, forAll: confirmed.policy.storable, kept: stays }
    }

    const received = new Received(exchanged, unpooledCopy(answer.body), now, fresh)
    const streamed = answer.stream !== undefined
    const failedInTruth = !streamed && failed?.(answer) === true
    const fails = failedInTruth || FAILURES.includes(answer.status)
    if (fails && kept !== undefined && this.#mayStandIn(kept, now)) {
      const { cookies: _, ...rest } = answer
      return { ...outcome, answer: rest, received: kept, forAll: true, kept: true }
    }
    const flight = this.#flightOf(request)
    if (!streamed && received.mayBeShared(now)) this.#apart.delete(flight)
    else if (streamed || !received.isWorthKeeping(now)) this.#apart.set(flight, now + APART_FOR)
    if (call.method === 'HEAD') {
      this.#freshen(request, exchanged, now)
      return { ...outcome, received }
    }
    const stays = !streamed && !failedInTruth && received.isWorthKeeping(now)
    if (stays) this.#replace(address, asked, received)
    // Newer than the cached answer, and not cacheable: the cached one is out of date.
    else if (!fails && answer.status !== 206 && answer.status !== 304) this.#replace(address, asked, undefined)
    return { ...outcome, received, kept: stays }
  }

  /** The answer to a HEAD says whether the one cached for GET is still valid (RFC 9111, 4.3.5). */
  #freshen({ address, asked }: ProxyRequest, exchanged: Exchanged, now: number): void {
    const kept = this.#variants(address)?.find(asked)
    if (kept === undefined || exchanged.status !== 200) return
    const confirmed = kept.confirmed(exchanged, now, this.plan.fresh)
    this.#replace(address, asked, confirmed?.isWorthKeeping(now) ? confirmed : undefined)
  }

  /** A method that may change something: it is passed on for its client, and cached answers that it may change are removed. */
  async #change(call: Call, address: string): Promise<Answer> {
    const body = await call.body(this.plan.maxBody)
    const request = this.#requests.of(
      call,
      address,
      [...FOR_THE_ORIGIN, ...PASSED_WITH_BODY],
      body.byteLength === 0 ? undefined : body,
    )
    const answer = await this.#send(request, {}, call.signal)
    if (answer.status >= 200 && answer.status < 400) {
      const { location, 'content-location': content } = answer.headers
      const changed = [location, content].map((field) => this.#requests.inside(field, address))
      for (const one of [address, ...changed]) {
        if (one !== undefined) this.#parts.path.shelf.delete(this.#shelfKey(one))
      }
    }
    const received = new Received(
      this.#responses.received(request, answer),
      answer.body,
      this.#parts.clock.monotonic(),
      undefined,
    )
    return this.#responses.of(request, { by: request, received, answer, forAll: false, kept: false }, 'method')
  }

  #send(request: ProxyRequest, conditions: Fields, signal: AbortSignal, urgency?: Urgency): Promise<UpstreamAnswer> {
    const { call, address, asked, body, deadline } = request
    const { cost, lane, maxCached, failed } = this.plan
    const sent = this.#parts.path.send({
      method: call.method,
      path: address,
      headers: { ...asked, ...conditions },
      body,
      priority: 'interactive',
      ...(urgency === undefined ? {} : { urgency }),
      client: call.remote,
      deadline,
      signal,
      cost,
      // A failure at one path says nothing about another.
      operation: `${this.plan.name} ${call.method} ${address.split('?', 1)[0]}`,
      ...(lane === undefined ? {} : { lane }),
      apiKey: undefined,
      kept: maxCached,
      // An answer about our own API keys is not for clients.
      passes: (status) => status >= 500 || (!this.plan.upstream.settings.keyed && (status === 401 || status === 403)),
      ...(failed === undefined ? {} : { failed }),
      inform(status, headers) {
        const goesOn = travels(headers)
        call.inform?.(status, Object.fromEntries(Object.entries(headers).filter(([name]) => goesOn(name))))
      },
    })
    return this.plan.dropCookies ? sent.then(({ cookies: _, ...answer }) => answer) : sent
  }

  #read(outcome: CacheOutcome): void {
    this.#parts.emit({ type: 'cache.read', feed: this.plan.name, outcome })
  }
}
