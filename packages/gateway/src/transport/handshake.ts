import type { Call } from '../call.ts'
import { show, WeirError } from '../errors.ts'

/** 16 bytes in base64 (RFC 6455, 4.1). */
const KEY = /^[A-Za-z0-9+/]{22}==$/

const DEFAULT_PORTS: Readonly<Record<string, RegExp>> = { 'https:': /:443$/, 'http:': /:80$/ }

/** Whether it asks for a WebSocket. Other upgrades, such as the h2c that curl offers, are left alone (RFC 9110, 7.8). */
export function asksForWebSocket(call: Pick<Call, 'header'>): boolean {
  return call.header('upgrade')?.toLowerCase() === 'websocket'
}

/**
 * Refuses what is no handshake of a WebSocket (RFC 6455, 4.2.1), and pages of other sites.
 *
 * @param origins sites whose pages may connect, besides the one that is called
 * @throws WeirError `upgrade_required`, `bad_request`, `bad_origin`
 */
export function checkHandshake(call: Pick<Call, 'header'>, origins: readonly string[]): void {
  if (!asksForWebSocket(call))
    throw required(`expected a call that asks for Upgrade: websocket, got ${show(call.header('upgrade'))}`)
  const version = call.header('sec-websocket-version')
  if (version !== '13') throw required(`Sec-WebSocket-Version: expected 13, got ${show(version)}`)
  const key = call.header('sec-websocket-key')
  if (key === undefined || !KEY.test(key))
    throw new WeirError('bad_request', `Sec-WebSocket-Key: expected 16 bytes in base64, got ${show(key)}`)
  const origin = call.header('origin')
  // Programs name none; a browser always does, and sends the cookies of this site whatever page it shows.
  if (origin === undefined || origins.includes('*') || origins.includes(origin)) return
  const { protocol, host = '' } = URL.parse(origin) ?? {}
  // A proxy may name the port that browsers leave out.
  const ours = call
    .header('host')
    ?.toLowerCase()
    .replace(DEFAULT_PORTS[protocol ?? ''] ?? '', '')
  if (host === '' || host !== ours)
    throw new WeirError('bad_origin', `origin: expected this site or one of the option cors, got ${show(origin)}`)
}

/** What one has to speak is named in the answer (RFC 9110, 15.5.22; RFC 6455, 4.4). */
function required(detail: string): WeirError {
  return new WeirError('upgrade_required', detail, {
    headers: { upgrade: 'websocket', connection: 'upgrade', 'sec-websocket-version': '13' },
  })
}
