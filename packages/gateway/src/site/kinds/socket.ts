import type { AppSocket } from '../../topic/socket.ts'
import { appSocket } from '../../transport/app-socket.ts'
import { checkHandshake } from '../../transport/handshake.ts'
import { plainOperations } from '../../transport/openapi.ts'
import type { PartKind } from '../parts.ts'

export const socketKind: PartKind<AppSocket> = {
  kind: 'socket',
  title: 'a socket',

  start: (declared, site) => ({
    routes() {
      const { live, peers, pipeline } = site
      const receive: AppSocket['receive'] = (message, client) => site.within(() => declared.receive(message, client))
      const parts = { hub: live.hub, peers, emit: pipeline.emit, feedOf: (path: string) => site.feed(path) }
      const open = appSocket(parts, { ...declared, receive })
      const { path, name } = declared
      return [
        {
          ...{ path, owner: `socket "${name}"`, methods: ['GET'], operator: false, scoped: site.identifies },
          holds: 'connection',
          handle(call) {
            checkHandshake(call, site.cors)
            return open(call)
          },
        },
      ]
    },
  }),

  describe: ({ path, name }) => ({ paths: { [path]: plainOperations(path, ['GET'], `A WebSocket: ${name}.`) } }),
}
