import type { App } from '../app.ts'
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { Route } from '../route/router.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { LogRuntime } from '../topic/log/log-runtime.ts'
import { enterSocket } from './enter-socket.ts'
import { own } from './fetch-adapter.ts'
import type { SiteContext } from './parts.ts'

/** With these graphql-sse reserves a stream for many operations, its single connection mode. */
const RESERVATIONS = ['PUT', 'DELETE']

/** The feeds and logs of an app in GraphQL. */
export function graphqlRoute(
  options: NonNullable<App['graphql']>,
  topics: readonly (FeedRuntime | LogRuntime)[],
  site: SiteContext,
): Route {
  const { admission, live, peers, identifies, pipeline } = site
  const { clock, emit } = pipeline
  // Checked at the end: the server may have begun to close while a document was read, and later connections are never closed.
  function hold(): void {
    admission.serve()
    admission.hold()
  }
  const parts = { topics, options, hub: live.hub, peers, clock, emit, hold }
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
    async handle(call) {
      if (RESERVATIONS.includes(call.method)) throw noReservation(call)
      const graphql = await loading
      // Other upgrades, such as the h2c that curl offers, are left alone (RFC 9110, 7.8).
      if (call.header('upgrade')?.toLowerCase() !== 'websocket')
        return graphql.answer(call, (fetch) => own({ fetch }, call, options.maxBody))
      enterSocket(call, site)
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
