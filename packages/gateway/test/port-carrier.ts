import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { IpcPort } from '../src/backend/cluster/ipc-port.ts'

/** Two carriers, each the other's other end, inside one process: what they carry is copied as between processes. */
export function portCarriers(): readonly [IpcPort, IpcPort] & Disposable {
  const { port1, port2 } = new MessageChannel()
  return Object.assign([carrierOf(port1), carrierOf(port2)] as const, { [Symbol.dispose]: () => port1.close() })
}

function carrierOf(port: MessagePort): IpcPort {
  return {
    post(message, taken) {
      port.postMessage(message)
      setImmediate(taken)
    },
    onMessage: (listener) => void port.on('message', listener),
    onClose: (listener) => void port.once('close', listener),
  }
}
