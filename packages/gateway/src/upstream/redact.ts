import type { Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'

/** Shorter values in an address are words, such as the name of a network; a name that speaks of a key needs no length. */
const SHORTEST_SECRET = 16
const SECRET_NAME = /key|token|secret|auth|pass/i

/** What of an address nobody may read: keys in its query, and what in its path is too long for a word. */
export function secretsOf({ searchParams, pathname }: URL): readonly string[] {
  const inQuery = [...searchParams]
    .filter(([name, value]) => value.length >= SHORTEST_SECRET || (SECRET_NAME.test(name) && value !== ''))
    .map(([, value]) => value)
  return [...inQuery, ...pathname.split('/').filter(({ length }) => length >= SHORTEST_SECRET)]
}

/** Takes secrets out of what is answered: some upstreams repeat the address in what they say of a failure, and that is told on. */
export function redact(secrets: readonly string[]): Stage<UpstreamRequest, Promise<UpstreamAnswer>> {
  if (secrets.length === 0) return (next) => next
  return (next) => async (request) => {
    const answer = await next(request)
    if (!secrets.some((secret) => answer.body.includes(secret))) return answer
    const text = secrets.reduce((left, secret) => left.replaceAll(secret, '…'), answer.body.toString())
    return { ...answer, body: Buffer.from(text) }
  }
}

/** An address as errors may show it: where it leads, without user, password, path and query, of which any may be a secret. */
export function withoutSecrets(url: unknown): string {
  return (/^([^/?#]*\/\/)?[^/?#]*/.exec(String(url))?.[0] ?? '').replace(/[^/]*@/, '')
}
