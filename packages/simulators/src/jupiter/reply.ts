/** A status and a body, before the gateway puts its headers on. */
export interface Reply {
  readonly status: number
  readonly body: unknown
}

export function reply(status: number, body: unknown): Reply {
  return { status, body }
}

/** How the token and price endpoints say that a request is wrong. */
export function badRequest(error: string): Reply {
  return { status: 400, body: { error } }
}
