import type { Call } from '../call.ts'
import type { Holds } from '../route/router.ts'
import { FORMS, formOf } from '../transport/form.ts'
import { asksForWebSocket } from '../transport/handshake.ts'

/** Of an address that answers with a value, a live stream or a long poll. @throws WeirError `bad_request` for another form */
export function holdsByForm(call: Call): Holds {
  if (call.method === 'POST') return 'nothing'
  return formOf(call, FORMS) === 'json' || call.method === 'HEAD' ? 'nothing' : 'connection'
}

/** Of an address that also answers without a WebSocket. */
export function holdsSocket(call: Call): Holds {
  return asksForWebSocket(call) ? 'connection' : 'nothing'
}
