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
import { HUB_OPTIONS } from '../options/standalone.ts'
import { type Bytes, type Duration, readOptions } from '../options.ts'
import { sendLive } from '../runtime/node/server.ts'
import { respondLive } from '../runtime/web.ts'
import { sse } from '../transport/sse.ts'

/** The options of `createHub()`. */
export interface HubOptions {
  /** Maximum silence of a live connection. `'10s'` by default. */
  readonly heartbeat?: Duration
  /** Maximum memory for the latest values. `'64mb'` by default. */
  readonly memory?: Bytes
  readonly clock?: Clock
  readonly observe?: Emit
}

/** Sends values to subscribers as server-sent events. */
export interface Hub {
  /** Publishes a JSON value as the latest of a topic. Returns the version, which changes only when the value does. */
  publish(topic: string, value: unknown): Promise<string>
  /** Answers a request of Node's HTTP server with the live stream of the topics. */
  serve(request: IncomingMessage, response: ServerResponse, topics: readonly string[]): void
  /** The same for a server with Web-standard requests. */
  respond(request: Request, topics: readonly string[]): Response
  readonly connections: number
  /** Sends clients a reconnect delay and closes their connections. */
  close(): void
}

const TOKEN = 1

/**
 * A hub for an existing server. Each value is encoded once and written once per connection, slow readers get the
 * latest, and heartbeats confirm values that do not change. Messages are those of Weir's protocol.
 *
 * @throws ConfigError with the option, the expected and the given value
 */
export function createHub(options: HubOptions = {}): Hub {
  const { heartbeat, memory } = readOptions('createHub()', HUB_OPTIONS, options)
  const { clock = systemClock, observe: emit = () => {} } = options
  // There is only one writer, so the token never changes.
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
      const fault = unwritable(value)
      if (fault !== undefined) throw new WeirError('bad_request', `${topic}: expected a JSON value, got ${fault}`)
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
