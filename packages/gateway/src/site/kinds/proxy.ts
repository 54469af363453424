import { proxyPath } from '../../pipeline.ts'
import type { HttpProxy } from '../../topic/proxy/proxy.ts'
import { ProxyRuntime } from '../../topic/proxy/proxy-runtime.ts'
import { plainOperations } from '../../transport/openapi.ts'
import { http } from '../../upstream/http.ts'
import type { PartKind } from '../parts.ts'

export const proxyKind: PartKind<HttpProxy> = {
  kind: 'proxy',
  title: 'a proxy',

  upstreams: ({ plan }) => [plan],

  start({ path, name, plan }, site) {
    const { clock, emit } = site.pipeline
    const answers = proxyPath(plan, site.requests(plan), site.memory, site.pipeline)
    const runtime = new ProxyRuntime({ plan, path: answers, clock, emit })
    const { methods } = plan
    const handle = runtime.handle.bind(runtime)
    return { routes: () => [{ path, owner: `proxy "${name}"`, methods, operator: false, handle }] }
  },

  /** It asks the proxy of the origin, whose budget counts. */
  inRegion(proxy, region) {
    const { mount } = proxy.plan
    const upstream = http({
      name: `${region.name}${mount}`,
      url: region.url.replace(/\/$/, '') + mount,
      pastUsage: 'none',
      concurrency: 32,
    })
    return { ...proxy, plan: { ...proxy.plan, upstream } }
  },

  describe({ plan: { mount, paths, methods, upstream } }) {
    const help = `As ${upstream.name} answers it, through a shared cache.`
    const each = paths.map((path) => [mount + path, plainOperations(mount + path, methods, help)] as const)
    return { paths: Object.fromEntries(each) }
  },
}
