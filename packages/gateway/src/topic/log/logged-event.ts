import { formatVersion, type LogEvent } from '@weir/protocol'
import type { LogLine } from '../../backend/ports.ts'
import { named } from '../../entry.ts'
import { parseJson, parseToWrite } from '../../json.ts'

/** An event of a log, as clients are sent it. */
export class LoggedEvent implements LogEvent {
  readonly type = 'event'
  /** Its address. */
  readonly topic: string
  readonly private?: true
  /** Set where the event is an origin's. */
  readonly lineage?: string
  readonly position: string
  readonly at: number
  /** JSON text: it goes on the wire as it is, so that no digit is lost. */
  readonly json: Buffer

  constructor(topic: string, { epoch, offset, lineage, at, event }: LogLine) {
    const name = named(topic)
    this.topic = name.topic
    if (name.private) this.private = true
    if (lineage !== undefined) this.lineage = lineage
    this.position = formatVersion({ epoch, sequence: offset })
    this.at = at
    this.json = event
  }

  get event(): unknown {
    return parseJson(this.json.toString())
  }

  /** All but the type as the JSON text of an object. */
  get text(): string {
    const { topic, lineage, position, at, json } = this
    const whose = this.private ? '"private":true,' : ''
    const line = lineage === undefined ? '' : `"lineage":${JSON.stringify(lineage)},`
    return `{"topic":${JSON.stringify(topic)},${whose}${line}"position":"${position}","at":${at},"event":${json}}`
  }

  /** The whole message, for wires that write messages as JSON. */
  toJSON(): LogEvent {
    const { type, topic, lineage, position, at } = this
    const whose = { ...(this.private && { private: this.private }), ...(lineage !== undefined && { lineage }) }
    return { type, topic, ...whose, position, at, event: parseToWrite(this.json.toString()) }
  }
}
