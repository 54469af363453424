import type { UpstreamAnswer } from '../../call.ts'
import { ConfigError } from '../../errors.ts'
import { travels } from '../../http-cache/fields.ts'
import { PROXY_OPTIONS } from '../../options/topic.ts'
import { type Bytes, type Duration, isRecord, readOptions } from '../../options.ts'
import type { Upstream } from '../../upstream/upstream.ts'

/** What `proxy()` takes. */
export interface ProxyOptions {
  readonly to: Upstream
  /** The proxy in metrics; its address by default. */
  readonly name?: string
  /** Methods that pass; others are refused with 405. GET by default; HEAD goes with GET. */
  readonly methods?: readonly string[]
  /** Paths that pass, as the upstream has them: `'/price/v3'`, `'/tokens/:id'`, `'/swap/*'`. All by default. */
  readonly paths?: readonly string[]
  /** Request headers that pass besides those that say what form the answer should have. None by default. */
  readonly forward?: readonly string[]
  /** How long edges may keep an answer that may be shared: written as `CDN-Cache-Control` (RFC 9213). */
  readonly cdn?: Duration
  /** Paths to which that applies, written as `paths`: what must not be old at edges is left out. All by default. */
  readonly cdnPaths?: readonly string[]
  /** Whether cookies that the upstream sets are dropped, so that its answers can be kept. False by default. */
  readonly dropCookies?: boolean
  /** How long an answer is served without asking again when the upstream says nothing of that. */
  readonly fresh?: Duration
  /** How long beyond its freshness an answer may be served while the upstream fails. `'30s'` by default. */
  readonly stale?: Duration
  /** The largest answer that is kept; larger ones are streamed. `'1mb'` by default. */
  readonly maxCached?: Bytes
  /** The largest body of a request. `'1mb'` by default. */
  readonly maxBody?: Bytes
  /** The longest a client waits. `'10s'` by default. */
  readonly deadline?: Duration
  /** What a call costs, for limits by `cost`. 1 by default. */
  readonly cost?: number
  /** What the upstream counts apart, for limits by `lane`. */
  readonly lane?: string
  /** Whether a client's `Cache-Control: no-cache`, `max-age` or `min-fresh` makes a call to the upstream. False by default. */
  readonly reload?: boolean
  /** Whether an answer of success is none in truth, such as a 200 that carries an error: it is not kept. */
  failed?(answer: UpstreamAnswer): boolean
}

/** A proxy as it was declared, ready to run. Times in milliseconds, sizes in bytes. */
export interface ProxyPlan {
  readonly where: string
  readonly name: string
  /** What comes before the path of the upstream: `/api/jupiter`, or ''. */
  readonly mount: string
  readonly upstream: Upstream
  readonly methods: readonly string[]
  /** Patterns of the upstream's paths. */
  readonly paths: readonly string[]
  /** Lower-case names. */
  readonly forward: readonly string[]
  readonly cdn: number | undefined
  /** Patterns of those of them that `cdn` is for. */
  readonly cdnPaths: readonly string[]
  readonly dropCookies: boolean
  readonly fresh: number | undefined
  readonly stale: number
  readonly maxCached: number
  readonly maxBody: number
  readonly deadline: number
  readonly cost: number
  readonly lane: string | undefined
  readonly reload: boolean
  readonly failed: ((answer: UpstreamAnswer) => boolean) | undefined
}

/** An upstream's own HTTP addresses, served through a shared cache (RFC 9111) and its budget. */
export interface HttpProxy {
  readonly kind: 'proxy'
  /** The route: `/api/jupiter/**`. */
  readonly path: string
  readonly name: string
  readonly plan: ProxyPlan
}

/** A token of RFC 9110, 5.6.2. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

/** What can't be passed on: a tunnel, and an echo of what was sent, our key included. */
const NEVER = ['CONNECT', 'TRACE', 'TRACK']

/** Headers that are made for each call. */
const OURS = ['host', 'content-length', 'expect', 'via']

/**
 * Declares a reverse proxy with a shared cache before an upstream.
 *
 * @param path where it is mounted, such as `/api/jupiter/*`: what follows is the upstream's path
 * @throws ConfigError naming the option, what was expected and what came
 */
export function proxy(path: string, options: ProxyOptions): HttpProxy {
  const where = `proxy ${JSON.stringify(path)}`
  const read = readOptions(where, PROXY_OPTIONS, options)
  if (typeof path !== 'string' || !/^(\/[\w.~-]+)*\/\*$/.test(path))
    throw new ConfigError(where, 'path', 'a path that ends in /*, such as /api/jupiter/*', path)
  if (!isRecord(read.to) || read.to.kind !== 'upstream')
    throw new ConfigError(where, 'to', 'an upstream such as http(…)', read.to)
  const methods = read.methods.map((method) => method.toUpperCase())
  const odd = methods.find((method) => !TOKEN.test(method) || NEVER.includes(method))
  if (odd !== undefined) throw new ConfigError(where, 'methods', 'methods that can be passed on', odd)
  if (methods.includes('GET') && !methods.includes('HEAD')) methods.push('HEAD')
  for (const option of ['paths', 'cdnPaths'] as const) {
    const astray = read[option].find((pattern) => !pattern.startsWith('/'))
    if (astray !== undefined) throw new ConfigError(where, option, 'paths that begin with /', astray)
  }
  const forward = (read.forward ?? []).map((name) => name.toLowerCase())
  const goesOn = travels({})
  const ours = forward.find((name) => !TOKEN.test(name) || !goesOn(name) || OURS.includes(name))
  if (ours !== undefined) throw new ConfigError(where, 'forward', 'names of headers that can be passed on', ours)
  if (read.dropCookies && forward.includes('cookie'))
    throw new ConfigError(where, 'forward', 'no cookie, since the answers for one are kept for all', 'cookie')
  if (read.failed !== undefined && typeof read.failed !== 'function')
    throw new ConfigError(where, 'failed', 'a function', read.failed)

  const name = read.name ?? path
  const plan: ProxyPlan = {
    ...read,
    where,
    name,
    mount: path.slice(0, -2),
    upstream: options.to,
    methods,
    paths: read.paths.map(routeOf),
    cdnPaths: read.cdnPaths.map(routeOf),
    forward,
    failed: options.failed,
  }
  return { kind: 'proxy', path: `${plan.mount}/**`, name, plan }
}

/** A pattern as the router reads it: what ends in `/*` is all below. */
function routeOf(pattern: string): string {
  return pattern.replace(/\/\*$/, '/**')
}
