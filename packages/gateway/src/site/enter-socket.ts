import type { Call } from '../call.ts'
import { checkHandshake } from '../transport/handshake.ts'
import type { SiteContext } from './parts.ts'

/** Lets a WebSocket in. @throws WeirError when it is refused */
export function enterSocket(call: Call, { cors, admission }: SiteContext): void {
  checkHandshake(call, cors)
  // Checked again: the server may have begun to close while the caller was identified, and later connections are never closed.
  admission.serve()
  admission.hold()
}
