import type { UpstreamRequest } from '../src/call.ts'

/** A request to an upstream in which only what a test is about needs to be said. */
export function request(given: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    method: 'GET',
    path: '/',
    headers: {},
    body: undefined,
    priority: 'interactive',
    client: 'test',
    deadline: Number.MAX_SAFE_INTEGER,
    signal: undefined,
    cost: 1,
    apiKey: undefined,
    ...given,
  }
}
