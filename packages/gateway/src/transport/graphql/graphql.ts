import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  getOperationAST,
  NoSchemaIntrospectionCustomRule,
} from 'graphql'
import type { SubscribePayload } from 'graphql-ws'
import { createYoga, isAsyncIterable, type Plugin } from 'graphql-yoga'
import type { Answer, Call, SocketAnswer } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import { show, WeirError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import type { Hub } from '../../hub/hub.ts'
import { stringifyJson } from '../../json.ts'
import type { FeedRuntime } from '../../topic/feed/feed-runtime.ts'
import type { LogRuntime } from '../../topic/log/log-runtime.ts'
import type { Peers } from '../peers.ts'
import { eventStream } from '../sse.ts'
import type { GraphqlContext } from './context.ts'
import { codedBy } from './error-codes.ts'
import { type DocumentLimits, limitsRule } from './limits.ts'
import { multipartStream, wantsMultipart } from './multipart.ts'
import { schemaOf } from './schema.ts'
import { type Followed, sharedSubscriptionReader } from './shared-subscription.ts'
import { graphqlSocket } from './socket.ts'

export interface GraphqlParts {
  readonly topics: readonly (FeedRuntime | LogRuntime)[]
  readonly options: DocumentLimits & { readonly introspection: boolean; readonly graphiql: boolean }
  readonly hub: Hub
  readonly peers: Peers
  readonly clock: Clock
  readonly emit: Emit
  /** Whether there is room for one more subscription. @throws WeirError `too_many_connections`, `draining`, `maintenance` */
  readonly checkRoom: () => void
}

/** The feeds and logs of an app in GraphQL. */
export interface Graphql {
  /** @param pass hands the call to a Web-standard fetch */
  answer(call: Call, pass: (fetch: (request: Request) => Promise<Response>) => Promise<Answer>): Promise<Answer>
  /** Opens a WebSocket that speaks `graphql-transport-ws`. */
  socket(call: Call): SocketAnswer
}

/** What resolvers know of a request. In `asked` stands what it follows: yoga may copy the rest. */
interface Asking extends GraphqlContext {
  readonly asked: { followed?: Followed }
}

/** The most tokens of a document: more than any document of a person, and too few to block the event loop. */
const MOST_TOKENS = 4000

/**
 * The feeds and logs of an app in GraphQL over HTTP, SSE and WebSocket. yoga reads requests, checks documents and executes
 * queries; the results of subscriptions come from the hub.
 */
export async function createGraphql(parts: GraphqlParts): Promise<Graphql> {
  const { topics, options, hub, peers, clock, emit, checkRoom } = parts
  const introspection = options.introspection || options.graphiql
  const coded = codedBy(emit, introspection)
  const read = sharedSubscriptionReader({ hub, emit, coded })
  const rules = [limitsRule(options), ...(introspection ? [] : [NoSchemaIntrospectionCustomRule])]

  const ours: Plugin<Asking> = {
    onParse({ parseFn, setParseFn }) {
      setParseFn((source, options) => {
        try {
          return parseFn(source, { ...options, maxTokens: MOST_TOKENS })
        } catch (thrown) {
          throw asGraphQLError(thrown)
        }
      })
    },
    onValidate({ addValidationRule }) {
      for (const rule of rules) addValidationRule(rule)
    },
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(async (args: ExecutionArgs) => {
        const asking = args.contextValue as Asking
        const found = await read(args, asking)
        if (!('follow' in found)) return { errors: found }
        asking.asked.followed = found
        return nothing()
      })
    },
    onResultProcess({ request, result, resultProcessor, setResult, setResultProcessor }) {
      // Events of a subscription are the hub's; yoga's answer is not sent, unless it is that there is none of that kind.
      if (isAsyncIterable(result)) {
        if (resultProcessor !== undefined || wantsMultipart(request.headers.get('accept')))
          setResultProcessor(() => new Response(null), 'text/event-stream')
      } else if (!Array.isArray(result)) setResult(worded(result))
    },
  }

  /** With our codes, and with every digit of large numbers. */
  function worded(result: ExecutionResult): ExecutionResult {
    const { errors } = result
    return { ...result, ...(errors && { errors: errors.map(coded) }), stringify: stringifyJson } as ExecutionResult
  }

  const { renderGraphiQL } = options.graphiql ? await import('@graphql-yoga/render-graphiql') : {}
  const yoga = createYoga<Asking>({
    schema: schemaOf(topics, clock),
    fetchAPI: { Response, ReadableStream },
    graphiql: options.graphiql,
    ...(renderGraphiQL && { renderGraphiQL }),
    batching: false,
    multipart: false,
    cors: false,
    landingPage: false,
    logging: false,
    maskedErrors: false,
    plugins: [ours],
  })

  async function run(
    { query, variables, operationName }: SubscribePayload,
    asker: GraphqlContext,
  ): Promise<Followed | string | readonly GraphQLError[]> {
    const { schema, parse, validate, contextFactory, execute } = yoga.getEnveloped({ ...asker, asked: {} })
    let document: DocumentNode
    try {
      document = parse(query)
      const errors: readonly GraphQLError[] = validate(schema, document)
      if (errors.length > 0) return errors.map(coded)
    } catch (thrown) {
      return [coded(asGraphQLError(thrown))]
    }
    const args = { schema, document, operationName, variableValues: variables }
    if (getOperationAST(document, operationName)?.operation !== 'subscription')
      return stringifyJson(worded(await execute({ ...args, contextValue: await contextFactory() }))) ?? ''
    const found = await read(args, asker)
    return 'follow' in found ? found : found.map(coded)
  }

  return {
    async answer(call, pass) {
      const { identity, remote: client, signal } = call
      const asked: Asking['asked'] = {}
      const answer = await pass(async (request) => yoga.fetch(request, { identity, client, signal, asked }))
      if (answer.kind === 'whole' && answer.status === 406) {
        const expected = 'expected text/event-stream or multipart/mixed for a subscription, or a form of JSON'
        throw new WeirError('not_acceptable', `accept: ${expected}, got ${show(call.header('accept'))}`)
      }
      const { followed } = asked
      if (followed === undefined || answer.kind !== 'whole' || answer.status !== 200) {
        if (answer.kind === 'whole') answer.headers['cache-control'] ??= 'no-store'
        return answer
      }
      checkRoom()
      const { follow, join } = followed
      return wantsMultipart(call.header('accept'))
        ? multipartStream(hub, follow.parts, join)
        : eventStream(hub, follow.events, () => '', join)
    },
    socket: graphqlSocket({ hub, peers, clock, checkRoom, coded, run }),
  }
}

/** A parser or a rule that ran out of stack threw no error of GraphQL. */
function asGraphQLError(thrown: unknown): GraphQLError {
  if (thrown instanceof GraphQLError) return thrown
  const originalError = thrown instanceof Error ? thrown : new Error(String(thrown))
  return new GraphQLError(originalError.message, { originalError })
}

/** The hub delivers; what yoga would send is not read. */
async function* nothing(): AsyncGenerator<never> {}
