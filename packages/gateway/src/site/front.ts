import { fileURLToPath } from 'node:url'
import type { Admission } from '../admission/admission.ts'
import type { App, Identify } from '../app.ts'
import type { Answer, Call, Handler, Identity, MaybePromise } from '../call.ts'
import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Hub } from '../hub/hub.ts'
import type { Holds, Route, Router } from '../route/router.ts'
import { bounded, current } from '../transport/credential.ts'
import { crossOrigin } from '../transport/cross-origin.ts'
import { problemAnswer } from '../transport/problem.ts'
import { createPage } from './static-page.ts'

export interface FrontParts {
  readonly app: App
  readonly clock: Clock
  readonly emit: Emit
  readonly admission: Admission
  readonly hub: Hub
  readonly router: Router
  /** What takes the calls that no route takes, where the app has routes of its own. */
  readonly fallback: ((call: Call) => Promise<Answer>) | undefined
}

/** reported ─▶ other sites ─▶ failures answered ─▶ request checked ─▶ routed ─▶ open ─▶ identified ─▶ connection reserved ─▶ the route */
export function createFront(parts: FrontParts): Handler {
  const { app, clock, emit, admission, hub, router } = parts
  const reserved = reserve(admission, clock)(handle)
  const identified = identify(app.identify, clock, hub)(reserved)
  const open = checkOpen(admission)(identified)
  const routed = route(router, otherRoutes(parts))(open)
  const checked = checkRequest(admission)(routed)
  const answered = answerFailures(app.name, emit)(checked)
  const shared = shareWithSites(app.cors)(answered)
  return report(app.name, clock, emit)(shared)
}

/** A call on its way through the front path: the only object that is made for it there. */
interface Visit {
  readonly call: Call
  route: Route
  parameters: Readonly<Record<string, string>>
}

type Step = (visit: Visit) => MaybePromise<Answer>
type Stage = (next: Step) => Step

const NO_PARAMETERS: Readonly<Record<string, string>> = Object.freeze({})

/** What a call is to metrics until its route is known, or where it has none. */
const NOWHERE: Route = unrouted('none', ({ method, path }) => {
  throw new WeirError('not_found', `${method} ${path.slice(0, 200)}: nothing is served here`)
})
const PREFLIGHT: Route = unrouted('preflight', () => {
  throw new WeirError('internal', 'expected a preflight to be answered before a route')
})

/** The status of answers that go on. */
const LIVE_STATUS = { live: 200, socket: 101 }

/** Emits each answer as an event, with its route. */
function report(app: string, clock: Clock, emit: Emit): (next: Step) => Handler {
  function reported({ route }: Visit, started: number, answer: Answer): Answer {
    const status = answer.kind === 'whole' ? answer.status : LIVE_STATUS[answer.kind]
    emit({ type: 'route.answered', app, route: route.path, status, took: clock.monotonic() - started })
    return answer
  }
  return (next) => (call) => {
    const started = clock.monotonic()
    const visit: Visit = { call, route: NOWHERE, parameters: NO_PARAMETERS }
    const answer = next(visit)
    return answer instanceof Promise
      ? answer.then((answer) => reported(visit, started, answer))
      : reported(visit, started, answer)
  }
}

/** Lets pages of other sites in, as the app says. */
function shareWithSites(cors: readonly string[]): Stage {
  const sites = crossOrigin(cors)
  if (sites === undefined) return (next) => next
  return (next) => (visit) => {
    const preflight = sites.preflight(visit.call)
    if (preflight !== undefined) visit.route = PREFLIGHT
    const answer = preflight ?? next(visit)
    return answer instanceof Promise
      ? answer.then((answer) => sites.allow(visit.call, answer))
      : sites.allow(visit.call, answer)
  }
}

/** The status in logs and metrics of a call whose client left before its answer. No client is sent it. */
const CLIENT_GONE = 499

/** Makes an answer of each failure. */
function answerFailures(app: string, emit: Emit): Stage {
  function problem({ call, route }: Visit, thrown: unknown): Answer {
    const problem = problemAnswer(thrown)
    if (problem.status !== 500) return problem
    // The client left while it waited: nothing failed.
    if (thrown === call.signal.reason) return { ...problem, status: CLIENT_GONE }
    emit({ type: 'failed', where: `${app} ${route.path}`, error: thrown })
    return problem
  }
  return (next) => (visit) => {
    try {
      const answer = next(visit)
      return answer instanceof Promise ? answer.catch((thrown) => problem(visit, thrown)) : answer
    } catch (thrown) {
      return problem(visit, thrown)
    }
  }
}

/** Refuses malformed calls. */
function checkRequest(admission: Admission): Stage {
  return (next) => (visit) => {
    admission.checkRequest(visit.call)
    return next(visit)
  }
}

/** Finds the route: one of the site, or else one of `others`, which decide by themselves. */
function route(router: Router, others: (call: Call) => Route): Stage {
  return (next) => (visit) => {
    const match = router.find(visit.call)
    visit.route = match?.route ?? others(visit.call)
    if (match !== undefined) visit.parameters = match.parameters
    return next(visit)
  }
}

/** Where no route of the site takes a call: a file of the app's page, or the app's own routes. */
function otherRoutes({ app, fallback }: FrontParts): (call: Call) => Route {
  const page = app.page === undefined ? undefined : createPage(app.name, fileURLToPath(app.page))
  const files = page === undefined ? undefined : unrouted('page', (call) => page.serve(call))
  const own = fallback === undefined ? NOWHERE : unrouted('own', fallback)
  return ({ method, path }) =>
    files !== undefined && page?.has(path) && (method === 'GET' || method === 'HEAD') ? files : own
}

/** A route that is found without an address of its own. */
function unrouted(name: string, handle: (call: Call) => MaybePromise<Answer>): Route {
  return { path: name, owner: name, methods: [], operator: false, handle }
}

/** Refuses all but operators while the site is closed. */
function checkOpen(admission: Admission): Stage {
  return (next) => (visit) => {
    if (!visit.route.operator) admission.checkOpen()
    return next(visit)
  }
}

/** Finds out who calls, where the route depends on that. The answer ends with the credential of the caller. */
function identify(identify: Identify | undefined, clock: Clock, hub: Hub): Stage {
  return (next) => {
    function withIdentity(visit: Visit, identity: Identity | undefined): MaybePromise<Answer> {
      const { call } = visit
      call.identity = current(identity, clock)
      const answer = next(visit)
      if (call.identity?.expires === undefined) return answer
      const bound = (answer: Answer) => bounded(answer, call, clock, hub)
      return answer instanceof Promise ? answer.then(bound) : bound(answer)
    }
    return (visit) => {
      if (visit.route.scoped !== true) return next(visit)
      const { call } = visit
      const { url, remote } = call
      const identity = identify?.({ header: (name) => call.header(name), url, remote })
      return identity instanceof Promise
        ? identity.then((identity) => withIdentity(visit, identity))
        : withIdentity(visit, identity)
    }
  }
}

/** The route's own work, with what the call holds. */
type Work = (visit: Visit, holds: Holds) => MaybePromise<Answer>

const handle: Work = ({ call, route, parameters }, holds) => route.handle(call, parameters, holds)

/** Reserves the connection that a call holds until it is open, and counted as such. */
function reserve(admission: Admission, clock: Clock): (next: Work) => Step {
  return (next) => (visit) => {
    const { call, route } = visit
    const holds = typeof route.holds === 'function' ? route.holds(call) : (route.holds ?? 'nothing')
    if (holds === 'nothing') return next(visit, holds)
    // Checked again: the site may have begun to close while the caller was identified, and later connections are never closed.
    admission.checkOpen()
    const release = admission.reserveConnection()
    let answer: MaybePromise<Answer> | undefined
    try {
      answer = next(visit, holds)
    } finally {
      // A handler that answers later, such as a long poll, has joined the hub, and is counted there.
      if (answer === undefined || answer instanceof Promise || answer.kind === 'whole') release()
    }
    if (answer instanceof Promise || answer.kind === 'whole') return answer
    const opening = answer
    // It is never opened when the client has left.
    clock.soon(release)
    return {
      ...opening,
      open(connection: never) {
        release()
        opening.open(connection)
      },
    }
  }
}
