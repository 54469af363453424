/** Where Redis is, and how it is entered. */
export interface RedisAddress {
  /** `host:port` of each server that is named: one that is enough to find the others of a cluster. */
  readonly seeds: readonly [string, ...string[]]
  /** The whole address of one server: each is entered in the same way. Holds the password. */
  urlOf(server: string): string
}

/**
 * Reads `redis://user:password@host:port/db`, `rediss://…` for TLS, and several servers with commas between them. Undefined when it is no
 * such address.
 */
export function redisAddress(given: string): RedisAddress | undefined {
  const [, scheme, entry = '', hosts = '', rest = ''] = /^(rediss?:\/\/)([^/]*@)?([^/?#@]+)(.*)$/s.exec(given) ?? []
  const urlOf = (server: string) => `${scheme}${entry}${server}${rest}`
  const [first = '', ...others] = hosts.split(',').map(withPort)
  if (scheme === undefined || ![first, ...others].every((server) => isWhole(urlOf(server)))) return undefined
  return { seeds: [first, ...others], urlOf }
}

/** As clusters name their servers. */
function withPort(server: string): string {
  return /:\d+$/.test(server) ? server : `${server}:6379`
}

function isWhole(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { hostname, username, password, pathname } = new URL(url)
  try {
    decodeURIComponent(username)
    decodeURIComponent(password)
  } catch {
    return false
  }
  return hostname !== '' && /^\/?\d*$/.test(pathname)
}
