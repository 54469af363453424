import type { Version } from '@weir/protocol'
import type { GraphQLFieldConfig } from 'graphql'
import type { Identity } from '../../call.ts'
import type { Entry } from '../../entry.ts'
import type { Notice } from '../../hub/hub.ts'
import type { Topic } from '../topics.ts'

/** For whom an operation is run. */
export interface GraphqlContext {
  readonly identity: Identity | undefined
  /** Whom fairness counts. */
  readonly client: string
  readonly signal: AbortSignal | undefined
  /** What a subscription follows; set when its arguments have been read. */
  chosen?: Chosen
}

/** What a subscription follows. */
export interface Chosen extends Topic {
  /** Whether it asks for age and staleness, which move while the value does not. */
  readonly state?: boolean
  /** The position in a log after which it begins. */
  readonly since?: Version | undefined
}

/** What a subscription is sent, as the hub sends it. */
export type News = Entry | Notice

export type Field = GraphQLFieldConfig<unknown, GraphqlContext>

/** The fields of a feed or a log, by their names. */
export interface Fields {
  readonly queries: Readonly<Record<string, Field>>
  readonly subscriptions: Readonly<Record<string, Field>>
}

/** How a field of a subscription says what it follows. The hub delivers: the stream of events that GraphQL wants is never read. */
export function following(choose: (given: Given, asker: GraphqlContext) => Chosen): NonNullable<Field['subscribe']> {
  return (_, given: Given, asker) => {
    asker.chosen = choose(given, asker)
    return nothing()
  }
}

/** Arguments as they were given. */
export type Given = Readonly<Record<string, unknown>>

async function* nothing(): AsyncGenerator<never> {}
