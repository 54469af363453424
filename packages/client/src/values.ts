import type { Level, ServerMessage, Values } from '@weir/protocol'
import { type LinkParts, topicQuery } from './link.ts'
import { readJson, readProblem } from './problem-error.ts'

/** A message about a topic, under the requested name. A log has its position, as a heartbeat. */
export type ValueMessage = Extract<ServerMessage, { topic: string }> & {
  /** The canonical address of the topic, as in streams. */
  readonly address: string
}

/**
 * Fetches many topics, as many as fit into one address.
 *
 * @throws ProblemError, or any error of `fetch`
 */
export async function fetchValues(
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
  const { now, level, caller, lineage, values } = await readJson<Values>(answer)
  if (!Array.isArray(values)) throw await readProblem(answer)
  const messages = values.map((value, index) => {
    const type =
      'problem' in value ? 'error' : 'value' in value ? 'snapshot' : 'reason' in value ? 'absent' : 'heartbeat'
    const version = 'position' in value ? { version: value.position } : undefined
    // Each kind of item has the fields of the message of that type.
    return { ...value, ...version, type, address: value.topic, topic: topics[index] } as ValueMessage
  })
  return { now, level, ...(caller && { caller }), ...(lineage && { lineage }), messages }
}
