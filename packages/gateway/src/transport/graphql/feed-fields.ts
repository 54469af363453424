import { GraphQLBoolean, GraphQLError, GraphQLFloat, GraphQLNonNull, GraphQLObjectType, GraphQLString } from 'graphql'
import type { Clock } from '../../clock.ts'
import { Entry } from '../../entry.ts'
import { absence, type FeedRuntime } from '../../topic/feed/feed-runtime.ts'
import { jsonSchemaOf } from '../json-schema.ts'
import { type Fields, following, type Given, type News } from './context.ts'
import { extensionsOf } from './error-codes.ts'
import { keyArguments } from './key-arguments.ts'
import { capital, nameFor } from './names.ts'
import { valueType } from './types.ts'

const Moment = new GraphQLNonNull(GraphQLFloat)

/**
 * A feed `price` is a field of that name, with the parts of its key as arguments and the value as its type, and a field
 * `priceState` that says besides what is known of it.
 *
 * @param types names of types that are given; those of now are added
 */
export function feedFields(
  feed: FeedRuntime,
  name: string,
  stateName: string,
  types: Set<string>,
  clock: Clock,
): Fields {
  const { plan } = feed
  const value = valueType(name, jsonSchemaOf(plan.value, 'output'), types)
  const state = new GraphQLObjectType<Entry>({
    name: nameFor(capital(stateName), types),
    fields: {
      value: { type: value, description: 'Null where there is none.', resolve: (entry) => entry.value },
      reason: {
        type: GraphQLString,
        description: 'Why there is no value.',
        resolve: (entry) => entry.content.reason,
      },
      version: {
        type: new GraphQLNonNull(GraphQLString),
        description: '`epoch:sequence`; it only rises.',
        resolve: (entry) => entry.versionText,
      },
      age: {
        type: Moment,
        description: 'Milliseconds since the moment of which the value is.',
        resolve: (entry) => Math.max(0, clock.monotonic() - entry.since),
      },
      stale: {
        type: new GraphQLNonNull(GraphQLBoolean),
        description: 'Whether it is older than its feed allows.',
        resolve: (entry) => feed.stale(entry),
      },
      changedAt: {
        type: Moment,
        description: 'When it became what it is: milliseconds since 1970, by the clock of the server.',
      },
      checkedAt: {
        type: Moment,
        description: 'When the upstream last confirmed it: milliseconds since 1970, by the clock of the server.',
      },
    },
  })
  const { args, partsOf } = keyArguments(plan.keys, new Set())
  const described = { args, description: `The value of ${plan.name}.` }
  const fields = [
    { name, config: { ...described, type: value }, told: valueIn, asksState: false },
    {
      name: stateName,
      config: { args, type: state, description: `The value of ${plan.name}, and what is known of it.` },
      told: entryIn,
      asksState: true,
    },
  ]
  return {
    queries: Object.fromEntries(
      fields.map(({ name, config, told }) => [
        name,
        {
          ...config,
          resolve(_, given: Given, { identity, client, signal }) {
            const entry = feed.read(feed.keyFrom(partsOf(given), identity), { client, signal })
            return entry instanceof Promise ? entry.then(told) : told(entry)
          },
        },
      ]),
    ),
    subscriptions: Object.fromEntries(
      fields.map(({ name, config, told, asksState }) => [
        name,
        {
          ...config,
          resolve: (news) => told(news as News),
          subscribe: following((given, { identity }) => ({
            of: feed,
            readKey: feed.keyFrom(partsOf(given), identity),
            state: asksState,
          })),
        },
      ]),
    ),
  }
}

/** @throws GraphQLError when it could not be had */
function entryIn(news: News): Entry {
  if (news instanceof Entry) return news
  if (news.type !== 'error') throw new TypeError(`expected an entry or an error, got ${news.type}`)
  throw new GraphQLError(news.problem.detail, { extensions: extensionsOf(news.problem) })
}

/** @throws WeirError `absent`, `never` */
function valueIn(news: News): unknown {
  const entry = entryIn(news)
  if (entry.absent) throw absence(entry)
  return entry.value
}
