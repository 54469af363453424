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
  /** Told what goes wrong in the background. */
  readonly report: (error: unknown) => void
  /** Told when workers share an upstream with different limits, and which hold then. */
  readonly mixed?: (upstream: string, limits: readonly MeterLimit[]) => void
}

/** The memory of the primary, as workers share it. */
export interface Serving {
  /** Serves the worker at the other end, until it is gone. */
  serve(carrier: IpcPort): void
}

/** Nobody waits for what the primary tells. */
const NO_ANSWERS = 1000

export function serving({ bytes, clock = systemClock, report, mixed }: ServingParts): Serving {
  const backend = memoryBackend(clock, bytes)
  const desks = openDesks(clock, mixed)
  return {
    serve(carrier) {
      serveWorker(carrier, { backend, desks, clock, report })
    },
  }
}

interface Desks {
  open(worker: object, upstream: string, plan: MeterPlan): void
  of(upstream: string): MeterArbiter
  gone(worker: object): void
}

interface OpenDesk {
  readonly desk: MeterArbiter
  /** What each worker would have. Those of another version may have other limits. */
  readonly plans: Map<object, MeterPlan>
  form: string
  /** Whether they differ. */
  mixed: boolean
}

function openDesks(clock: Clock, mixed: ServingParts['mixed']): Desks {
  const desks = new Map<string, OpenDesk>()

  /** Workers with different limits have the stricter of them, until those with others are gone. */
  function agree(upstream: string, one: OpenDesk): void {
    const [first, ...others] = one.plans.values()
    if (first === undefined) return
    const plan = stricter([first, ...others])
    const form = planForm(plan)
    if (form !== one.form) {
      // What was spent before, a new meter does not know.
      const unknown = { ...plan, pastUsage: 'unknown' as const }
      one.desk.replace(memoryMeter(clock, unknown), unknown)
      one.form = form
    }
    const differ = others.some(({ limits }) => formOf(limits) !== formOf(first.limits))
    if (differ && !one.mixed) mixed?.(upstream, plan.limits)
    one.mixed = differ
  }

  return {
    open(worker, upstream, plan) {
      const known = desks.get(upstream)
      if (known === undefined) {
        const desk = openMeterArbiter(memoryMeter(clock, plan), plan, clock)
        desks.set(upstream, { desk, plans: new Map([[worker, plan]]), form: planForm(stricter([plan])), mixed: false })
        return
      }
      known.plans.set(worker, plan)
      agree(upstream, known)
    },
    of(upstream) {
      const known = desks.get(upstream)
      if (known === undefined) throw new TypeError(`expected an upstream that was opened, got "${upstream}"`)
      return known.desk
    },
    gone(worker) {
      for (const [upstream, known] of desks) {
        known.desk.gone(worker)
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
  readonly desks: Desks
  readonly clock: Clock
  readonly report: (error: unknown) => void
}

function serveWorker(carrier: IpcPort, { backend, desks, clock, report }: WorkerParts): void {
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

    open: (upstream, plan) => desks.open(worker, upstream, plan),
    take: (upstream, wants) => desks.of(upstream).take(worker, wants),
    settle: (upstream, grant, cost) => desks.of(upstream).settle(worker, grant, cost),
    cancel: (upstream, grant) => desks.of(upstream).cancel(worker, grant),
    close: (upstream, duration, key) => desks.of(upstream).meter.pause(duration, key),
    closeLane: (upstream, duration, lane) => desks.of(upstream).meter.pauseLane(duration, lane),
    backOff: (upstream) => desks.of(upstream).meter.backOff(),
    spend: (upstream, key, duration) => desks.of(upstream).meter.exhaustKey(key, duration),
    learn: (upstream, remaining, key) => desks.of(upstream).meter.syncRemaining(remaining, key),
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
    desks.gone(worker)
  })
}
