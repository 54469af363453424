import { type Clock, systemClock } from '../../clock.ts'
import type { Backend } from '../ports.ts'
import { clusterBus } from './bus.ts'
import { clusterChannels } from './channels.ts'
import type { IpcPort } from './ipc-port.ts'
import { type IpcRpc, openIpcRpc } from './ipc-rpc.ts'
import { clusterLeases } from './leases.ts'
import { clusterLogs } from './logs.ts'
import { clusterMeters } from './meters.ts'
import type { PrimarySide, WorkerSide } from './protocol.ts'
import { clusterValues } from './values.ts'

export interface ClusterOptions {
  /** To the primary, which serves at its end (`serve.ts`). */
  readonly carrier: IpcPort
  readonly clock?: Clock
  /** Milliseconds in which every question is answered or has failed. 1,000 unless told: all share the machine, and it may be busy. */
  readonly deadline?: number
  /** Told what goes wrong in the background. */
  readonly report: (error: unknown) => void
}

/** All five ports in the memory of the primary process: the backend of the workers of one machine. */
export function clusterBackend({ carrier, clock = systemClock, deadline = 1000, report }: ClusterOptions): Backend {
  const answers: WorkerSide = {
    news(all) {
      for (const one of all) channels.hear(one)
    },
  }
  const line: IpcRpc<PrimarySide> = openIpcRpc({ carrier, answers, clock, deadline, peer: 'the primary', report })
  const channels = clusterChannels(line)
  const values = clusterValues(line)
  return {
    values,
    leases: clusterLeases(line),
    meters: clusterMeters(line, clock),
    bus: clusterBus({ line, channels, values, report }),
    logs: clusterLogs({ line, channels, report }),
    close: async () => {},
  }
}
