import type { IncomingMessage, ServerResponse } from 'node:http'
import { formatVersion } from '@weir/protocol'
import { memoryBus } from '../backend/memory/bus.ts'
import { memoryValues } from '../backend/memory/values.ts'
import { unpooledBuffer } from '../buffer.ts'
import { type Clock, systemClock } from '../clock.ts'
import { Entry, hashOf } from '../entry.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { createHub as createStage } from '../hub/hub.ts'
import { stringifyJson, unwritable } from '../json.ts'
import { type Bytes, type Duration, HUB_OPTIONS, readOptions } from '../options.ts'
import { sendLive } from '../runtime/node/server.ts'
import { respondLive } from '../runtime/web.ts'
import { sse } from '../transport/sse.ts'

/** Options of `createHub()`. */
export interface HubOptions {
  /** Longest silence on a live connection. Default: `'10s'`. */
  readonly heartbeat?: Duration
  /** Memory limit for the latest values. Default: `'64mb'`. */
  readonly memory?: Bytes
  readonly clock?: Clock
  readonly observe?: Emit
}

/** Sends values to all subscribers, as server-sent events. */
export interface Hub {
  /** Publishes the latest JSON value of a topic. Returns its version, which changes only with the value. */
  publish(topic: string, value: unknown): Promise<string>
  /** Answers a request of Node's HTTP server with a live stream of topics. */
  serve(request: IncomingMessage, response: ServerResponse, topics: readonly string[]): void
  /** Answers a Web-standard request with a live stream of topics. */
  respond(request: Request, topics: readonly string[]): Response
  readonly connections: number
  /** Closes all connections, each with a delay after which the client may reconnect. */
  close(): void
}

const TOKEN = 1

/**
 * A hub for an existing server. Each value is encoded once for all connections, slow clients skip to the latest value, and heartbeats
 * confirm values that do not change. Messages follow Weir's protocol.
 *
 * @throws ConfigError with the option, the expected form and the given value
 */
export function createHub(options: HubOptions = {}): Hub {
  const { heartbeat, memory } = readOptions('createHub()', HUB_OPTIONS, options)
  const { clock = systemClock, observe: emit = () => {} } = options
  // Any token works, since there is only one writer.
  const values = memoryValues(clock, memoryBus(), { of: () => TOKEN }, memory)
  const hub = createStage({ clock, emit, level: () => 'normal', heartbeat })

  function stream(topics: readonly string[]) {
    return sse(
      { hub, clock, heartbeat, level: () => 'normal', deflate: false, lineage: () => values.lineage },
      { accepted: undefined, caller: undefined },
      0,
      (listener) => {
        for (const topic of topics) hub.join(listener, hub.channel(topic), undefined)
      },
    )
  }

  return {
    async publish(topic, value) {
      const wrong = unwritable(value)
      if (wrong !== undefined) throw new WeirError('bad_request', `${topic}: expected a JSON value, got ${wrong}`)
      const content = { json: unpooledBuffer(stringifyJson(value) ?? 'null'), reason: undefined, absentFor: undefined }
      const publication = { token: TOKEN, knownEpoch: 0, hash: hashOf(content), content, keep: Number.MAX_SAFE_INTEGER }
      const stored = await values.publish(topic, publication)
      if (stored === undefined) throw new WeirError('internal', `${topic}: the value was not stored`)
      hub.publish(hub.channel(topic), new Entry(topic, topic, stored, clock.monotonic()))
      return formatVersion(stored.version)
    },
    serve: (request, response, topics) => sendLive(stream(topics), request, response, false),
    respond: (request, topics) => respondLive(stream(topics), request),
    get connections() {
      return hub.connections
    },
    close: () => void hub.close(() => Math.round(500 + Math.random() * 2000), 0),
  }
}
