import type { Call } from '../call.ts'
import { show, WeirError } from '../errors.ts'

/** How a value is answered: as JSON at once, as a live stream, or as JSON when it has changed. */
export type Form = 'json' | 'sse' | 'poll'

/** The forms of one topic; the first is the default. */
export const FORMS = ['json', 'sse', 'poll'] as const

/**
 * The form that a call asks for, by `?as=` or else by `Accept`.
 *
 * @param offered the forms of the address; the first is the default
 * @throws WeirError `bad_request` when `as` names no form of this address
 */
export function formOf(call: Call, offered: readonly [Form, ...Form[]]): Form {
  const as = call.query === '' ? undefined : /(?:^|&)as=([^&]*)/.exec(call.query)?.[1]
  if (as === undefined) return offered.includes('sse') && wantsEvents(call.header('accept')) ? 'sse' : offered[0]
  const form = offered.find((one) => one === as)
  if (form === undefined) throw new WeirError('bad_request', `as: expected ${offered.join(' or ')}, got ${show(as)}`)
  return form
}

/** Whether `Accept` (RFC 9110, 12.5.1) names server-sent events, and likes JSON no better. */
function wantsEvents(accept: string | undefined): boolean {
  // Nearly no call names them: those that don't are not read any further.
  if (accept === undefined || !/text\/event-stream/i.test(accept)) return false
  const liked = new Map<string, number>()
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((text) => text.trim())
    const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
    liked.set(type, quality === undefined ? 1 : Number(quality) || 0)
  }
  const events = liked.get('text/event-stream') ?? 0
  const json = liked.get('application/json') ?? liked.get('application/*') ?? liked.get('*/*') ?? 0
  return events > 0 && events >= json
}
