/** An error of JSON-RPC 2.0 (5.1), as Agave words it; it goes out with HTTP status 200. */
export class RpcError extends Error {
  readonly code: number
  readonly data: unknown

  constructor(code: number, message: string, data?: unknown) {
    super(message)
    this.code = code
    this.data = data
  }

  toJSON(): unknown {
    return { code: this.code, message: this.message, ...(this.data !== undefined && { data: this.data }) }
  }
}

export const parseError = () => new RpcError(-32700, 'Parse error')
export const invalidRequest = () => new RpcError(-32600, 'Invalid request')
export const methodNotFound = () => new RpcError(-32601, 'Method not found')
export const invalidParams = (message: string) => new RpcError(-32602, message)
export const nodeUnhealthy = () => new RpcError(-32005, 'Node is unhealthy', { numSlotsBehind: null })
export const nodeBehind = (slots: number) =>
  new RpcError(-32005, `Node is behind by ${slots} slots`, { numSlotsBehind: slots })
export const slotNotReached = (slot: number) =>
  new RpcError(-32016, 'Minimum context slot has not been reached', { contextSlot: slot })
