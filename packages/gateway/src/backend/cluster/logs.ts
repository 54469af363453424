import type { LogLine, Logs } from '../ports.ts'
import { subscriptions } from '../subscriptions.ts'
import type { ClusterChannels } from './channels.ts'
import type { IpcRpc } from './ipc-rpc.ts'
import { kept, type PrimarySide } from './protocol.ts'

export interface ClusterLogsParts {
  readonly line: IpcRpc<PrimarySide>
  readonly channels: ClusterChannels
  readonly report: (error: unknown) => void
}

/** Histories in the primary's memory, for all workers. */
export function clusterLogs({ line, channels, report }: ClusterLogsParts): Logs {
  const read: Logs['read'] = async (log, after, most) => {
    const history = await line.request('history', [log, after, most])
    return { ...history, events: history.events.map(keptLine) }
  }

  /** The last event: one that was missed shows by it, also when the log has fallen silent. */
  async function latest(log: string): Promise<LogLine | undefined> {
    const { newest } = await read(log, 0, 0)
    return (await read(log, newest - 1, 1)).events[0]
  }

  return {
    append: (log, event, bounds) => line.request('append', [log, event, bounds]),
    appendAfter: (log, after, event, bounds) => line.request('appendAfter', [log, after, event, bounds]),
    read,
    subscribe: subscriptions({
      channels: channels.of('lines'),
      channelOf: (log) => log,
      read: keptLine,
      catchUp: latest,
      report,
    }),
  }
}

function keptLine({ epoch, offset, at, event }: LogLine): LogLine {
  return { epoch, offset, at, event: kept(event) }
}
