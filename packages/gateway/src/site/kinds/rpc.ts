import type { RpcRoute } from '../../topic/rpc/rpc.ts'
import { plainOperations } from '../../transport/openapi.ts'
import { rpcAnswers } from '../../transport/rpc.ts'
import type { PartKind } from '../parts.ts'

export const rpcKind: PartKind<RpcRoute> = {
  kind: 'rpc',
  title: 'a JSON-RPC route',

  brings: ({ feeds }) => feeds,

  start: ({ path, name, plan }, site) => ({
    routes() {
      const methods = new Map([...plan.methods].map(([method, path]) => [method, site.feed(path)]))
      const parts = { ...site.live, methods, calls: plan.maxCalls, body: plan.maxBody }
      const owner = `rpc "${name}"`
      return [{ path, owner, methods: ['POST'], operator: false, handle: (call) => rpcAnswers(parts, call) }]
    },
  }),

  describe({ path, plan }) {
    const methods = [...plan.methods.keys()].join(', ')
    const help = `JSON-RPC 2.0, one call or an array of at most ${plan.maxCalls}: ${methods}.`
    return { paths: { [path]: plainOperations(path, ['POST'], help) } }
  },
}
