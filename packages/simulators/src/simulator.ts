import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type Clock, systemClock } from './clock.ts'
import { type Fault, type FaultSpec, Faults, readFault } from './faults.ts'
import { sequence } from './random.ts'
import { type Arrivals, ArrivalTally, type Counts, type Outcome, Tally } from './tally.ts'
import { type Travel, type TravelOptions, travelling } from './travel.ts'
import type { Answer, Call, Upstream } from './upstream.ts'

/** Largest request body that is read, in bytes. */
const BODY_LIMIT = 1_048_576

export interface SimulatorOptions extends TravelOptions {
  /** 0, the default, takes any free one. */
  readonly port?: number
  /** 127.0.0.1 unless told. */
  readonly host?: string
  /** A whole number; runs with the same seed repeat. 1 unless told. */
  readonly seed?: number
  /** Milliseconds from arrival to answer: latency, plus or minus up to jitter. 20 and 5 unless told. */
  readonly latency?: number
  readonly jitter?: number
  readonly clock?: Clock
}

/** What a simulator was asked since it began, or since it was reset. */
export interface Stats extends Arrivals {
  /** Calls whose client went away before it had the whole answer. They are counted above too. */
  readonly aborted: number
  readonly openConnections: number
  /** Milliseconds since 1970. */
  readonly now: number
  /** What only this upstream counts. */
  readonly gauges?: Readonly<Record<string, number>>
  /** By method and path, such as `GET /price/v3`; what the upstream does not have is `other`. */
  readonly byPath: Readonly<Record<string, Counts>>
  readonly byOrganisation: Readonly<Record<string, Arrivals>>
  /** Answers by status. */
  readonly byStatus: Readonly<Record<string, number>>
}

/** A running simulator. `await using` closes it. */
export interface Simulator<Status extends string> extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string
  readonly port: number
  stats(): Stats
  /** As if just started: counts, limits, faults and the upstream's own state. Calls under way go on. */
  reset(): void
  fault(spec: FaultSpec<Status>): void
  clearFaults(): void
  /** Stops listening and cuts every connection. */
  close(): Promise<void>
}

export type Settings = TravelOptions & Required<Omit<SimulatorOptions, keyof TravelOptions>>

/** What was told, and the rest as usual. */
export function toSettings(options: SimulatorOptions): Settings {
  const { port = 0, host = '127.0.0.1', seed = 1, latency = 20, jitter = 5, clock = systemClock } = options
  return { ...options, port, host, seed, latency, jitter, clock }
}

/** Listens, counts and delays, and does what faults demand, around an upstream that only answers. */
export class HttpSimulator<Status extends string> implements Simulator<Status> {
  readonly #upstream: Upstream<Status>
  readonly #settings: Settings
  readonly #server: Server
  readonly #travel: Travel
  readonly #random: () => number
  readonly #timers = new Set<NodeJS.Timeout>()
  #faults = new Faults<Status>()
  #all = new ArrivalTally()
  #byPath = new Map<string, Tally>()
  #byOrganisation = new Map<string, ArrivalTally>()
  #byStatus = new Map<number, number>()
  #aborted = 0
  #connections = 0

  constructor(upstream: Upstream<Status>, settings: Settings) {
    this.#upstream = upstream
    this.#settings = settings
    this.#travel = travelling(settings, settings.seed, settings.clock.monotonic())
    this.#random = sequence(settings.seed)
    // Clients pool their connections: one that closes under them while idle would look like a fault nobody asked for.
    this.#server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => this.#receive(request, response))
    const { sockets } = upstream
    if (sockets !== undefined) {
      this.#server.on('upgrade', (request, socket, head) => {
        const fault = this.#faults.take(['/'], settings.clock.monotonic(), (kind) => kind === sockets.fault)
        if (fault === undefined) sockets.upgrade(request, socket, head)
        else socket.destroy()
      })
    }
    this.#server.on('connection', (socket) => {
      this.#connections += 1
      socket.once('close', () => {
        this.#connections -= 1
      })
    })
  }

  async listen(): Promise<void> {
    const { port, host } = this.#settings
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ port, host, backlog: 4_096 }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error(`${this.#upstream.name} is not listening`)
    return address.port
  }

  get url(): string {
    return `http://${this.#settings.host}:${this.port}`
  }

  stats(): Stats {
    const gauges = this.#upstream.gauges?.()
    return {
      ...this.#all.arrivals(),
      aborted: this.#aborted,
      openConnections: this.#connections,
      now: this.#settings.clock.wall(),
      ...(gauges !== undefined && { gauges }),
      byPath: Object.fromEntries([...this.#byPath].map(([path, tally]) => [path, tally.counts()])),
      byOrganisation: Object.fromEntries([...this.#byOrganisation].map(([name, tally]) => [name, tally.arrivals()])),
      byStatus: Object.fromEntries(this.#byStatus),
    }
  }

  reset(): void {
    this.#faults = new Faults<Status>()
    this.#all = new ArrivalTally()
    this.#byPath = new Map()
    this.#byOrganisation = new Map()
    this.#byStatus = new Map()
    this.#aborted = 0
    this.#upstream.reset(this.#settings.clock.monotonic())
  }

  fault(spec: FaultSpec<Status>): void {
    this.#faults.add(spec, this.#settings.clock.monotonic())
    const { sockets } = this.#upstream
    if (spec.kind === sockets?.fault) sockets.cut()
  }

  clearFaults(): void {
    this.#faults.clear()
  }

  /** The fault of one of these kinds that holds now for all that goes on; no call is taken from its count. */
  holding(...kinds: readonly Status[]): Fault<Status> | undefined {
    return this.#faults.holding(kinds, this.#settings.clock.monotonic())
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    this.#upstream.sockets?.cut()
    await new Promise<void>((resolve) => {
      // The error says that it was closed already, which is what was asked for.
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? '/'
    if (url.startsWith('/__')) {
      void this.#control(request, response, url)
      return
    }
    const travel = this.#travel(this.#settings.clock.monotonic())
    if (travel === 0) void this.#arrive(request, response, url)
    else this.#later(travel, () => void this.#arrive(request, response, url))
  }

  /** Here the upstream counts: nothing before this point is known to it, nothing after it changes the count. */
  async #arrive(request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
    const upstream = this.#upstream
    const body = request.method === 'GET' ? '' : await readBody(request)
    const call = toCall(request, url, body ?? '', this.#settings.clock.monotonic())
    const paths = [call.path, ...upstream.routes(call).map((route) => `/${route}`)]
    const fault = this.#faults.take(paths, call.at, (kind) => upstream.meets?.(kind, call) ?? true)
    if (fault?.kind === 'dead') {
      this.#count(call, 'faulted', undefined)
      request.socket.resetAndDestroy()
      return
    }
    const kind = upstream.statusFaults.find((name) => name === fault?.kind)
    const admission = upstream.admit(call, fault && kind && { ...fault, kind, lasts: lasting(fault, call.at) })
    const hit = fault !== undefined && admission.outcome !== 'refused' ? fault : undefined
    this.#count(call, hit === undefined ? admission.outcome : 'faulted', admission.organisation)

    // A client may leave while its call still travels; the call arrives all the same.
    if (response.destroyed) this.#aborted += 1
    response.once('close', () => {
      if (!response.writableFinished && hit?.kind !== 'truncated') this.#aborted += 1
    })
    if (hit?.kind === 'hang') return

    const ready = admission.refusal ?? (body === undefined ? upstream.tooLarge() : upstream.answer(call, admission))
    const { latency, jitter } = this.#settings
    const wait = Math.max(0, latency + jitter * (this.#random() * 2 - 1)) + (hit?.delay ?? 0)
    if (wait === 0) this.#send(response, ready, hit)
    else this.#later(wait, () => this.#send(response, ready, hit))
  }

  #count(call: Call, outcome: Outcome, organisation: string | undefined): void {
    for (const route of this.#upstream.routes(call)) {
      this.#all.arrive(call.at, outcome)
      entry(this.#byPath, route, () => new Tally()).add(outcome)
      if (organisation === undefined) continue
      entry(this.#byOrganisation, organisation, () => new ArrivalTally()).arrive(call.at, outcome)
    }
  }

  #send(response: ServerResponse, answer: Answer, fault: Fault<Status> | undefined): void {
    if (response.destroyed) return
    this.#byStatus.set(answer.status, (this.#byStatus.get(answer.status) ?? 0) + 1)
    switch (fault?.kind) {
      case 'garbage':
        write(response, { ...answer, body: '\u0000{"So111\ufffd:<<{]' })
        break
      case 'wrong-type':
        write(response, {
          ...answer,
          headers: { ...answer.headers, 'content-type': 'text/html; charset=utf-8' },
          body: '<!doctype html><title>Just a moment...</title><h1>Checking your browser</h1>',
        })
        break
      case 'truncated': {
        const whole = Buffer.from(answer.body)
        response.writeHead(answer.status, { ...answer.headers, 'content-length': whole.length })
        // Cut off only once the first half has left: the client is to see a broken answer, not a broken connection.
        response.write(whole.subarray(0, whole.length / 2), () => response.destroy())
        break
      }
      default:
        write(response, answer)
    }
  }

  async #control(request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
    const asked = `${request.method} ${url}`
    switch (asked) {
      case 'GET /__stats':
        return say(response, 200, this.stats())
      case 'POST /__reset':
        this.reset()
        return say(response, 200, { reset: true })
      case 'DELETE /__faults':
        this.clearFaults()
        return say(response, 200, { cleared: true })
      case 'POST /__faults': {
        const spec = readFault(parse(await readBody(request)), this.#upstream.statusFaults)
        if (typeof spec === 'string') return say(response, 400, { error: spec })
        this.fault(spec)
        return say(response, 200, spec)
      }
      default:
        return say(response, 404, {
          error: `expected GET /__stats, POST /__faults, DELETE /__faults or POST /__reset, got ${asked}`,
        })
    }
  }

  #later(delay: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      action()
    }, delay)
    this.#timers.add(timer)
  }
}

function lasting({ until }: { readonly until: number | undefined }, at: number): number {
  return until === undefined ? 1_000 : until - at
}

function toCall(request: IncomingMessage, url: string, body: string, at: number): Call {
  const mark = url.indexOf('?')
  return {
    method: request.method ?? 'GET',
    path: mark === -1 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1)),
    headers: request.headers,
    body,
    at,
  }
}

/** The body as text; undefined when it is larger than is read, or was cut off. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const piece of request) {
      const chunk: Buffer = piece
      size += chunk.length
      if (size <= BODY_LIMIT) chunks.push(chunk)
    }
  } catch {
    return undefined
  }
  return size > BODY_LIMIT ? undefined : Buffer.concat(chunks).toString()
}

/** The JSON in a text; a text that is no JSON stands for itself, so that a complaint can show what came. */
function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return text
  }
}

function write(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, { ...answer.headers, 'content-length': Buffer.byteLength(answer.body) })
  response.end(answer.body)
}

function say(response: ServerResponse, status: number, value: unknown): void {
  write(response, { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) })
}

function entry<Value>(map: Map<string, Value>, key: string, create: () => Value): Value {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = create()
  map.set(key, made)
  return made
}
