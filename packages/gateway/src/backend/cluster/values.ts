import type { Stored } from '../../entry.ts'
import type { Values } from '../ports.ts'
import type { IpcRpc } from './ipc-rpc.ts'
import { keptContent, type PrimarySide } from './protocol.ts'

/** The latest contents in the primary's memory, for all workers. */
export function clusterValues(line: IpcRpc<PrimarySide>): Values {
  /** A herd that reads one topic asks once. */
  const reading = new Map<string, Promise<Stored | undefined>>()

  let lineage: string | undefined
  line.request('lineage', []).then(
    (known) => {
      lineage = known
    },
    // The primary is gone, and this worker ends.
    () => {},
  )

  async function read(topic: string): Promise<Stored | undefined> {
    const stored = await line.request('read', [topic])
    return stored && keptContent(stored)
  }

  return {
    get lineage() {
      return lineage
    },

    read(topic) {
      const known = reading.get(topic)
      if (known !== undefined) return known
      const one = read(topic).finally(() => reading.delete(topic))
      reading.set(topic, one)
      return one
    },

    async publish(topic, publication) {
      const stored = await line.request('publish', [topic, publication])
      return stored && keptContent(stored)
    },

    expire: (topic) => line.request('expire', [topic]),
  }
}
