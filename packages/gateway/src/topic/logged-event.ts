import { formatVersion, type LogEvent } from '@weir/protocol'
import type { LogLine } from '../backend/ports.ts'
import { parseJson, parseToWrite } from '../json.ts'

/** An event of a log, as clients are told it. */
export class LoggedEvent implements LogEvent {
  readonly type = 'event'
  readonly topic: string
  readonly position: string
  readonly at: number
  /** JSON text: it goes on the wire as it is, so that no digit is lost. */
  readonly json: Buffer

  constructor(topic: string, { epoch, offset, at, event }: LogLine) {
    this.topic = topic
    this.position = formatVersion({ epoch, sequence: offset })
    this.at = at
    this.json = event
  }

  get event(): unknown {
    return parseJson(this.json.toString())
  }

  /** All but the type as the JSON text of an object. */
  get text(): string {
    const { topic, position, at, json } = this
    return `{"topic":${JSON.stringify(topic)},"position":"${position}","at":${at},"event":${json}}`
  }

  /** The whole message, for wires that write messages as JSON. */
  toJSON(): LogEvent {
    const { type, topic, position, at } = this
    return { type, topic, position, at, event: parseToWrite(this.json.toString()) }
  }
}
