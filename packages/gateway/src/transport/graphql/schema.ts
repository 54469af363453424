import { GraphQLObjectType, GraphQLSchema } from 'graphql'
import type { Clock } from '../../clock.ts'
import type { FeedRuntime } from '../../topic/feed/feed-runtime.ts'
import { LogRuntime } from '../../topic/log/log-runtime.ts'
import type { Field } from './context.ts'
import { feedFields } from './feed-fields.ts'
import { GAP, logFields } from './log-fields.ts'
import { nameFor, namesFor } from './names.ts'
import { TAKEN } from './types.ts'

/** The schema of an app: queries and subscriptions of its feeds and logs. */
export function schemaOf(topics: readonly (FeedRuntime | LogRuntime)[], clock: Clock): GraphQLSchema {
  const fields = new Set<string>()
  const types = new Set([...TAKEN, GAP])
  const names = namesFor(
    topics.map(({ plan }) => plan.name),
    fields,
  )
  const queries: Record<string, Field> = {}
  const subscriptions: Record<string, Field> = {}
  for (const topic of topics) {
    const name = names.get(topic.plan.name) as string
    const made =
      topic instanceof LogRuntime
        ? logFields(topic, name, types)
        : feedFields(topic, name, nameFor(`${name}State`, fields), types, clock)
    Object.assign(queries, made.queries)
    Object.assign(subscriptions, made.subscriptions)
  }
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: queries }),
    subscription: new GraphQLObjectType({ name: 'Subscription', fields: subscriptions }),
  })
}
