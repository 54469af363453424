/**
 * What a call of JSON-RPC costs that memory answers, beside a GET of the same value.
 * `node bench/rpc.ts [CALLS] [BYTES]`
 *
 * The gateway is a process of its own, and its CPU is what the system counts for it. In turns, 32 connections ask by GET and by POST, each
 * POST with an id of its own.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGateway, defineApp, jsonRpc, rpc } from '../packages/gateway/src/index.ts'

const [calls = 2000, bytes = 200] = process.argv.slice(2).map(Number)
const ROUNDS = 41
const WARMING = 5
const CONNECTIONS = 32
const PARAMS = ['So11111111111111111111111111111111111111112', { commitment: 'confirmed', encoding: 'base64' }]

if (process.send === undefined) await compare()
else await serve()

/** In the child: a node that gives an account, and the gateway before it, which says its CPU when it is asked. */
async function serve(): Promise<void> {
  const data = Buffer.alloc(bytes, 'weir').toString('base64')
  const value = `{"lamports":1,"owner":"1","data":["${data}","base64"],"executable":false,"rentEpoch":18446744073709551615,"space":${bytes}}`
  const node = createServer((request, response) => {
    request.setEncoding('utf8').on('data', (text) => {
      const { id } = JSON.parse(text)
      response.setHeader('content-type', 'application/json')
      response.end(`{"jsonrpc":"2.0","result":{"context":{"slot":341197053},"value":${value}},"id":${id}}`)
    })
  }).listen(0, '127.0.0.1')
  await once(node, 'listening')
  const url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
  const to = jsonRpc({ name: 'node', url, pastUsage: 'none' })
  const app = defineApp({ name: 'bench', use: [rpc('/rpc', { to, methods: { getAccountInfo: { fresh: '1h' } } })] })
  const [address] = await createGateway({ apps: [app] }).listen({ port: 0 })
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.(user + system)
  })
  process.send?.(address)
}

async function compare(): Promise<void> {
  const gateway = fork(import.meta.filename, process.argv.slice(2), { execArgv: ['--max-semi-space-size=4'] })
  const said = async (): Promise<unknown> => (await once(gateway, 'message'))[0]
  const url = String(await said())
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const cpu = (): Promise<unknown> => {
    gateway.send('cpu')
    return said()
  }
  const forms = { GET: [] as number[], POST: [] as number[] }
  try {
    for (let round = 0; round <= WARMING + ROUNDS; round++) {
      for (const form of ['GET', 'POST'] as const) {
        const before = Number(await cpu())
        let left = calls
        await Promise.all(
          Array.from({ length: CONNECTIONS }, async () => {
            while (left > 0) await ask(url, agent, form, left--)
          }),
        )
        // The first few are for warming up.
        if (round > WARMING) forms[form].push((Number(await cpu()) - before) / calls)
      }
    }
  } finally {
    gateway.kill()
    agent.destroy()
  }
  process.stdout.write('| form | gateway CPU per call, µs (median) | least | most |\n| :-- | --: | --: | --: |\n')
  for (const [form, took] of Object.entries(forms)) {
    took.sort((a, b) => a - b)
    const shown = [took[ROUNDS >> 1], took[0], took.at(-1)].map((micros) => micros?.toFixed(1)).join(' | ')
    process.stdout.write(`| ${form} | ${shown} |\n`)
  }
}

function ask(url: string, agent: Agent, method: 'GET' | 'POST', id: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const params = JSON.stringify(PARAMS)
  const path = method === 'GET' ? `/rpc/getAccountInfo?params=${encodeURIComponent(params)}` : '/rpc'
  const headers = { 'content-type': 'application/json' }
  const asked = request(url + path, { agent, method, headers }, (answer) => {
    if (answer.statusCode !== 200) reject(new Error(`answered ${answer.statusCode}`))
    answer.resume().on('end', resolve)
  })
  asked.on('error', reject)
  asked.end(method === 'GET' ? undefined : `{"jsonrpc":"2.0","id":${id},"method":"getAccountInfo","params":${params}}`)
  return promise
}
