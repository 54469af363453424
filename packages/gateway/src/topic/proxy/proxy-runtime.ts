import { LRUCache } from 'lru-cache'
import { addRoute, createRouter, findRoute } from 'rou3'
import { unpooledCopy } from '../../buffer.ts'
import type {
  Answer,
  AnswerHeaders,
  Ask,
  Call,
  MaybePromise,
  Next,
  UpstreamAnswer,
  UpstreamRequest,
  Urgency,
} from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { chooseCompression } from '../../compress.ts'
import { asWeirError, show, WeirError } from '../../errors.ts'
import type { CacheOutcome, Emit } from '../../events.ts'
import { answerFor } from '../../http-cache/answer.ts'
import { readDate } from '../../http-cache/date.ts'
import { readDirectives, secondsOf } from '../../http-cache/directives.ts'
import { type Fields, travels } from '../../http-cache/fields.ts'
import type { Exchanged } from '../../http-cache/policy.ts'
import { Received } from '../../http-cache/received.ts'
import { replaced, Variants } from '../../http-cache/variants.ts'
import type { ProxyPlan } from './proxy.ts'

/** Where answers are kept, in the bound of memory that they share with all else of the site. */
interface Shelf {
  get(address: string): unknown
  set(address: string, kept: Variants): unknown
  delete(address: string): unknown
}

/** What the pipeline lends a proxy. */
export interface ProxyPath {
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  readonly shelf: Shelf
  /** Makes one call of all asks for a topic that come while it is under way. */
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

/** How long an address is remembered whose answers are for nobody but who asks, in milliseconds, and how many are. */
const APART_FOR = 10_000
const MOST_APART = 10_000

/** How often a client joins others before it asks for itself. */
const MOST_ROUNDS = 3

/** Methods that change nothing and may be answered from what is kept. */
const READS = ['GET', 'HEAD']

/** What always goes to the upstream, beside what `forward` names: the form of the answer, and cache directives (RFC 9111, 5.2). */
const PASSED = ['accept', 'accept-language', 'cache-control', 'pragma']
const PASSED_WITH_BODY = ['content-type', 'content-encoding', 'content-language']

/** Conditions that only the origin may judge (RFC 9111, 4.3.2), and parts of what is not kept. */
const FOR_THE_ORIGIN = ['if-match', 'if-unmodified-since']
const OF_PARTS = ['range', 'if-range']

/** What a cache judges by itself once it has the answer. */
const FOR_THE_CACHE = ['if-none-match', 'if-modified-since', ...OF_PARTS]

/** What names the client, and makes no answer another. */
const OF_THE_CLIENT = ['x-forwarded-for', 'forwarded']

/** What speaks of our account with the upstream: it is no client's business, and would be believed by their own limiters. */
const OF_THE_ACCOUNT = /^(x-)?ratelimit(-|$)/

/** Failures in place of which something stale may be served (RFC 5861, 4). */
const FAILURES = [500, 502, 503, 504]

/** One client's request on its way through the proxy. */
interface Asking {
  readonly call: Call
  /** Path and query as the upstream has them. */
  readonly address: string
  /** Fields that the upstream sees. */
  readonly asked: Fields
  readonly body: Uint8Array | undefined
  readonly deadline: number
}

/** What came of a call to the upstream, for all who wait for it. */
interface Outcome {
  /** Who asked first: only he gets what is for him alone. */
  readonly by: Asking
  readonly received: Received
  readonly answer: UpstreamAnswer
  /** The upstream said just now that it still holds, or it is served in place of a failure: it is for all who wait. */
  readonly forAll: boolean
  /** Whether it is kept now. */
  readonly kept: boolean
}

/** What a client says of how it would be served (RFC 9111, 5.2.1). Milliseconds. */
interface Wish {
  readonly onlyKept: boolean
  readonly noCache: boolean
  readonly maxAge: number
  readonly minFresh: number
  readonly maxStale: number
}

/** A proxy at work: a shared cache (RFC 9111) before an upstream, in the upstream's budget. */
export class ProxyRuntime {
  readonly plan: ProxyPlan
  readonly #parts: ProxyRuntimeParts
  readonly #paths = createRouter<true>()
  readonly #edges = createRouter<true>()
  readonly #origin: string
  readonly #base: string
  readonly #join: (ask: Ask) => Promise<Outcome>
  /** Addresses whose answers were of no use to others, with the end of that on the monotonic clock. */
  readonly #apart = new LRUCache<string, number>({ max: MOST_APART })
  readonly #revalidating = new Set<string>()
  /** Headers that are forwarded, and by which answers are kept apart. */
  readonly #varyBy: readonly string[]

  constructor(parts: ProxyRuntimeParts) {
    const { plan, path } = parts
    this.plan = plan
    this.#parts = parts
    this.#varyBy = plan.forward.filter((name) => !OF_THE_CLIENT.includes(name))
    for (const pattern of plan.paths) addRoute(this.#paths, '', pattern, true)
    for (const pattern of plan.cdnPaths) addRoute(this.#edges, '', pattern, true)
    const url = new URL(plan.upstream.settings.url)
    this.#origin = url.origin
    this.#base = url.pathname.replace(/\/$/, '')
    this.#join = path.share(async (ask, signal, urgency) => {
      const { asking, kept } = ask.key as { asking: Asking; kept: Received | undefined }
      const outcome = await this.#exchange(asking, kept, signal, urgency)
      // A stream is for who asked first; when he is gone nobody reads it.
      if (ask.signal?.aborted) await outcome.answer.stream?.body.cancel()
      return outcome
    })
  }

  /** @throws WeirError `not_found`, `bad_request`, `not_cached`, `body_too_large`, or why the upstream could not be asked */
  handle(call: Call): MaybePromise<Answer> {
    const address = this.#addressOf(call)
    if (!READS.includes(call.method)) return this.#change(call, address)
    const wish = wishOf(call)
    const asking = this.#asking(call, address, [])
    if (FOR_THE_ORIGIN.some((name) => call.header(name) !== undefined)) {
      return this.#alone(this.#asking(call, address, [...FOR_THE_ORIGIN, ...FOR_THE_CACHE]), undefined, 'bypass')
    }
    const variants = this.#variants(address)
    const kept = variants?.find(asking.asked)
    const now = this.#parts.clock.monotonic()
    const use = kept === undefined ? 'ask' : this.#useOf(kept, wish, now)
    if (kept !== undefined && use !== 'ask') {
      this.#read(use === 'fresh' ? 'hit' : 'stale')
      if (use === 'revalidate') this.#revalidate(asking, kept)
      return this.#answer(asking, kept, `hit; ttl=${Math.floor(kept.left(now) / 1000)}`, true)
    }
    if (wish.onlyKept) throw new WeirError('not_cached', `${this.plan.name}: nothing is kept that may be used`)
    this.#read(kept === undefined ? 'miss' : 'refresh')
    const why = variants === undefined ? 'uri-miss' : kept === undefined ? 'vary-miss' : this.#whyNot(kept, now)
    if (kept === undefined && call.header('range') !== undefined) {
      return this.#alone(this.#asking(call, address, OF_PARTS), undefined, why)
    }
    return this.#together(asking, kept, why, 1)
  }

  /** The upstream's address of a call. Nothing leaves the upstream's base path, however it is written. */
  #addressOf({ path, url }: Call): string {
    const { mount, name } = this.plan
    const inside = path === mount ? '/' : path.slice(mount.length)
    const clear = path === mount || path.startsWith(`${mount}/`)
    if (!clear || findRoute(this.#paths, '', inside) === undefined || climbs(inside)) {
      throw new WeirError('not_found', `${name}: expected a path that it passes on, got ${show(inside)}`)
    }
    const address = inside + url.slice(path.length)
    if (!/^[!-~]*$/.test(address) || address.includes('#')) {
      throw new WeirError('bad_request', `${name}: expected an address of URL characters, got ${show(address)}`)
    }
    return address
  }

  /** A client's request as the upstream gets it: what is not named does not pass. */
  #asking(call: Call, address: string, more: readonly string[], body?: Uint8Array): Asking {
    const { forward, deadline } = this.plan
    const goesOn = travels({ connection: call.header('connection') })
    const asked: Record<string, string> = {}
    for (const name of [...PASSED, ...forward, ...more]) {
      const value = goesOn(name) ? call.header(name) : undefined
      if (value !== undefined) asked[name] = value
    }
    // One of three: each spelling would be a variant of its own.
    asked['accept-encoding'] =
      chooseCompression(call.header('accept-encoding'), Number.POSITIVE_INFINITY)?.name ?? 'identity'
    const via = call.header('via')
    asked.via = via === undefined ? VIA : `${via}, ${VIA}`
    // Each names the client to the upstream, when it is to be named.
    if (forward.includes('x-forwarded-for'))
      asked['x-forwarded-for'] = joined(asked['x-forwarded-for'], call.remote || 'unknown')
    if (forward.includes('forwarded')) asked.forwarded = joined(asked.forwarded, `for=${node(call.remote)}`)
    return { call, address, asked, body, deadline: this.#parts.clock.monotonic() + deadline }
  }

  #variants(address: string): Variants | undefined {
    const kept = this.#parts.path.shelf.get(this.#shelfKey(address))
    return kept instanceof Variants ? kept : undefined
  }

  #shelfKey(address: string): string {
    // No topic begins like this: all begin with a slash.
    return `proxy ${this.plan.name} ${address}`
  }

  /** Keeps an answer in place of what the same request had before; without one, lets go of that. */
  #replace(address: string, asked: Fields, received: Received | undefined): void {
    const { shelf } = this.#parts.path
    const key = this.#shelfKey(address)
    const variants = replaced(this.#variants(address), key, asked, received)
    if (variants === undefined) shelf.delete(key)
    else shelf.set(key, variants)
  }

  /** How something kept may be used for a client. */
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

  /** Whether something kept may be served in place of a failure (RFC 9111, 4.2.4; RFC 5861, 4). */
  #mayStandIn(kept: Received, now: number): boolean {
    const { confirm, strict, ifError, lifetime } = kept.policy
    return !confirm && !strict && -kept.left(now) < (ifError ?? (lifetime > 0 ? this.plan.stale : 0))
  }

  /** One call for all who ask for the same address; who can't be given its answer asks again, and then for itself. */
  async #together(asking: Asking, kept: Received | undefined, why: string, round: number): Promise<Answer> {
    const flight = this.#flightOf(asking)
    if (round > MOST_ROUNDS || (this.#apart.get(flight) ?? 0) > this.#parts.clock.monotonic()) {
      return this.#alone(asking, kept, why)
    }
    const outcome = await this.#join(this.#ask(asking, kept, flight)).catch((thrown) => this.#standIn(kept, thrown))
    if (outcome instanceof WeirError) return this.#answer(asking, kept as Received, `fwd=stale; detail=${outcome.code}`)
    const { by, received, answer, forAll } = outcome
    if (by === asking) return this.#given(asking, outcome, why)
    const now = this.#parts.clock.monotonic()
    const whole = answer.stream === undefined
    if (whole && received.matches(asking.asked) && (forAll || received.mayBeShared(now))) {
      return this.#given(asking, outcome, `${why}; collapsed`)
    }
    // What the upstream said to one is not for others; that it failed is.
    if (FAILURES.includes(received.status)) {
      throw new WeirError('upstream_failed', `${this.plan.name}: the upstream answered ${received.status}`, {
        upstreamStatus: received.status,
      })
    }
    return this.#together(asking, this.#variants(asking.address)?.find(asking.asked), why, round + 1)
  }

  /** A call for one client only. */
  async #alone(asking: Asking, kept: Received | undefined, why: string): Promise<Answer> {
    const outcome = await this.#exchange(asking, kept, asking.call.signal).catch((thrown) =>
      this.#standIn(kept, thrown),
    )
    if (outcome instanceof WeirError) return this.#answer(asking, kept as Received, `fwd=stale; detail=${outcome.code}`)
    return this.#given(asking, outcome, why)
  }

  /** The failure, when something kept may be served in its place; else it is thrown on. */
  #standIn(kept: Received | undefined, thrown: unknown): WeirError {
    if (kept === undefined || !this.#mayStandIn(kept, this.#parts.clock.monotonic())) throw thrown
    return asWeirError(thrown)
  }

  /** Asks anew for something that was served stale. */
  #revalidate(asking: Asking, kept: Received): void {
    const flight = this.#flightOf(asking)
    if (this.#revalidating.has(flight)) return
    this.#revalidating.add(flight)
    this.#join({ ...this.#ask(asking, kept, flight), signal: undefined, priority: 'live' })
      .then(({ by, answer }) => (by === asking ? answer.stream?.body.cancel() : undefined))
      .catch(() => {
        // The reader has its answer; the failure was told by the stage where it happened.
      })
      .finally(() => this.#revalidating.delete(flight))
  }

  /** Who waits for one call: those whose requests are the same in all that was named to pass. */
  #flightOf({ call: { method }, address, asked }: Asking): string {
    const named = this.#varyBy.map((name) => asked[name] ?? '')
    return JSON.stringify([method, address, asked['accept-encoding'], ...named])
  }

  #ask(asking: Asking, kept: Received | undefined, flight: string): Ask {
    const { call, deadline } = asking
    return {
      topic: flight,
      key: { asking, kept },
      priority: 'interactive',
      client: call.remote,
      deadline,
      signal: call.signal,
      refresh: false,
    }
  }

  /** One exchange with the upstream, and what is to be kept of it. With `kept`, the upstream is asked whether it still holds. */
  async #exchange(
    asking: Asking,
    kept: Received | undefined,
    signal: AbortSignal,
    urgency?: Urgency,
  ): Promise<Outcome> {
    const { clock } = this.#parts
    const { call, address, asked } = asking
    const { fresh, failed } = this.plan
    const conditions = call.method === 'GET' ? (kept?.validators ?? {}) : {}
    const answer = await this.#send(asking, conditions, signal, urgency)
    const exchanged = this.#exchanged(asking, answer)
    const now = clock.monotonic()
    const outcome = { by: asking, answer, forAll: false, kept: false }

    if (answer.status === 304 && kept !== undefined && Object.keys(conditions).length > 0) {
      const confirmed = kept.confirmed(exchanged, now, fresh)
      // It confirms something else than what was asked about: then nothing is known.
      if (confirmed === undefined) return this.#exchange(asking, undefined, signal, urgency)
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
    const flight = this.#flightOf(asking)
    if (!streamed && received.mayBeShared(now)) this.#apart.delete(flight)
    else if (streamed || !received.isWorthKeeping(now)) this.#apart.set(flight, now + APART_FOR)
    if (call.method === 'HEAD') {
      this.#freshen(asking, exchanged, now)
      return { ...outcome, received }
    }
    const stays = !streamed && !failedInTruth && received.isWorthKeeping(now)
    if (stays) this.#replace(address, asked, received)
    // Newer than what was kept, and not to be kept: that is no longer what the upstream says.
    else if (!fails && answer.status !== 206 && answer.status !== 304) this.#replace(address, asked, undefined)
    return { ...outcome, received, kept: stays }
  }

  /** The answer to a HEAD says whether what is kept for GET still holds (RFC 9111, 4.3.5). */
  #freshen({ address, asked }: Asking, exchanged: Exchanged, now: number): void {
    const kept = this.#variants(address)?.find(asked)
    if (kept === undefined || exchanged.status !== 200) return
    const confirmed = kept.confirmed(exchanged, now, this.plan.fresh)
    this.#replace(address, asked, confirmed?.isWorthKeeping(now) ? confirmed : undefined)
  }

  /** A method that may change something: passed on for its client, and what is kept of what it changes is let go. */
  async #change(call: Call, address: string): Promise<Answer> {
    const body = await call.body(this.plan.maxBody)
    const asking = this.#asking(
      call,
      address,
      [...FOR_THE_ORIGIN, ...PASSED_WITH_BODY],
      body.byteLength === 0 ? undefined : body,
    )
    const answer = await this.#send(asking, {}, call.signal)
    if (answer.status >= 200 && answer.status < 400) {
      const { location, 'content-location': content } = answer.headers
      const changed = [location, content].map((field) => this.#inside(field, address))
      for (const one of [address, ...changed]) {
        if (one !== undefined) this.#parts.path.shelf.delete(this.#shelfKey(one))
      }
    }
    const received = new Received(
      this.#exchanged(asking, answer),
      answer.body,
      this.#parts.clock.monotonic(),
      undefined,
    )
    return this.#given(asking, { by: asking, received, answer, forAll: false, kept: false }, 'method')
  }

  #send(asking: Asking, conditions: Fields, signal: AbortSignal, urgency?: Urgency): Promise<UpstreamAnswer> {
    const { call, address, asked, body, deadline } = asking
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
      // What fails at one path says nothing of another.
      operation: `${this.plan.name} ${call.method} ${address.split('?', 1)[0]}`,
      ...(lane === undefined ? {} : { lane }),
      apiKey: undefined,
      kept: maxCached,
      // What an upstream says of keys that are ours is not for clients.
      passes: (status) => status >= 500 || (!this.plan.upstream.settings.keyed && (status === 401 || status === 403)),
      ...(failed === undefined ? {} : { failed }),
      inform(status, headers) {
        const goesOn = travels(headers)
        call.inform?.(status, Object.fromEntries(Object.entries(headers).filter(([name]) => goesOn(name))))
      },
    })
    return this.plan.dropCookies ? sent.then(({ cookies: _, ...answer }) => answer) : sent
  }

  /** What came back, as clients may see it. */
  #exchanged({ call: { method }, address, asked }: Asking, answer: UpstreamAnswer): Exchanged {
    const { clock } = this.#parts
    const receivedAt = clock.now()
    const goesOn = travels(answer.headers)
    const fields: Record<string, string> = {}
    for (const [name, value] of Object.entries(answer.headers)) {
      if (goesOn(name) && name !== 'set-cookie' && !OF_THE_ACCOUNT.test(name)) fields[name] = value
    }
    for (const name of ['location', 'content-location']) {
      const value = fields[name]
      const inside = value !== undefined && /^(\/|https?:)/i.test(value) ? this.#inside(value, address) : undefined
      if (inside !== undefined) fields[name] = this.plan.mount + inside
    }
    // What was forwarded may decide the answer, whether the upstream says so or not: it is for requests alike, here and in caches behind.
    if (this.#varyBy.length > 0) fields.vary = joined(fields.vary, this.#varyBy.join(', '))
    // A recipient with a clock dates what it keeps (RFC 9110, 6.6.1).
    if (readDate(fields.date, receivedAt) === undefined) fields.date = new Date(receivedAt).toUTCString()
    const { status, cookies, sentAt } = answer
    // The time of the body counts too (RFC 9111, 4.2.3: response_delay).
    const took = sentAt === undefined ? 0 : clock.monotonic() - sentAt
    return { method, asked, status, fields, cookies: cookies !== undefined, receivedAt, took }
  }

  /** Path and query of a reference inside the upstream's base path, as the proxy has them; undefined when it leads elsewhere. */
  #inside(reference: string | undefined, address: string): string | undefined {
    if (reference === undefined) return undefined
    const url = URL.parse(reference, this.#origin + this.#base + address)
    if (url === null || url.origin !== this.#origin || !url.pathname.startsWith(`${this.#base}/`)) return undefined
    // A key of ours that was in it is covered, and will be there again when it is asked for.
    for (const [name, value] of [...url.searchParams]) if (/^\*+$/.test(value)) url.searchParams.delete(name)
    return url.pathname.slice(this.#base.length) + url.search + url.hash
  }

  /** The answer that came of a call. */
  #given(asking: Asking, { by, received, answer, kept }: Outcome, why: string): Answer {
    const said = `fwd=${why}; fwd-status=${answer.status}${kept ? '; stored' : ''}`
    if (by === asking && (answer.stream !== undefined || answer.cookies !== undefined)) {
      const headers = this.#headers(asking, received, said, false)
      if (answer.cookies !== undefined) headers['set-cookie'] = [...answer.cookies]
      const body = answer.stream?.body ?? received.body
      return { kind: 'whole', status: received.status, headers, body }
    }
    return this.#answer(asking, received, said)
  }

  #answer(asking: Asking, received: Received, said: string, kept = false): Answer {
    const { call } = asking
    const fields: Record<string, string> = {}
    for (const name of FOR_THE_CACHE) {
      const value = call.header(name)
      if (value !== undefined) fields[name] = value
    }
    const headers = this.#headers(asking, received, said, kept)
    return answerFor({ method: call.method, fields }, received, headers, this.#parts.clock.now())
  }

  #headers({ address }: Asking, received: Received, said: string, kept: boolean): AnswerHeaders {
    const { fields, policy } = received
    const { cdn } = this.plan
    const headers: AnswerHeaders = { ...fields }
    const age = received.age(this.#parts.clock.monotonic())
    // What comes straight from its origin has no age (RFC 9111, 5.1).
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

  #read(outcome: CacheOutcome): void {
    this.#parts.emit({ type: 'cache.read', feed: this.plan.name, outcome })
  }
}

/** This proxy in `Via` (RFC 9110, 7.6.3). */
const VIA = '1.1 weir'

function joined(list: string | undefined, member: string): string {
  return list === undefined ? member : `${list}, ${member}`
}

/** A node identifier of `Forwarded` (RFC 7239, 6). */
function node(remote: string): string {
  return remote.includes(':') ? `"[${remote}]"` : remote === '' ? 'unknown' : remote
}

/** Whether a path could lead above its base at an upstream that decodes it, once or more often. */
function climbs(path: string): boolean {
  const { length } = path.split('/')
  for (let text = path; ; ) {
    const segments = text.split('/')
    if (segments.length !== length || segments.some((segment) => /^\.\.?(;|$)|[\\\0]/.test(segment))) return true
    const decoded = text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    if (decoded === text) return false
    text = decoded
  }
}

function wishOf(call: Call): Wish {
  const field = call.header('cache-control')
  const directives = readDirectives(field)
  const time = (name: string, otherwise: number) => {
    const seconds = secondsOf(directives, name)
    return seconds === undefined ? otherwise : seconds * 1000
  }
  const pragma = field === undefined && readDirectives(call.header('pragma')).has('no-cache')
  return {
    onlyKept: directives.has('only-if-cached'),
    noCache: pragma || directives.has('no-cache'),
    maxAge: time('max-age', Number.POSITIVE_INFINITY),
    minFresh: time('min-fresh', Number.NEGATIVE_INFINITY),
    maxStale: directives.get('max-stale') === '' ? Number.POSITIVE_INFINITY : time('max-stale', 0),
  }
}
