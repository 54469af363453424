import type { Answer, AnswerHeaders, Call } from '../call.ts'
import { chooseCompression } from '../compress.ts'

/** JSON that is made for one call, compressed where that pays. What many get is compressed once, in `snapshot.ts`. */
export function jsonAnswer(call: Call, json: Buffer, headers: AnswerHeaders): Answer {
  headers['content-type'] = 'application/json'
  headers.vary = 'accept-encoding'
  const compression = chooseCompression(call.header('accept-encoding'), json.byteLength)
  if (compression === undefined) return { kind: 'whole', status: 200, headers, body: json }
  headers['content-encoding'] = compression.name
  return { kind: 'whole', status: 200, headers, body: compression.compress(json) }
}
