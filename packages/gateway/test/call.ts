import type { Call } from '../src/call.ts'

/** A call in which only what a test is about needs to be said. Headers by their lower-case names. */
export function call(
  url: string,
  given: {
    readonly method?: string
    readonly headers?: Record<string, string>
    readonly signal?: AbortSignal
  } = {},
): Call {
  const { method = 'GET', headers = {}, signal = new AbortController().signal } = given
  const [path = '', query = ''] = url.split('?', 2)
  return {
    method,
    url,
    path,
    query,
    header: (name) => headers[name],
    headers: () => Object.entries(headers),
    remote: '127.0.0.1',
    identity: undefined,
    body: async () => new Uint8Array(),
    signal,
  }
}
