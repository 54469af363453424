import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One call as it came. */
export interface RpcCall {
  readonly id: number
  readonly method: string
  readonly params: readonly unknown[]
}

/** A real JSON-RPC server that takes what the specification allows and nothing else, and counts. */
export interface RpcNode extends AsyncDisposable {
  readonly url: string
  /** Every call, in the order it came. */
  readonly calls: RpcCall[]
  /** The paths and queries that were asked. */
  readonly paths: Set<string>
  /** How many calls each request brought; 0 for one that was no array. */
  readonly arrays: number[]
  readonly connections: number
  /** The most calls that were under way at once. */
  readonly most: number
  /** What it says to a call, as JSON text; by default a result that repeats method and parameters. */
  answer: (call: RpcCall, response: ServerResponse) => string | undefined
  /** What it does with an array: by default it answers each of its calls. */
  answerAll: (calls: readonly RpcCall[], response: ServerResponse) => string | undefined
}

export function result(id: unknown, value: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', result: value, id })
}

export function failure(id: unknown, code: number, message: string, data?: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', error: { code, message, data }, id })
}

export async function rpcNode(): Promise<RpcNode> {
  let connections = 0
  let underWay = 0
  let most = 0
  const server = createServer((request, response) => {
    underWay += 1
    most = Math.max(most, underWay)
    response.on('close', () => {
      underWay -= 1
    })
    node.paths.add(request.url ?? '')
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const said: unknown = JSON.parse(Buffer.concat(chunks).toString())
      const calls = [said].flat() as RpcCall[]
      const strict =
        request.method === 'POST' &&
        request.headers['content-type'] === 'application/json' &&
        calls.length > 0 &&
        calls.every(
          (call) =>
            Object.keys(call).sort().join() === 'id,jsonrpc,method,params' &&
            Number.isSafeInteger(call.id) &&
            typeof call.method === 'string' &&
            Array.isArray(call.params),
        ) &&
        new Set(calls.map(({ id }) => id)).size === calls.length
      response.setHeader('content-type', 'application/json; charset=utf-8')
      if (!strict) return response.writeHead(400).end(failure(null, -32600, 'Invalid request'))
      node.calls.push(...calls)
      node.arrays.push(Array.isArray(said) ? calls.length : 0)
      const [first] = calls
      const text = Array.isArray(said) ? node.answerAll(calls, response) : first && node.answer(first, response)
      if (text !== undefined) response.end(text)
      return undefined
    })
  })
  server.on('connection', () => {
    connections += 1
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const node: RpcNode = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    paths: new Set(),
    arrays: [],
    get connections() {
      return connections
    },
    get most() {
      return most
    },
    answer: ({ id, method, params }) => result(id, { method, params }),
    answerAll: (calls, response) => `[${calls.map((call) => node.answer(call, response)).join()}]`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return node
}
