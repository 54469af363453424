import type { Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'

/** Shorter values in an address are words, such as the name of a network; a name that speaks of a key needs no length. */
const SHORTEST_SECRET = 16
const SECRET_NAME = /key|token|secret|auth|pass/i

/** What of an address nobody may read: keys in its query, what in its path is too long for a word, and its password. */
export function secretsOf({ searchParams, pathname, password }: URL): readonly string[] {
  const inQuery = [...searchParams]
    .filter(([name, value]) => value.length >= SHORTEST_SECRET || (SECRET_NAME.test(name) && value !== ''))
    .map(([, value]) => value)
  const inPath = pathname.split('/').filter(({ length }) => length >= SHORTEST_SECRET)
  return [...inQuery, ...inPath, ...(password === '' ? [] : [password])]
}

/** Takes secrets out of what is answered: some upstreams repeat the address in what they say of a failure, and that is told on. */
export function redact(secrets: readonly string[]): Stage<UpstreamRequest, Promise<UpstreamAnswer>> {
  if (secrets.length === 0) return (next) => next
  return (next) => async (request) => {
    const answer = await next(request)
    if (!secrets.some((secret) => answer.body.includes(secret))) return answer
    return { ...answer, body: Buffer.from(hide(secrets, answer.body.toString())) }
  }
}

/** A text without the secrets of an address, such as what an upstream says of it. */
export function hide(secrets: readonly string[], text: string): string {
  return secrets.reduce((left, secret) => left.replaceAll(secret, '…'), text)
}
