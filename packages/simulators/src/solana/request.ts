import { invalidRequest, parseError, type RpcError } from './rpc-error.ts'

/** One call of JSON-RPC 2.0, or why it is none. */
export interface RpcCall {
  /** Undefined for a notification, which is not answered. */
  readonly id: unknown
  readonly method: string
  readonly params: unknown
  readonly error?: RpcError
}

export interface RpcRequest {
  /** An array came, and an array goes back. */
  readonly batch: boolean
  readonly calls: readonly RpcCall[]
}

/** Reads a body: one call, or a batch. What can't be read is one call with an error and the id null. */
export function readRequest(body: string): RpcRequest {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return { batch: false, calls: [failed(parseError())] }
  }
  if (!Array.isArray(value)) return { batch: false, calls: [readCall(value)] }
  if (value.length === 0) return { batch: false, calls: [failed(invalidRequest())] }
  return { batch: true, calls: value.map(readCall) }
}

function readCall(value: unknown): RpcCall {
  if (typeof value !== 'object' || value === null) return failed(invalidRequest())
  const { jsonrpc, id, method, params }: Record<string, unknown> = { ...value }
  if (jsonrpc !== '2.0' || typeof method !== 'string') return failed(invalidRequest())
  return { id, method, params }
}

function failed(error: RpcError): RpcCall {
  return { id: null, method: '', params: undefined, error }
}
