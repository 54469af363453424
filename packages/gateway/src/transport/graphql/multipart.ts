import type { LiveAnswer } from '../../call.ts'
import { chunk } from '../../chunk.ts'
import type { Hub, Listener, Wire } from '../../hub/hub.ts'

/** Between parts. A reader knows a part's end by it, so each part is sent with the one that follows. */
const DELIMITER = '\r\n--graphql'

const HEADERS = {
  'content-type': 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  vary: 'accept',
}

/** One message as a part of the body. */
export function multipart(json: string): Buffer {
  return chunk(Buffer.from(`\r\ncontent-type: application/json\r\n\r\n${json}${DELIMITER}`))
}

/** Behind the last part. */
export const MULTIPART_END: Buffer = chunk(Buffer.from('--\r\n'))

/** Whether a client asks for subscriptions as Apollo's clients do: over HTTP, each result a part of one body. */
export function wantsMultipart(accept: string | undefined | null): boolean {
  return accept !== undefined && accept !== null && /multipart\/mixed[^,]*;\s*subscriptionSpec=/i.test(accept)
}

/**
 * A subscription in Apollo's multipart protocol, version 1.0
 * (https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol).
 */
export function multipartStream(hub: Hub, wire: Wire, join: (listener: Listener) => void): LiveAnswer {
  return {
    kind: 'live',
    headers: { ...HEADERS },
    open(connection) {
      const listener = hub.listen(connection, wire)
      connection.write(chunk(Buffer.from(DELIMITER)))
      join(listener)
    },
  }
}
