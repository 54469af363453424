import { addRoute, createRouter, findRoute } from 'rou3'
import type { Call } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { chooseCompression } from '../../compress.ts'
import { show, WeirError } from '../../errors.ts'
import { readDirectives, secondsOf } from '../../http-cache/directives.ts'
import { type Fields, travels } from '../../http-cache/fields.ts'
import type { ProxyPlan } from './proxy.ts'

/** Headers that always go to the upstream, besides those of `forward`: the form of the answer, and cache directives (RFC 9111, 5.2). */
const PASSED = ['accept', 'accept-language', 'cache-control', 'pragma']
export const PASSED_WITH_BODY = ['content-type', 'content-encoding', 'content-language']

/** Conditions that only the origin may judge (RFC 9111, 4.3.2), and parts of what is not cached. */
export const FOR_THE_ORIGIN = ['if-match', 'if-unmodified-since']
export const OF_PARTS = ['range', 'if-range']

/** Conditions that a cache judges by itself once it has the answer. */
export const FOR_THE_CACHE = ['if-none-match', 'if-modified-since', ...OF_PARTS]

/** Headers that name the client, and change no answer. */
const OF_THE_CLIENT = ['x-forwarded-for', 'forwarded']

/** This proxy in `Via` (RFC 9110, 7.6.3). */
export const VIA = '1.1 weir'

/** One client's request on its way through the proxy. */
export interface ProxyRequest {
  readonly call: Call
  /** Path and query as the upstream has them. */
  readonly address: string
  /** Headers that the upstream sees. */
  readonly asked: Fields
  readonly body: Uint8Array | undefined
  /** On the monotonic clock. */
  readonly deadline: number
}

/** Makes requests to the upstream of those of clients: nothing passes that the plan does not name. */
export class ProxyRequests {
  /** Headers that are forwarded, and by which answers are cached apart. */
  readonly varyBy: readonly string[]
  readonly #plan: ProxyPlan
  readonly #clock: Clock
  readonly #paths = createRouter<true>()
  readonly #origin: string
  readonly #base: string

  constructor(plan: ProxyPlan, clock: Clock) {
    this.#plan = plan
    this.#clock = clock
    this.varyBy = plan.forward.filter((name) => !OF_THE_CLIENT.includes(name))
    for (const pattern of plan.paths) addRoute(this.#paths, '', pattern, true)
    const url = new URL(plan.upstream.settings.url)
    this.#origin = url.origin
    this.#base = url.pathname.replace(/\/$/, '')
  }

  /** The upstream's address of a call. Nothing leaves the upstream's base path, however it is written. */
  addressOf({ path, url }: Call): string {
    const { mount, name } = this.#plan
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

  /** A client's request as the upstream gets it. `more`: further headers that pass. */
  of(call: Call, address: string, more: readonly string[], body?: Uint8Array): ProxyRequest {
    const { forward, deadline } = this.#plan
    const goesOn = travels({ connection: call.header('connection') })
    const asked: Record<string, string> = {}
    for (const name of [...PASSED, ...forward, ...more]) {
      const value = goesOn(name) ? call.header(name) : undefined
      if (value !== undefined) asked[name] = value
    }
    // One of three, since each spelling would be a variant of its own.
    asked['accept-encoding'] =
      chooseCompression(call.header('accept-encoding'), Number.POSITIVE_INFINITY)?.name ?? 'identity'
    const via = call.header('via')
    asked.via = via === undefined ? VIA : `${via}, ${VIA}`
    // Both name the client to the upstream, where the plan lets them pass.
    if (forward.includes('x-forwarded-for'))
      asked['x-forwarded-for'] = joined(asked['x-forwarded-for'], call.remote || 'unknown')
    if (forward.includes('forwarded')) asked.forwarded = joined(asked.forwarded, `for=${node(call.remote)}`)
    return { call, address, asked, body, deadline: this.#clock.monotonic() + deadline }
  }

  /** Path and query of a reference inside the upstream's base path, as the proxy has them; undefined when it leads elsewhere. */
  inside(reference: string | undefined, address: string): string | undefined {
    if (reference === undefined) return undefined
    const url = URL.parse(reference, this.#origin + this.#base + address)
    if (url === null || url.origin !== this.#origin || !url.pathname.startsWith(`${this.#base}/`)) return undefined
    // An API key of ours is masked in it; the next call has it again.
    for (const [name, value] of [...url.searchParams]) if (/^\*+$/.test(value)) url.searchParams.delete(name)
    return url.pathname.slice(this.#base.length) + url.search + url.hash
  }
}

/** How a client wants to be served (RFC 9111, 5.2.1). Milliseconds. */
export interface Wish {
  readonly onlyKept: boolean
  readonly noCache: boolean
  readonly maxAge: number
  readonly minFresh: number
  readonly maxStale: number
}

export function wishOf(call: Call): Wish {
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

/** A list header with one more member. */
export function joined(list: string | undefined, member: string): string {
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
