import { type Clock, systemClock } from '../../clock.ts'
import { type MemoryBackend, memoryBackend } from '../memory/backend.ts'
import { memoryMeter } from '../memory/meters.ts'
import { formOf, stricter } from '../memory/stricter.ts'
import type { MeterLimit, MeterPlan } from '../ports.ts'
import type { IpcPort } from './ipc-port.ts'
import { type IpcRpc, openIpcRpc } from './ipc-rpc.ts'
import { type MeterArbiter, openMeterArbiter } from './meter-arbiter.ts'
import { outboxOf } from './outbox.ts'
import { type Kind, kept, keptContent, type PrimarySide, type WorkerSide } from './protocol.ts'

export interface ServingParts {
  /** The most memory of what is kept, as of one process. */
  readonly bytes: number
  readonly clock?: Clock
  /** Called with errors in the background. */
  readonly report: (error: unknown) => void
  /** Called when workers begin to share an upstream with different limits, with the limits that hold then. */
  readonly mixed?: (upstream: string, limits: readonly MeterLimit[]) => void
}

/** The memory of the primary, as workers share it. */
export interface Serving {
  /** Serves the worker at the other end, until it is gone. */
  serve(carrier: IpcPort): void
}

/** The primary sends only notifications, so this deadline never applies. */
const NO_ANSWERS = 1000

export function serving({ bytes, clock = systemClock, report, mixed }: ServingParts): Serving {
  const backend = memoryBackend(clock, bytes)
  const arbiters = openArbiters(clock, mixed)
  return {
    serve(carrier) {
      serveWorker(carrier, { backend, arbiters, clock, report })
    },
  }
}

interface Arbiters {
  open(worker: object, upstream: string, plan: MeterPlan): void
  of(upstream: string): MeterArbiter
  gone(worker: object): void
}

interface OpenArbiter {
  readonly arbiter: MeterArbiter
  /** The plan of each worker. Workers of another version may have other limits. */
  readonly plans: Map<object, MeterPlan>
  form: string
  /** Whether they differ. */
  mixed: boolean
}

function openArbiters(clock: Clock, mixed: ServingParts['mixed']): Arbiters {
  const arbiters = new Map<string, OpenArbiter>()

  /** While workers have different limits, the stricter ones hold. */
  function agree(upstream: string, one: OpenArbiter): void {
    const [first, ...others] = one.plans.values()
    if (first === undefined) return
    const plan = stricter([first, ...others])
    const form = planForm(plan)
    if (form !== one.form) {
      // A new meter does not know what was spent before.
      const unknown = { ...plan, pastUsage: 'unknown' as const }
      one.arbiter.replace(memoryMeter(clock, unknown), unknown)
      one.form = form
    }
    const differ = others.some(({ limits }) => formOf(limits) !== formOf(first.limits))
    if (differ && !one.mixed) mixed?.(upstream, plan.limits)
    one.mixed = differ
  }

  return {
    open(worker, upstream, plan) {
      const known = arbiters.get(upstream)
      if (known === undefined) {
        const arbiter = openMeterArbiter(memoryMeter(clock, plan), plan, clock)
        arbiters.set(upstream, {
          arbiter,
          plans: new Map([[worker, plan]]),
          form: planForm(stricter([plan])),
          mixed: false,
        })
        return
      }
      known.plans.set(worker, plan)
      agree(upstream, known)
    },
    of(upstream) {
      const known = arbiters.get(upstream)
      if (known === undefined) throw new TypeError(`expected an upstream that was opened, got "${upstream}"`)
      return known.arbiter
    },
    gone(worker) {
      for (const [upstream, known] of arbiters) {
        known.arbiter.gone(worker)
        if (known.plans.delete(worker)) agree(upstream, known)
      }
    },
  }
}

function planForm({ limits, keys, pace = false }: MeterPlan): string {
  return `${formOf(limits)} ${keys} ${pace}`
}

interface WorkerParts {
  readonly backend: MemoryBackend
  readonly arbiters: Arbiters
  readonly clock: Clock
  readonly report: (error: unknown) => void
}

function serveWorker(carrier: IpcPort, { backend, arbiters, clock, report }: WorkerParts): void {
  const { values, leases, bus, logs } = backend
  const worker = {}
  const owners = new Set<string>()
  const stops = new Map<string, () => void>()

  const answers: PrimarySide = {
    lineage: () => values.lineage,
    read: (topic) => values.read(topic),
    publish: (topic, publication) =>
      values.publish(topic, { ...publication, content: keptContent(publication.content) }),
    expire: (topic) => values.expire(topic),

    acquire(name, owner, ttl, known) {
      owners.add(owner)
      return leases.acquire(name, owner, ttl, known)
    },
    renew: (name, owner, token, ttl) => leases.renew(name, owner, token, ttl),
    release: (name, owner, token) => leases.release(name, owner, token),
    claim(group, names, owner, ttl) {
      owners.add(owner)
      return leases.claim(group, names, owner, ttl)
    },

    append: (log, event, bounds) => logs.append(log, kept(event), bounds),
    appendAfter: (log, after, event, bounds) => logs.appendAfter(log, after, kept(event), bounds),
    history: (log, after, most) => logs.read(log, after, most),

    send: (channel, message) => bus.publish(channel, keptContent(message)),
    announce: (channel, word) => bus.broadcast(channel, word),
    listen(kind, name) {
      const key = `${kind} ${name}`
      stops.get(key)?.()
      stops.set(key, listenTo(kind, name))
      outbox.missed(kind, name)
    },
    unlisten(kind, name) {
      const key = `${kind} ${name}`
      stops.get(key)?.()
      stops.delete(key)
      outbox.drop(kind, name)
    },

    open: (upstream, plan) => arbiters.open(worker, upstream, plan),
    take: (upstream, wants) => arbiters.of(upstream).take(worker, wants),
    settle: (upstream, grant, cost) => arbiters.of(upstream).settle(worker, grant, cost),
    cancel: (upstream, grant) => arbiters.of(upstream).cancel(worker, grant),
    pause: (upstream, duration, key) => arbiters.of(upstream).meter.pause(duration, key),
    pauseLane: (upstream, duration, lane) => arbiters.of(upstream).meter.pauseLane(duration, lane),
    backOff: (upstream) => arbiters.of(upstream).meter.backOff(),
    exhaustKey: (upstream, key, duration) => arbiters.of(upstream).meter.exhaustKey(key, duration),
    syncRemaining: (upstream, remaining, key) => arbiters.of(upstream).meter.syncRemaining(remaining, key),
  }
  const line: IpcRpc<WorkerSide> = openIpcRpc({
    carrier,
    answers,
    clock,
    deadline: NO_ANSWERS,
    peer: 'a worker',
    report,
  })
  const outbox = outboxOf(line)

  function listenTo(kind: Kind, name: string): () => void {
    switch (kind) {
      case 'values':
        return bus.subscribe(name, (stored) => outbox.add(kind, name, stored, stored.json?.byteLength ?? 0))
      case 'words':
        return bus.onBroadcast(name, (word) => outbox.add(kind, name, word, word.length))
      case 'lines':
        return logs.subscribe(name, (line) => outbox.add(kind, name, line, line.event.byteLength))
    }
  }

  line.onClose(() => {
    for (const stop of stops.values()) stop()
    for (const owner of owners) leases.gone(owner)
    arbiters.gone(worker)
  })
}
