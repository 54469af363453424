import type { App, Part } from '../app.ts'
import { loadFrom } from '../topic/feed/feed.ts'
import { followable } from '../topic/log/log.ts'
import { http } from '../upstream/http.ts'
import { weir } from '../upstream/weir/weir.ts'

/**
 * An app as a region of the one that is served at `url`: its feeds and logs are those of the origin, its proxies ask the origin's, and none
 * of its own upstreams is asked. Its routes, sockets and page are its own.
 *
 * @throws ConfigError when a feed or a log is not public: a region can't say at the origin who calls it
 */
export function regional(app: App, url: string): App {
  const name = `${app.name} origin`
  const upstream = weir({ name, url })

  function moved(part: Part): Part {
    if (part.kind === 'feed') {
      const plan = {
        ...part.plan,
        upstream,
        ...loadFrom(part.plan.where, part.plan.scope),
        push: undefined,
        dependsOn: undefined,
      }
      return { ...part, plan }
    }
    if (part.kind === 'log') {
      followable(part.plan.where, part.plan.scope, upstream)
      return { ...part, plan: { ...part.plan, upstream, dependsOn: undefined, mayPublish: undefined } }
    }
    if (part.kind !== 'proxy') return part
    const { mount } = part.plan
    const there = http({
      name: `${name}${mount}`,
      url: url.replace(/\/$/, '') + mount,
      pastUsage: 'none',
      concurrency: 32,
    })
    return { ...part, plan: { ...part.plan, upstream: there } }
  }

  return { ...app, use: app.use.map(moved) }
}
