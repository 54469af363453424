import { fileURLToPath } from 'node:url'
import type { Admission } from '../admission/admission.ts'
import type { App } from '../app.ts'
import type { Answer, Call, Handler, Identity, MaybePromise } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asWeirError, show, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { createRoutes, type Match, type Route } from '../route/router.ts'
import { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { Stream } from '../topic/feed/stream.ts'
import { LOG_PARAMETERS, type Log } from '../topic/log/log.ts'
import type { LogRuntime } from '../topic/log/log-runtime.ts'
import type { HttpProxy } from '../topic/proxy/proxy.ts'
import type { ProxyRuntime } from '../topic/proxy/proxy-runtime.ts'
import type { RpcRoute } from '../topic/rpc/rpc.ts'
import type { AppSocket } from '../topic/socket.ts'
import { appSocket } from '../transport/app-socket.ts'
import { bounded, current } from '../transport/credential.ts'
import { crossOrigin } from '../transport/cross-origin.ts'
import { formOf } from '../transport/form.ts'
import { checkHandshake } from '../transport/handshake.ts'
import { jsonAnswer } from '../transport/json-answer.ts'
import { history, logPoll, sinceOf } from '../transport/log.ts'
import { type OtherAddress, openApi } from '../transport/openapi.ts'
import type { Peers } from '../transport/peers.ts'
import { poll } from '../transport/poll.ts'
import { problemAnswer } from '../transport/problem.ts'
import { publish } from '../transport/publish.ts'
import { rpcAnswers } from '../transport/rpc.ts'
import { snapshot } from '../transport/snapshot.ts'
import { lastVersion, type SseParts, sse, sseClient, sseOf } from '../transport/sse.ts'
import { heldTopicsOf, type Topic, topicOr } from '../transport/topics.ts'
import { values } from '../transport/values.ts'
import { websocket } from '../transport/websocket.ts'
import { own } from './fetch-adapter.ts'
import { createPage } from './static-page.ts'

const READ = ['GET', 'HEAD']

/** No status that anybody is sent: what logs and metrics call a client that did not wait for its answer. */
const CLIENT_GONE = 499

/** What answers that go on begin with. */
const LIVE_STATUS = { live: 200, socket: 101 }

export interface AddressParts {
  readonly app: App
  readonly clock: Clock
  readonly emit: Emit
  readonly admission: Admission
  readonly live: SseParts
  readonly peers: Peers
  /** The app's feeds at work, by their path. */
  readonly feeds: ReadonlyMap<string, FeedRuntime>
  /** Its logs at work, by their path. */
  readonly logs: ReadonlyMap<string, LogRuntime>
  /** Its proxies at work, by their route. */
  readonly proxies: ReadonlyMap<string, ProxyRuntime>
  /** The addresses that the gateway itself owns on every site. */
  readonly operations: readonly Route[]
  /** Runs code of the app, in which declarations mean those of this site. */
  readonly within: <Result>(run: () => Result) => Result
}

/**
 * One app's addresses: the gateway's own, its feeds, logs, streams, proxies, JSON-RPC routes and sockets, its routes, its page, in this order.
 *
 * @throws ConfigError when two of them have one address
 */
export function createAddresses(parts: AddressParts): Handler {
  const { app, clock, emit, admission } = parts
  const byRoute = new Map<Route, FeedRuntime | LogRuntime>()
  const declared = app.use.map((part) => {
    if (part.kind === 'stream') return streamRoute(parts, part)
    if (part.kind === 'proxy') return proxyRoute(parts, part)
    if (part.kind === 'rpc') return rpcRoute(parts, part)
    if (part.kind === 'socket') return socketRoute(parts, part)
    const of = part.kind === 'feed' ? feedOf(parts, part.path) : logOf(parts, part)
    const route = of instanceof FeedRuntime ? feedRoute(parts, of) : logRoute(parts, of)
    byRoute.set(route, of)
    return route
  })
  const ours = [...parts.operations, ...topicRoutes(parts, find), ...graphqlRoute(parts), openApiRoute(parts)]
  const router = createRoutes(app.name, ours, [...declared, ...ownRoutes(parts)])
  const page = app.page === undefined ? undefined : createPage(app.name, fileURLToPath(app.page))

  /** The feed or log and the key that a topic names, by the same routes as a call. */
  function find(topic: string, identity: Identity | undefined): Topic {
    const [path = '', ...query] = topic.split('?')
    const match = path.startsWith('/') ? router.find({ method: 'GET', path }) : undefined
    const of = match === undefined ? undefined : byRoute.get(match.route)
    if (match === undefined || of === undefined)
      throw new WeirError('not_found', `topic: expected the address of a value, got ${show(topic)}`)
    try {
      return { of, readKey: of.keyOf(match.parameters, query.join('?'), identity) }
    } catch (thrown) {
      // One of many topics that fails is a message to its client, and no failure of the call.
      if (asWeirError(thrown).code === 'internal') emit({ type: 'failed', where: of.plan.where, error: thrown })
      throw thrown
    }
  }

  const others = crossOrigin(app.cors)

  function answer(call: Call): { readonly route: string; readonly answer: MaybePromise<Answer> } {
    const preflight = others?.preflight(call)
    if (preflight !== undefined) return { route: 'preflight', answer: preflight }
    admission.admit(call)
    const match = router.find(call)
    if (match !== undefined) {
      if (!match.route.operator) admission.serve()
      return { route: match.route.path, answer: identified(call, match) }
    }
    admission.serve()
    const file = READ.includes(call.method) ? page?.serve(call) : undefined
    if (file !== undefined) return { route: 'page', answer: file }
    if (app.routes !== undefined) return { route: 'own', answer: ownAnswer(parts, app.routes, call) }
    throw new WeirError('not_found', `${call.method} ${call.path.slice(0, 200)}: nothing is served here`)
  }

  /** Answers when it is known who calls, where that matters. */
  function identified(call: Call, { route, parameters }: Match): MaybePromise<Answer> {
    if (route.scoped !== true) return route.handle(call, parameters)
    const { url, remote } = call
    function serve(identity: Identity | undefined): MaybePromise<Answer> {
      call.identity = current(identity, clock)
      const answer = route.handle(call, parameters)
      if (call.identity?.expires === undefined) return answer
      const bound = (answer: Answer) => bounded(answer, call, clock, parts.live.hub)
      return answer instanceof Promise ? answer.then(bound) : bound(answer)
    }
    const identity = app.identify?.({ header: (name) => call.header(name), url, remote })
    return identity instanceof Promise ? identity.then(serve) : serve(identity)
  }

  return (call) => {
    const started = clock.monotonic()
    let route = 'none'

    function told(given: Answer): Answer {
      const status = given.kind === 'whole' ? given.status : LIVE_STATUS[given.kind]
      emit({ type: 'route.answered', app: app.name, route, status, took: clock.monotonic() - started })
      return others === undefined ? given : others.allow(call, given)
    }
    function failed(thrown: unknown): Answer {
      const problem = problemAnswer(thrown)
      // The client left while it waited: nobody reads this, and nothing failed.
      if (problem.status === 500 && thrown === call.signal.reason) return told({ ...problem, status: CLIENT_GONE })
      if (problem.status === 500) emit({ type: 'failed', where: `${app.name} ${route}`, error: thrown })
      return told(problem)
    }

    try {
      const found = answer(call)
      route = found.route
      return found.answer instanceof Promise ? found.answer.then(told, failed) : told(found.answer)
    } catch (thrown) {
      return failed(thrown)
    }
  }
}

function feedRoute({ admission, live }: AddressParts, feed: FeedRuntime): Route {
  return {
    path: feed.plan.path,
    owner: `feed "${feed.plan.name}"`,
    methods: READ,
    operator: false,
    scoped: scoped(feed),
    handle(call, parameters) {
      const form = formOf(call, ['json', 'sse', 'poll'])
      if (form === 'json' || call.method === 'HEAD') return snapshot(live, feed, call, parameters)
      if (form === 'poll') return poll({ ...live, hold: admission.hold }, feed, call, parameters)
      const readKey = feed.keyOf(parameters, call.query, call.identity)
      const known = lastVersion(call)
      admission.hold()
      const usual = feed.usual(readKey.topic)
      return sse(live, sseClient(call), usual, (listener) => feed.watch(listener, readKey, known))
    },
  }
}

function logRoute({ admission, live }: AddressParts, log: LogRuntime): Route {
  return {
    path: log.plan.path,
    owner: `log "${log.plan.name}"`,
    methods: log.plan.mayPublish === undefined ? READ : [...READ, 'POST'],
    operator: false,
    scoped: scoped(log),
    handle(call, parameters) {
      if (call.method === 'POST') return publish(log, call, parameters)
      const form = formOf(call, ['json', 'sse', 'poll'])
      if (form === 'json' || call.method === 'HEAD') return history(live, log, call, parameters)
      if (form === 'poll') return logPoll({ ...live, hold: admission.hold }, log, call, parameters)
      const readKey = log.keyOf(parameters, call.query, call.identity, LOG_PARAMETERS.sse)
      const since = sinceOf(call)
      admission.hold()
      const usual = log.usual(readKey.topic)
      return sse(live, sseClient(call), usual, (listener) => log.watch(listener, readKey, since))
    },
  }
}

/** Whether it matters who calls. */
function scoped({ plan }: FeedRuntime | LogRuntime): boolean {
  return plan.scope !== 'public' || ('mayPublish' in plan && plan.mayPublish !== undefined)
}

/** Many topics at once, of any feeds and logs. */
function topicRoutes(
  { app, admission, live, feeds, logs, peers, emit }: AddressParts,
  find: (topic: string, identity: Identity | undefined) => Topic,
): readonly Route[] {
  const stream = '/weir/stream'
  const anyScoped = [...feeds.values(), ...logs.values()].some(scoped)
  return [
    {
      path: '/weir/values',
      owner: 'the gateway',
      methods: READ,
      operator: false,
      scoped: anyScoped,
      handle(call) {
        formOf(call, ['json'])
        return values(live, (topic) => find(topic, call.identity), call)
      },
    },
    {
      path: stream,
      owner: 'the gateway',
      methods: ['GET'],
      operator: false,
      scoped: anyScoped,
      handle(call) {
        formOf(call, ['sse'])
        const held = heldTopicsOf(call)
        const topics = [...held.keys()].map((topic) => topicOr(topic, (topic) => find(topic, call.identity)))
        const last = lastVersion(call)
        admission.hold()
        // One version can't be that of many topics.
        const known = last !== undefined && held.size === 1 ? [last] : [...held.values()]
        return sseOf(live, sseClient(call), stream, topics, known)
      },
    },
    {
      path: '/weir/ws',
      owner: 'the gateway',
      methods: ['GET'],
      operator: false,
      scoped: anyScoped,
      handle(call) {
        enter(call, app, admission)
        return websocket({ ...live, peers, emit, find }, call)
      },
    },
  ]
}

/** Lets a WebSocket in. @throws WeirError when it is refused */
function enter(call: Call, { cors }: App, admission: Admission): void {
  checkHandshake(call, cors)
  // Asked again: while it was found out who calls, the server may have begun to go, and what comes then is never closed.
  admission.serve()
  admission.hold()
}

/** By these graphql-sse reserves a stream for many operations, its single connection mode. */
const RESERVATIONS = ['PUT', 'DELETE']

function noReservation({ method }: Call): WeirError {
  const instead = 'set singleConnection: false, the default of graphql-sse, or use graphql-ws'
  return new WeirError(
    'method_not_allowed',
    `/graphql: expected GET or POST, got ${method}; each subscription over SSE has its own connection: ${instead}`,
    { headers: { allow: 'GET, POST' } },
  )
}

/** The feeds and logs in GraphQL, for apps that declare it. */
function graphqlRoute({ app, admission, live, feeds, logs, peers, clock, emit }: AddressParts): readonly Route[] {
  const options = app.graphql
  if (options === undefined) return []
  const topics = [...feeds.values(), ...logs.values()]
  // Asked at the end: while a document was read, the server may have begun to go, and what comes then is never closed.
  function hold(): void {
    admission.serve()
    admission.hold()
  }
  const given = { topics, options, hub: live.hub, peers, clock, emit, hold }
  // Loaded only here: without it a worker is smaller by all of GraphQL.
  const loading = import('../transport/graphql/graphql.ts').then(({ createGraphql }) => createGraphql(given))
  // Whoever asks is told; until then it is nobody's failure.
  loading.catch(() => {})
  return [
    {
      path: '/graphql',
      owner: 'graphql',
      methods: ['GET', 'POST', ...RESERVATIONS],
      operator: false,
      scoped: app.identify !== undefined,
      async handle(call) {
        if (RESERVATIONS.includes(call.method)) throw noReservation(call)
        const graphql = await loading
        // Other upgrades, such as the h2c that curl offers, are left alone (RFC 9110, 7.8).
        if (call.header('upgrade')?.toLowerCase() !== 'websocket')
          return graphql.answer(call, (fetch) => own({ fetch }, call, options.maxBody))
        enter(call, app, admission)
        return graphql.socket(call)
      },
    },
  ]
}

function socketRoute(parts: AddressParts, declared: AppSocket): Route {
  const { app, admission, live, peers, emit, within } = parts
  const receive: AppSocket['receive'] = (message, client) => within(() => declared.receive(message, client))
  const given = { hub: live.hub, peers, emit, feedOf: (path: string) => feedOf(parts, path) }
  const open = appSocket(given, { ...declared, receive })
  return {
    path: declared.path,
    owner: `socket "${declared.name}"`,
    methods: ['GET'],
    operator: false,
    scoped: app.identify !== undefined,
    handle(call) {
      enter(call, app, admission)
      return open(call)
    },
  }
}

function streamRoute(parts: AddressParts, stream: Stream): Route {
  const { path, choose, maxKeys } = stream
  const feed = feedOf(parts, stream.of.path)
  const { keys } = feed.plan
  const always = stream.always.map((key) => keys.fromParts(key))
  return {
    path,
    owner: `stream "${path}"`,
    methods: ['GET'],
    operator: false,
    handle(call) {
      formOf(call, ['sse'])
      lastVersion(call)
      const client = sseClient(call)
      const chosen = choose === undefined ? null : new URLSearchParams(call.query).get(choose.query)
      if (choose === undefined || chosen === null) {
        parts.admission.hold()
        return sse(parts.live, client, feed.usual(), (listener) => feed.watchAll(listener, always))
      }
      const values = chosen.split(',').filter((value) => value !== '')
      if (values.length === 0) throw new WeirError('bad_key', `${choose.query}: expected at least one key, got none`)
      if (values.length > maxKeys)
        throw new WeirError('bad_key', `${choose.query}: expected at most ${maxKeys} keys, got ${values.length}`)
      const topics = [...new Set(values)].map((value) =>
        topicOr(topicText(feed.plan.path, choose.part, value), () => ({
          of: feed,
          readKey: keys.fromParts({ [choose.part]: value }),
        })),
      )
      parts.admission.hold()
      return sseOf(parts.live, client, path, topics)
    },
  }
}

/** The topic that a value would have that is no key, for those who asked for it. */
function topicText(path: string, part: string, value: string): string {
  const text = encodeURIComponent(value.toWellFormed())
  const filled = path.replaceAll(/:[^/]+/g, (name) => (name === `:${part}` ? text : name))
  return filled === path ? `${path}?${encodeURIComponent(part)}=${text}` : filled
}

/** What this site serves, for machines. It is made on first ask: few ask, and schemas take their time to say themselves. */
function openApiRoute({ app, operations }: AddressParts): Route {
  let made: Buffer | undefined
  function make(): Buffer {
    const document = openApi({
      app: app.name,
      feeds: app.use.filter((part) => part.kind === 'feed').map(({ plan }) => plan),
      logs: app.use.filter((part) => part.kind === 'log').map(({ plan }) => plan),
      streams: app.use.filter((part) => part.kind === 'stream'),
      others: [
        ...operations.map(({ path, methods, help, owner }) => ({ path, methods, help: help ?? owner })),
        ...app.use.filter((part) => part.kind === 'proxy').flatMap(passed),
        ...app.use
          .filter((part) => part.kind === 'rpc')
          .map(({ path, plan }) => ({
            path,
            methods: ['POST'],
            help: `JSON-RPC 2.0, one call or an array of at most ${plan.maxCalls}: ${[...plan.methods.keys()].join(', ')}.`,
          })),
        { path: '/weir/ws', methods: ['GET'], help: 'Many topics on one WebSocket.' },
        ...(app.graphql === undefined
          ? []
          : [{ path: '/graphql', methods: ['GET', 'POST'], help: 'The feeds and logs in GraphQL.' }]),
        ...app.use
          .filter((part) => part.kind === 'socket')
          .map(({ path, name }) => ({ path, methods: ['GET'], help: `A WebSocket: ${name}.` })),
        ...listed(app).map(({ path, method }) => ({ path, methods: [method], help: "One of the app's own routes." })),
      ],
    })
    return Buffer.from(JSON.stringify(document))
  }
  return {
    path: '/weir/openapi.json',
    owner: 'the gateway',
    methods: READ,
    operator: true,
    handle(call) {
      made ??= make()
      return jsonAnswer(call, made, { 'cache-control': 'public, max-age=60' })
    },
  }
}

/** What a proxy passes on, each address of the upstream under its mount. */
function passed({ plan: { mount, paths, methods, upstream } }: HttpProxy): readonly OtherAddress[] {
  const help = `As ${upstream.name} answers it, through a shared cache.`
  return paths.map((path) => ({ path: mount + path, methods, help }))
}

function proxyRoute({ app, proxies }: AddressParts, { path, name, plan }: HttpProxy): Route {
  const proxy = proxies.get(path)
  if (proxy === undefined) throw new WeirError('internal', `app "${app.name}": the proxy at ${path} was not started`)
  const { methods } = plan
  return { path, owner: `proxy "${name}"`, methods, operator: false, handle: (call) => proxy.handle(call) }
}

function rpcRoute(parts: AddressParts, { path, name, plan }: RpcRoute): Route {
  const methods = new Map([...plan.methods].map(([method, path]) => [method, feedOf(parts, path)]))
  const given = { ...parts.live, methods, calls: plan.maxCalls, body: plan.maxBody }
  return {
    path,
    owner: `rpc "${name}"`,
    methods: ['POST'],
    operator: false,
    handle: (call) => rpcAnswers(given, call),
  }
}

/** What a Hono app lists of itself, so that a clash is found at start; its calls reach it by falling through. */
function ownRoutes(parts: AddressParts): readonly Route[] {
  const { routes } = parts.app
  if (routes === undefined) return []
  return [...Map.groupBy(listed({ routes }), ({ path }) => path)].map(([path, listed]) => ({
    path,
    owner: 'routes',
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    operator: false,
    handle: (call: Call) =>
      ownAnswer(parts, routes, call).catch((thrown) => Promise.reject(otherMethod(thrown, call, listed))),
  }))
}

function ownAnswer({ within }: AddressParts, routes: NonNullable<App['routes']>, call: Call): Promise<Answer> {
  return within(() => own(routes, call))
}

/** Nothing took the call, though the path is there: it takes other methods. What a pattern of the app takes besides is not known before. */
function otherMethod(thrown: unknown, call: Call, listed: readonly { readonly method: string }[]): unknown {
  const methods = new Set(listed.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))
  const isThere = thrown instanceof WeirError && thrown.code === 'not_found' && !methods.has('ALL')
  if (!isThere || methods.has(call.method)) return thrown
  const allow = [...methods].join(', ')
  return new WeirError('method_not_allowed', `expected ${allow} at ${call.path.slice(0, 200)}, got ${call.method}`, {
    headers: { allow },
  })
}

/** Without patterns, such as `:id{[0-9]+}`: the router here does not read Hono's, and what they refuse Hono answers itself. */
function listed({ routes }: Pick<App, 'routes'>): readonly { readonly method: string; readonly path: string }[] {
  return (routes?.routes ?? [])
    .map(({ method, path }) => ({ method, path: path.replaceAll(/\{.*?\}(?=\?|\/|$)/g, '') }))
    .filter(({ path }) => !path.includes('*'))
}

function feedOf({ app, feeds }: AddressParts, path: string): FeedRuntime {
  const feed = feeds.get(path)
  if (feed === undefined) throw new WeirError('internal', `app "${app.name}": the feed at ${path} was not started`)
  return feed
}

function logOf({ app, logs }: AddressParts, { path }: Log): LogRuntime {
  const log = logs.get(path)
  if (log === undefined) throw new WeirError('internal', `app "${app.name}": the log at ${path} was not started`)
  return log
}
