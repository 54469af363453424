import type { Level, ServerMessage, Values } from '@weir/protocol'
import { type LinkParts, topicQuery } from './link.ts'
import { jsonIn, problemIn } from './problem-error.ts'

/** What was heard of a topic, under the name that it was asked by. A log says where it stands, as a heartbeat. */
export type ValueMessage = Extract<ServerMessage, { topic: string }> & {
  /** The topic's one address, as streams name it. */
  readonly address: string
}

/** Asks for many topics, as many as fit into one address. Throws a ProblemError, and what `fetch` throws. */
export async function askValues(
  { ports, url }: Pick<LinkParts, 'ports' | 'url'>,
  topics: readonly string[],
  signal?: AbortSignal,
): Promise<{
  readonly now: number
  readonly level: Level
  readonly caller?: string
  readonly lineage?: string
  readonly messages: readonly ValueMessage[]
}> {
  const answer = await ports.fetch(`${url}/weir/values?${topicQuery(topics)}`, {
    cache: 'no-store',
    signal: signal ?? null,
  })
  const { now, level, caller, lineage, values } = await jsonIn<Values>(answer)
  if (!Array.isArray(values)) throw await problemIn(answer)
  const messages = values.map((value, index) => {
    const type =
      'problem' in value ? 'error' : 'value' in value ? 'snapshot' : 'reason' in value ? 'absent' : 'heartbeat'
    const version = 'position' in value ? { version: value.position } : undefined
    // What each kind of answer holds is what the message of that type does.
    return { ...value, ...version, type, address: value.topic, topic: topics[index] } as ValueMessage
  })
  return { now, level, ...(caller && { caller }), ...(lineage && { lineage }), messages }
}
