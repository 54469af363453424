import type { App } from '../app.ts'
import type { Route } from '../route/router.ts'
import { jsonAnswer } from '../transport/json-answer.ts'
import { type Described, openApi, plainOperations } from '../transport/openapi.ts'
import { kindOf } from './kinds.ts'

/**
 * The OpenAPI document of a site. It is made for the first client that wants it: few do, and it takes time.
 *
 * @param operations the addresses of the gateway itself
 * @param routes what the app's own routes are
 */
export function openApiRoute(app: App, operations: readonly Route[], routes: Described): Route {
  let document: Buffer | undefined
  function make(): Buffer {
    const gateway = Object.fromEntries(
      operations.map(({ path, methods, help, owner }) => [path, plainOperations(path, methods, help ?? owner)]),
    )
    const socket = { '/weir/ws': plainOperations('/weir/ws', ['GET'], 'Many topics on one WebSocket.') }
    const graphql = { '/graphql': plainOperations('/graphql', ['GET', 'POST'], 'The feeds and logs in GraphQL.') }
    const described = [
      ...app.use.map((part) => kindOf(part).describe(part)),
      { paths: { ...gateway, ...socket, ...(app.graphql !== undefined && graphql) } },
      routes,
    ]
    const scoped = app.use.some((part) => (kindOf(part).topics?.(part).scope ?? 'public') !== 'public')
    return Buffer.from(JSON.stringify(openApi({ app: app.name, described, scoped })))
  }
  return {
    path: '/weir/openapi.json',
    owner: 'the gateway',
    methods: ['GET', 'HEAD'],
    operator: true,
    handle(call) {
      document ??= make()
      return jsonAnswer(call, document, { 'cache-control': 'public, max-age=60' })
    },
  }
}
