import type { IpcRpc } from '../../backend/cluster/ipc-rpc.ts'
import type { Emit } from '../../events.ts'
import type { SupervisorSide } from './protocol.ts'

export interface AcceptGateParts {
  readonly accept: (open: boolean) => Promise<void>
  readonly supervisor: IpcRpc<SupervisorSide>
  /** The most live connections. */
  readonly most: number
  readonly report: (error: unknown) => void
}

/** Whether a worker takes new connections. */
export interface AcceptGate {
  readonly observe: Emit
  /** Takes them, full or not. */
  open(): Promise<void>
  /** Leaves it as it is from now on. */
  shut(): void
}

/** Of the most connections, the part at which it is as good as full: some come before it has stopped. And that at which there is room. */
const FULL = 0.95
const ROOM = 0.9

/** A full one that nobody can stand in for asks again after so long, in milliseconds; so does one that could not open. */
const AGAIN = 250

/**
 * The system hands new connections to whichever worker is awake, also to one that is full while others have room. So a full one stops
 * to take any, as long as another does.
 */
export function acceptGateOf({ accept, supervisor, most, report }: AcceptGateParts): AcceptGate {
  let connections = 0
  let isOpen = true
  let moving = false
  let done = false
  let again: NodeJS.Timeout | undefined

  async function look(): Promise<void> {
    const wanted = connections < most * (isOpen ? FULL : ROOM)
    if (moving || done || wanted === isOpen) return
    moving = true
    try {
      if (wanted) await open()
      else if (await supervisor.request('full', [])) {
        await accept(false)
        isOpen = false
      } else lookAgain()
    } catch (error) {
      report(error)
      lookAgain()
    } finally {
      moving = false
    }
  }

  async function open(): Promise<void> {
    if (done) return
    await accept(true)
    isOpen = true
    supervisor.notify('room', [])
  }

  function lookAgain(): void {
    clearTimeout(again)
    again = setTimeout(() => void look(), AGAIN).unref()
  }

  return {
    observe({ type }) {
      if (type !== 'hub.joined' && type !== 'hub.left') return
      connections += type === 'hub.joined' ? 1 : -1
      void look()
    },
    open: () => open().catch(report),
    shut() {
      done = true
      clearTimeout(again)
    },
  }
}
