import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  executeSubscriptionEvent,
  type GraphQLError,
  type ValidatedSubscriptionArgs,
  validateSubscriptionArgs,
} from 'graphql'
import { chunk } from '../../chunk.ts'
import { type Encoded, Entry } from '../../entry.ts'
import type { Emit } from '../../events.ts'
import type { Hub, Listener, Wire } from '../../hub/hub.ts'
import { stringifyJson } from '../../json.ts'
import type { Chosen, GraphqlContext, News } from './context.ts'
import type { CodedError } from './error-codes.ts'
import { MULTIPART_END, multipart } from './multipart.ts'

export interface SharedSubscriptionParts {
  readonly hub: Hub
  readonly emit: Emit
  readonly coded: CodedError
}

/** How results are put on the wire. */
interface Framing {
  readonly name: string
  /** Keeps a silent stream alive. */
  readonly silence: Buffer
  frame(result: string): Buffer
  /** Ends the stream with errors, a list as JSON. */
  end(errors: string): Buffer
}

/**
 * What a document says of one topic. All who ask for the same have the same one, whatever connection they are on, and each piece
 * of news is executed once for it. What was made goes with it, and is not left with the news: documents come and go.
 */
export class SharedSubscription {
  /** Results as events (GraphQL over SSE, distinct connections). */
  readonly events: Wire
  /** Results as parts of one body, for Apollo's clients. */
  readonly parts: Wire
  readonly #parts: SharedSubscriptionParts
  readonly #chosen: Chosen
  readonly #args: ValidatedSubscriptionArgs
  /** Whether the last heartbeat said that the value is stale. */
  #stale = false
  readonly #results = new WeakMap<Encoded<News>, string>()

  constructor(parts: SharedSubscriptionParts, chosen: Chosen, args: ValidatedSubscriptionArgs) {
    this.#parts = parts
    this.#chosen = chosen
    this.#args = args
    this.events = this.#wire({
      name: 'graphql-sse',
      silence: chunk(Buffer.from(':\n\n')),
      frame: (result) => chunk(Buffer.from(`event: next\ndata: ${result}\n\n`)),
      end: (errors) => chunk(Buffer.from(`event: next\ndata: {"errors":${errors}}\n\nevent: complete\ndata:\n\n`)),
    })
    this.parts = this.#wire({
      name: 'graphql-multipart',
      silence: multipart('{}'),
      frame: (result) => multipart(`{"payload":${result}}`),
      end: (errors) => Buffer.concat([multipart(`{"payload":null,"errors":${errors}}`), MULTIPART_END]),
    })
  }

  #wire({ name, silence, frame, end }: Framing): Wire {
    const framed = new WeakMap<Encoded<News>, Buffer>()
    const said = (news: Encoded<News>): Buffer => {
      const known = framed.get(news)
      if (known !== undefined) return known
      const result = this.result(news)
      const bytes = result === '' ? silence : frame(result)
      framed.set(news, bytes)
      return bytes
    }
    return { name, encode: (subject) => farewell(subject, end) ?? silence, said }
  }

  /** What there is to say, as JSON text; empty when it is nothing. */
  result(news: Encoded<News>): string {
    let result = this.#results.get(news)
    if (result === undefined) {
      const root = this.#rootOf(news.subject)
      result = root === undefined ? '' : this.#execute(root, markOf(news.subject))
      this.#results.set(news, result)
    }
    return result
  }

  #rootOf(news: News): News | undefined {
    if (news instanceof Entry) return news
    const { state, readKey } = this.#chosen
    // Age and staleness move while the value does not: who asks for these hears of them with each heartbeat, and others while it is stale, so that
    // no value that can't be confirmed stands there unmarked, and once when that is over.
    if (news.type === 'heartbeat') {
      const told = state === true || news.stale || this.#stale
      this.#stale = news.stale
      return told ? this.#parts.hub.channel(readKey.topic).latest : undefined
    }
    return news.type === 'event' || news.type === 'gap' || news.type === 'error' ? news : undefined
  }

  #execute(rootValue: News, extensions: Mark | undefined): string {
    const { emit, coded } = this.#parts
    const { of, readKey } = this.#chosen
    emit({ type: 'graphql.executed', name: of.plan.name, topic: readKey.topic })
    // Nothing in it waits: the news is there, and its fields are read from it.
    const { data, errors } = executeSubscriptionEvent({ ...this.#args, rootValue }) as ExecutionResult
    return (
      stringifyJson({ ...(errors && { errors: errors.map(coded) }), data, ...(extensions && { extensions }) }) ?? ''
    )
  }
}

/** The last message of a stream whose client has to do something before it comes back. */
function farewell(subject: News, end: Framing['end']): Buffer | undefined {
  if (subject instanceof Entry || subject.type !== 'goodbye' || subject.problem === undefined) return undefined
  const { detail: message, code } = subject.problem
  return end(JSON.stringify([{ message, extensions: { code } }]))
}

/** What is known of a value besides itself, in `extensions`. */
interface Mark {
  readonly weir: { readonly stale: boolean; readonly checkedAt: number | undefined; readonly now?: number }
}

/** What a heartbeat says of the value that it confirms, or that it can't; and a value that was stale when it came. */
function markOf(news: News): Mark | undefined {
  if (news instanceof Entry) return news.stale ? { weir: { stale: true, checkedAt: news.checkedAt } } : undefined
  if (news.type !== 'heartbeat') return undefined
  const { stale, checkedAt, now } = news
  return { weir: { stale, checkedAt, now } }
}

/** A subscription that was read. */
export interface Followed {
  readonly follow: SharedSubscription
  /** From now on the listener is sent it. */
  join(listener: Listener): void
}

/** Reads subscriptions. Those for the same thing are one shared subscription, as long as it has a listener. */
export type ReadSharedSubscription = (
  args: ExecutionArgs,
  asker: GraphqlContext,
) => Promise<Followed | readonly GraphQLError[]>

export function sharedSubscriptionReader(parts: SharedSubscriptionParts): ReadSharedSubscription {
  const known = new Map<string, WeakRef<SharedSubscription>>()
  const gone = new FinalizationRegistry<string>((name) => {
    if (known.get(name)?.deref() === undefined) known.delete(name)
  })

  function followOf(chosen: Chosen, args: ValidatedSubscriptionArgs, document: string | undefined): SharedSubscription {
    const { topic } = chosen.readKey
    // The topic says whose value it is, so nobody gets what is another's; and what arguments say is in it, or is where one
    // reader begins. What other variables there are can only be for `@include` and `@skip`, which take Booleans.
    const switches = Object.entries(args.variableValues.coerced).filter(([, value]) => typeof value === 'boolean')
    const name = JSON.stringify([topic, document, args.operation.name?.value, switches])
    const before = known.get(name)?.deref()
    if (before !== undefined) return before
    // The first to ask may leave long before the last.
    const follow = new SharedSubscription(parts, chosen, { ...args, contextValue: undefined })
    known.set(name, new WeakRef(follow))
    gone.register(follow, name)
    return follow
  }

  return async ({ schema, document, operationName, variableValues }, asker) => {
    const choice: GraphqlContext = { ...asker }
    const args = validateSubscriptionArgs({ schema, document, operationName, variableValues, contextValue: choice })
    if (!('schema' in args)) return args
    const stream = await createSourceEventStream(args)
    const { chosen } = choice
    if (chosen === undefined) return ('errors' in stream && stream.errors) || []
    return {
      follow: followOf(chosen, args, document.loc?.source.body),
      join: (listener: Listener) => chosen.of.watch(listener, chosen.readKey, chosen.since),
    }
  }
}
