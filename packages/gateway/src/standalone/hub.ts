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

/** What `createHub()` takes. */
export interface HubOptions {
  /** A live connection is never silent for longer. `'10s'` by default. */
  readonly heartbeat?: Duration
  /** The most memory that the latest values take. `'64mb'` by default. */
  readonly memory?: Bytes
  readonly clock?: Clock
  readonly observe?: Emit
}

/** Hands values to all who listen, as server-sent events. */
export interface Hub {
  /** Makes a JSON value the latest of a topic and sends it to who listens; the version, which moves only when the value does. */
  publish(topic: string, value: unknown): Promise<string>
  /** Answers a request of Node's HTTP server with the live stream of some topics. */
  serve(request: IncomingMessage, response: ServerResponse, topics: readonly string[]): void
  /** The same for a server that speaks Web-standard requests. */
  respond(request: Request, topics: readonly string[]): Response
  readonly connections: number
  /** Tells clients when to come back, and ends their connections. */
  close(): void
}

const TOKEN = 1

/**
 * A hub for an existing server: each value is encoded once and written once per connection, slow readers get the latest, and
 * heartbeats tell steady from stale. Messages are those of Weir's protocol.
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function createHub(options: HubOptions = {}): Hub {
  const { heartbeat, memory } = readOptions('createHub()', HUB_OPTIONS, options)
  const { clock = systemClock, observe: emit = () => {} } = options
  // There is one writer, so one token is as good as another.
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
      if (stored === undefined) throw new WeirError('internal', `${topic}: could not be stored`)
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
