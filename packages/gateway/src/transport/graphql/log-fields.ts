import { GraphQLFloat, GraphQLInt, GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLString } from 'graphql'
import type { LogRuntime } from '../../topic/log/log-runtime.ts'
import { LoggedEvent } from '../../topic/log/logged-event.ts'
import { readVersion } from '../../topic/version.ts'
import { jsonSchemaOf } from '../json-schema.ts'
import { type Fields, following, type Given, type News } from './context.ts'
import { keyArguments } from './key-arguments.ts'
import { capital, nameFor } from './names.ts'
import { valueType } from './types.ts'

/** Events of a page unless a document says. */
const PAGE = 100

const Text = new GraphQLNonNull(GraphQLString)

const Gap = new GraphQLObjectType({
  name: 'Gap',
  description: 'Events that are not kept any more: those after `from`, up to and including `to`.',
  fields: { from: { type: Text }, to: { type: Text } },
})

/** The name of a type that logs share. */
export const GAP = Gap.name

/**
 * A log `trades` is a query of that name for a page of its history, and a subscription of that name for what is kept and each
 * event that comes, in order and once.
 *
 * @param types names of types that are given; those of now are added
 */
export function logFields(log: LogRuntime, name: string, types: Set<string>): Fields {
  const { plan } = log
  const event = valueType(name, jsonSchemaOf(plan.event, 'output'), types)
  const taken = new Set<string>()
  const { args, partsOf } = keyArguments(plan.keys, taken)
  const after = nameFor('after', taken)
  const most = nameFor('most', taken)
  const since = nameFor('since', taken)
  const type = capital(name)
  const at = 'When it was published: milliseconds since 1970, by the clock of the server.'

  const one = new GraphQLObjectType({
    name: nameFor(`${type}Event`, types),
    fields: {
      position: { type: Text, description: '`epoch:offset`; it only rises.' },
      at: { type: new GraphQLNonNull(GraphQLFloat), description: at },
      event: { type: event },
    },
  })
  const page = new GraphQLObjectType({
    name: nameFor(`${type}Page`, types),
    fields: {
      events: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(one))), description: 'Oldest first.' },
      oldest: { type: Text, description: 'The position of the oldest event that is kept.' },
      newest: { type: Text, description: 'The position of the newest event.' },
      gap: { type: Gap, description: 'Requested events that are gone.' },
    },
  })
  const news = new GraphQLObjectType<News>({
    name: nameFor(`${type}News`, types),
    description: 'An event, or a gap where events are missing.',
    fields: {
      position: { type: Text, description: `Where the reader stands now; given as \`${since}\` it goes on from here.` },
      at: { type: GraphQLFloat, description: at },
      event: { type: event },
      gap: { type: Gap },
    },
  })

  return {
    queries: {
      [name]: {
        type: page,
        description: `Events of ${plan.name} that are kept.`,
        extensions: { page: true },
        args: {
          ...args,
          [after]: { type: GraphQLString, description: 'The position of the last event that one has.' },
          [most]: { type: GraphQLInt, default: { value: PAGE }, description: 'The most events, up to 1,000.' },
        },
        async resolve(_, given: Given, { identity, client }) {
          const from = typeof given[after] === 'string' ? { after: given[after] } : {}
          await log.caughtUp(log.keyFrom(partsOf(given), identity), client)
          return log.read(partsOf(given), { ...from, most: (given[most] ?? PAGE) as number }, identity)
        },
      },
    },
    subscriptions: {
      [name]: {
        type: new GraphQLNonNull(news),
        description: `Events of ${plan.name}: those that are kept, and each that comes.`,
        args: { ...args, [since]: { type: GraphQLString, description: 'The position that the reader has come to.' } },
        resolve: (told) => newsIn(told as News),
        subscribe: following((given, { identity }) => ({
          of: log,
          readKey: log.keyFrom(partsOf(given), identity),
          since: readVersion(since, (given[since] ?? undefined) as string | undefined),
        })),
      },
    },
  }
}

function newsIn(news: News) {
  if (news instanceof LoggedEvent) return news
  if ('to' in news) return { position: news.to, gap: news }
  throw new TypeError('expected an event or a gap')
}
