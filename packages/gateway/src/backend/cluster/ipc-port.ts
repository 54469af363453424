/** Carries messages to one other process, whole and in order, until one of the two is gone. */
export interface IpcPort {
  /** Hands a message over. `taken` is called when the system has it: not before the other side has read most of what went before. */
  post(message: unknown, taken: () => void): void
  onMessage(listener: (message: unknown) => void): void
  /** Called when the other side is gone. */
  onClose(listener: () => void): void
}

/** A process with a channel to this one: its parent's side is `process`, its child's a `ChildProcess`. */
interface Peer {
  send?(message: unknown, handle: undefined, options: undefined, callback: (error: Error | null) => void): boolean
  on(event: 'message', listener: (message: unknown) => void): unknown
  once(event: 'disconnect', listener: () => void): unknown
}

/**
 * One of several carriers over the channel between a process and its child, which should serialize as `advanced`: bytes stay bytes.
 * `part`: which of them; messages of others, and Node's own, are passed by.
 */
export function processPort(peer: Peer, part: string): IpcPort {
  return {
    post(message, taken) {
      // A channel that is closed says so by itself: what can't be handed over any more needs no error of its own.
      peer.send?.({ part, message }, undefined, undefined, () => taken())
    },
    onMessage(listener) {
      peer.on('message', (envelope) => {
        if (isEnvelope(envelope) && envelope.part === part) listener(envelope.message)
      })
    },
    onClose(listener) {
      peer.once('disconnect', listener)
    },
  }
}

interface Envelope {
  readonly part: string
  readonly message: unknown
}

function isEnvelope(value: unknown): value is Envelope {
  return typeof value === 'object' && value !== null && 'part' in value && 'message' in value
}
