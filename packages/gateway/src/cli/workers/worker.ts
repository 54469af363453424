import { once } from 'node:events'
import { processPort } from '../../backend/cluster/ipc-port.ts'
import { type IpcRpc, openIpcRpc } from '../../backend/cluster/ipc-rpc.ts'
import { systemClock } from '../../clock.ts'
import { createGateway } from '../../gateway.ts'
import type { Gateway } from '../../gateway-api.ts'
import { createLog } from '../../observe/log.ts'
import { GATEWAY_OPTIONS } from '../../options/gateway.ts'
import { watchFaults } from '../faults.ts'
import { cannotListen } from '../listen-error.ts'
import { loadApps } from '../load-app.ts'
import { BY_SIGNAL } from '../signals.ts'
import type { CommandLine } from '../usage.ts'
import { acceptGateOf } from './accept-gate.ts'
import { MEMORY, ORDERS, type SupervisorSide, type WorkerOrders, type WorkerStart } from './protocol.ts'

/** How often a worker reports its vitals, in milliseconds. */
const VITALS_EVERY = 1000

/** Serves apps as one of several processes, until the supervisor stops it. */
export async function work(line: CommandLine, start: WorkerStart, drain: number): Promise<number> {
  // A terminal signals all of its processes. Only the supervisor reacts.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {})
  const { host, options } = line
  const { id, port, level, shares } = start
  const log = createLog()
  const report = (error: unknown) => log({ type: 'failed', where: 'worker', error })
  const { promise: leaving, resolve: leave } = Promise.withResolvers<{ within: number; handover: boolean }>()
  watchFaults(log, () => leave({ within: drain, handover: true }))

  const apps = await loadApps(line.apps)
  const answers: WorkerOrders = {
    level: (level) => gateway.level.set(level, BY_SIGNAL),
    leave: (within, handover) => leave({ within, handover }),
    open: () => void gate.open(),
  }
  const carrier = processPort(process, ORDERS)
  const supervisor: IpcRpc<SupervisorSide> = openIpcRpc({
    ...{ carrier, answers, clock: systemClock, deadline: 1000, peer: 'the primary', report },
  })
  const most = options.connections ?? GATEWAY_OPTIONS.connections.default
  const gate = acceptGateOf({ accept: (open) => gateway.accept(open), supervisor, most, report })
  const fleet = { id, view: () => supervisor.request('fleet', []) }
  const gateway = createGateway({
    ...options,
    apps,
    observe: (event) => {
      log(event)
      gate.observe(event)
    },
    worker: { carrier: shares ? processPort(process, MEMORY) : undefined, fleet },
  })
  gateway.level.set(level, 'same level as the other workers')
  try {
    const urls = await gateway.listen({ port, host })
    supervisor.notify('listening', [apps.map(({ name }, index) => ({ app: name, url: urls[index] ?? '' }))])
  } catch (error) {
    await supervisor.request('failed', [cannotListen(error, host), isTaken(error)])
    return 1
  }
  const vitalsTimer = setInterval(() => void sendVitals(gateway, supervisor).catch(report), VITALS_EVERY)
  // A worker that an operator stops drains as if it were replaced. The supervisor starts another one.
  void once(process, 'SIGTERM').then(() => leave({ within: drain, handover: true }))
  const { within, handover } = await leaving
  gate.stop()
  await gateway.close(within, handover)
  clearInterval(vitalsTimer)
  await sendVitals(gateway, supervisor).catch(report)
  // A reply proves that the supervisor has received all earlier messages.
  await supervisor.request('fleet', []).catch(report)
  return 0
}

async function sendVitals({ metrics, troubles }: Gateway, supervisor: IpcRpc<SupervisorSide>): Promise<void> {
  const { connections } = metrics.summary
  const snapshot = metrics.snapshot()
  supervisor.notify('vitals', [
    { connections, rss: process.memoryUsage.rss(), metrics: snapshot, troubles: troubles() },
  ])
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
}
