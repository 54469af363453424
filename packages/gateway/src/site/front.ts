import { fileURLToPath } from 'node:url'
import type { Admission } from '../admission/admission.ts'
import type { App } from '../app.ts'
import type { Answer, Call, Handler, Identity, MaybePromise } from '../call.ts'
import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Hub } from '../hub/hub.ts'
import type { Match, Router } from '../route/router.ts'
import { bounded, current } from '../transport/credential.ts'
import { crossOrigin } from '../transport/cross-origin.ts'
import { problemAnswer } from '../transport/problem.ts'
import { createPage } from './static-page.ts'

const READ = ['GET', 'HEAD']

/** No status that anybody is sent: what logs and metrics call a client that did not wait for its answer. */
const CLIENT_GONE = 499

/** What answers that go on begin with. */
const LIVE_STATUS = { live: 200, socket: 101 }

export interface FrontParts {
  readonly app: App
  readonly clock: Clock
  readonly emit: Emit
  readonly admission: Admission
  readonly hub: Hub
  readonly router: Router
  readonly fallback: ((call: Call) => Promise<Answer>) | undefined
}

/** The path of a call before a route: other sites, admission, who calls. Without a route there is the app's page, then its own routes. */
export function createFront(parts: FrontParts): Handler {
  const { app, clock, emit, admission, router } = parts
  const page = app.page === undefined ? undefined : createPage(app.name, fileURLToPath(app.page))
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
    if (parts.fallback !== undefined) return { route: 'own', answer: parts.fallback(call) }
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
      const bound = (answer: Answer) => bounded(answer, call, clock, parts.hub)
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
