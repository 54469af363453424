import type { IpcRpc } from '../../backend/cluster/ipc-rpc.ts'
import type { Emit } from '../../events.ts'
import type { SupervisorSide } from './protocol.ts'

export interface AcceptGateParts {
  readonly accept: (open: boolean) => Promise<void>
  readonly supervisor: IpcRpc<SupervisorSide>
  /** Limit of live connections. */
  readonly most: number
  readonly report: (error: unknown) => void
}

/** Whether a worker takes new connections. */
export interface AcceptGate {
  readonly observe: Emit
  /** Accepts connections, even above the limit. */
  open(): Promise<void>
  /** Makes no further changes. */
  stop(): void
}

/** Share of the limit at which a worker counts as full, since some connections arrive before it has stopped accepting. */
const FULL = 0.95

/** Share of the limit below which it accepts retry. */
const ROOM = 0.9

/** Pause before another try, after no other worker could take over or accepting failed, in milliseconds. */
const RETRY_AFTER = 250

/**
 * The system hands new connections to any worker that is awake, even to a full one. A full worker therefore stops accepting while
 * another worker accepts.
 */
export function acceptGateOf({ accept, supervisor, most, report }: AcceptGateParts): AcceptGate {
  let connections = 0
  let isOpen = true
  let updating = false
  let stopped = false
  let retry: NodeJS.Timeout | undefined

  async function update(): Promise<void> {
    const wanted = connections < most * (isOpen ? FULL : ROOM)
    if (updating || stopped || wanted === isOpen) return
    updating = true
    try {
      if (wanted) await open()
      else if (await supervisor.request('full', [])) {
        await accept(false)
        isOpen = false
      } else updateLater()
    } catch (error) {
      report(error)
      updateLater()
    } finally {
      updating = false
    }
  }

  async function open(): Promise<void> {
    if (stopped) return
    await accept(true)
    isOpen = true
    supervisor.notify('room', [])
  }

  function updateLater(): void {
    clearTimeout(retry)
    retry = setTimeout(() => void update(), RETRY_AFTER).unref()
  }

  return {
    observe({ type }) {
      if (type !== 'hub.joined' && type !== 'hub.left') return
      connections += type === 'hub.joined' ? 1 : -1
      void update()
    },
    open: () => open().catch(report),
    stop() {
      stopped = true
      clearTimeout(retry)
    },
  }
}
