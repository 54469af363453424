import type { App } from '../app.ts'
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { Route } from '../route/router.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { LogRuntime } from '../topic/log/log-runtime.ts'
import { checkHandshake } from '../transport/handshake.ts'
import { own } from './fetch-adapter.ts'
import { holdsSocket } from './holds.ts'
import type { SiteContext } from './parts.ts'

/** With these graphql-sse reserves a stream for many operations, its single connection mode. */
const RESERVATIONS = ['PUT', 'DELETE']

/** The feeds and logs of an app in GraphQL. */
export function graphqlRoute(
  options: NonNullable<App['graphql']>,
  topics: readonly (FeedRuntime | LogRuntime)[],
  site: SiteContext,
): Route {
  const { admission, live, peers, cors, identifies, pipeline } = site
  const { clock, emit } = pipeline
  // Of a call it is known late whether it subscribes, and of a message on a socket no route is asked. The server may have begun to close
  // while the document was read, and later connections are never closed.
  function checkRoom(): void {
    admission.checkOpen()
    const release = admission.reserveConnection()
    // It joins the hub right after this, and is counted there.
    release()
  }
  const parts = { topics, options, hub: live.hub, peers, clock, emit, checkRoom }
  // Loaded only here: without GraphQL a worker is smaller by all of it.
  const loading = import('../transport/graphql/graphql.ts').then(({ createGraphql }) => createGraphql(parts))
  // Each caller gets the failure; without a caller there is none.
  loading.catch(() => {})
  return {
    path: '/graphql',
    owner: 'graphql',
    methods: ['GET', 'POST', ...RESERVATIONS],
    operator: false,
    scoped: identifies,
    holds: holdsSocket,
    async handle(call, _parameters, holds) {
      if (RESERVATIONS.includes(call.method)) throw noReservation(call)
      const graphql = await loading
      if (holds === 'nothing') return graphql.answer(call, (fetch) => own({ fetch }, call, options.maxBody))
      checkHandshake(call, cors)
      return graphql.socket(call)
    },
  }
}

function noReservation({ method }: Call): WeirError {
  const instead = 'set singleConnection: false, the default of graphql-sse, or use graphql-ws'
  return new WeirError(
    'method_not_allowed',
    `/graphql: expected GET or POST, got ${method}; each subscription over SSE has its own connection: ${instead}`,
    { headers: { allow: 'GET, POST' } },
  )
}
