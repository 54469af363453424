import type { App } from '../app.ts'
import { weir } from '../upstream/weir/weir.ts'
import { kindOf } from './kinds.ts'

/**
 * An app as a region of the one that is served at `url`: its feeds and logs are those of the origin, its proxies call the origin's, and none
 * of its own upstreams is called. Its routes, sockets and page are its own.
 *
 * @throws ConfigError when a feed or a log is not public: a region can't tell the origin who calls it
 */
export function regional(app: App, url: string): App {
  const name = `${app.name} origin`
  const region = { url, name, upstream: weir({ name, url }) }
  return { ...app, use: app.use.map((part) => kindOf(part).inRegion?.(part, region) ?? part) }
}
