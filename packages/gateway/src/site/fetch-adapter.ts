import { type Answer, type AnswerHeaders, type Call, HOST } from '../call.ts'
import { show, WeirError } from '../errors.ts'

/** The largest body that an app's own routes take, in bytes. */
const LARGEST_BODY = 10 * 1024 * 1024

/** Hands a call to a Web-standard fetch, such as a Hono app's. This is the only place on a server that builds a Request. */
export async function own(
  routes: { fetch(request: Request): Response | Promise<Response> },
  call: Call,
  largest = LARGEST_BODY,
): Promise<Answer> {
  const bodiless = call.method === 'GET' || call.method === 'HEAD'
  const host = call.header('host') || 'localhost'
  const headers = new Headers()
  for (const [name, value] of call.headers()) headers.append(name, value)
  const address = HOST.test(host) ? URL.parse(`http://${host}${call.url}`) : null
  if (address === null) throw new WeirError('bad_request', `host: expected the name of a host, got ${show(host)}`)
  if (/^(CONNECT|TRACE|TRACK)$/i.test(call.method)) {
    throw new WeirError('method_not_allowed', `expected a method that a Request can have, got ${call.method}`)
  }
  const request = new Request(address, {
    method: call.method,
    headers,
    signal: call.signal,
    ...(bodiless ? {} : { body: Buffer.from(await call.body(largest)) }),
  })
  const response = await routes.fetch(request)
  if (await isUnanswered(response))
    throw new WeirError('not_found', `${call.method} ${call.path.slice(0, 200)}: nothing is served here`)
  const answered: AnswerHeaders = {}
  for (const [name, value] of response.headers) if (name !== 'set-cookie') answered[name] = value
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) answered['set-cookie'] = cookies
  return { kind: 'whole', status: response.status, headers: answered, body: response.body }
}

/** What Hono answers where none of its routes takes a call, unless the app says something else there. */
const UNANSWERED = '404 Not Found'

async function isUnanswered(response: Response): Promise<boolean> {
  if (response.status !== 404 || response.headers.get('content-type')?.startsWith('text/plain') !== true) return false
  return (await response.clone().text()) === UNANSWERED
}
