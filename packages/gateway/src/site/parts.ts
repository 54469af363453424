import type { Admission } from '../admission/admission.ts'
import type { Memory } from '../cache/memory.ts'
import type { MaybePromise } from '../call.ts'
import type { PipelineParts, RequestPath } from '../pipeline.ts'
import type { Route } from '../route/router.ts'
import type { FeedPlan } from '../topic/feed/feed.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { LogPlan } from '../topic/log/log.ts'
import type { LogRuntime } from '../topic/log/log-runtime.ts'
import type { Scope } from '../topic/scope.ts'
import type { Described } from '../transport/openapi.ts'
import type { Peers } from '../transport/peers.ts'
import type { SseParts } from '../transport/sse.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { OriginCall } from '../upstream/weir/origin-value.ts'
import type { Sources } from './sources.ts'

/** What every part of an app has, whatever its kind. */
export interface DeclaredPart {
  readonly kind: string
  /** Its address. */
  readonly path: string
  /** The part in metrics, GraphQL and errors. A part without one goes by its address. */
  readonly name?: string
}

/**
 * A kind of part, such as feeds or proxies: all that the rest of the gateway knows of it. A new kind is one file in `kinds/` and one line of the
 * table in `kinds.ts`.
 */
export interface PartKind<Part extends DeclaredPart = DeclaredPart> {
  readonly kind: Part['kind']
  /** For messages, with its article: `a feed`. */
  readonly title: string
  /** Parts that come with it, such as the feeds of a JSON-RPC route. */
  brings?(part: Part): readonly DeclaredPart[]
  /** Where its addresses are topics, as those of feeds and logs are: who shares their values. */
  topics?(part: Part): { readonly scope: Scope }
  /** The upstreams that it uses. */
  upstreams?(part: Part): readonly UpstreamUser[]
  /** Puts a part to work in a site. Nothing is asked of an upstream yet. */
  start(part: Part, site: SiteContext): RunningPart
  /** The same part in a region of an origin; the part itself where there is no difference. */
  inRegion?(part: Part, region: Region): Part
  /** What it adds to the OpenAPI document. */
  describe(part: Part): Described
}

/** A part at work in one site. */
export interface RunningPart {
  /** Called once, when all parts of the site have been started. */
  routes(): readonly Route[]
  /** What has the values of its topics, for forms that name topics. */
  readonly topic?: FeedRuntime | LogRuntime
  /** Begins to serve the app's code. */
  serve?(): void
  /** Loads what is to be there before the first client; all parts serve by then. */
  prewarm?(): void
  /** Ends all that was begun. */
  stop?(): MaybePromise<void>
}

/** A part that sends requests to an upstream. */
export interface UpstreamUser {
  readonly upstream: Upstream
  /** Where it is declared, for messages. */
  readonly where: string
}

/** Another gateway that has the values of an app. */
export interface Region {
  /** The site of the app there. */
  readonly url: string
  /** The origin in messages and metrics. */
  readonly name: string
  readonly upstream: Upstream<OriginCall>
}

/** What a site gives its parts. */
export interface SiteContext {
  /** The site itself, as declarations know it. */
  readonly site: object
  /** With the backend as this app sees it. */
  readonly pipeline: PipelineParts
  readonly memory: Memory
  /** What live forms need: the hub, the clock, the level. */
  readonly live: SseParts
  readonly peers: Peers
  readonly sources: Sources
  readonly admission: Admission
  /** Sites whose pages may connect here. */
  readonly cors: readonly string[]
  /** Whether the app can say who calls. */
  readonly identifies: boolean
  requests(user: UpstreamUser): RequestPath
  /** The feed at work at this path. @throws WeirError `internal` when there is none */
  feed(path: string): FeedRuntime
  /** A plan without the keys whose address another feed or log of the app serves. */
  withOwnKeys<Plan extends FeedPlan | LogPlan>(plan: Plan): Plan
  /** Runs code of the app, in which declarations mean those of this site. */
  within<Result>(run: () => Result): Result
}
