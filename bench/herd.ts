/**
 * Ten thousand who want one value at once: what it costs the upstream, and how long after the origin's answer each has it.
 * `node bench/herd.ts [WAITERS]`
 *
 * The upstream is a real HTTP server that answers after 200 ms, when all who wait have come; it counts the calls, and notes the
 * moment of each answer on the clock that the waiters read.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGateway, defineApp, feed, http } from '@weir/gateway'
import { z } from 'zod'

const waiters = Number(process.argv[2] ?? 10_000)
const ORIGIN = 200

/** Herds that are measured, after those in which the code warms up. */
const ROUNDS = 15
const WARM_UP = 5

interface Case {
  readonly name: string
  /** The status the origin answers. */
  readonly status: number
  /** Milliseconds that it takes. */
  readonly takes: number
  readonly fresh: '0ms' | '10s'
}

const CASES: readonly Case[] = [
  { name: 'cold', status: 200, takes: ORIGIN, fresh: '10s' },
  { name: 'failing', status: 404, takes: ORIGIN, fresh: '10s' },
  { name: 'uncacheable', status: 200, takes: ORIGIN, fresh: '0ms' },
  { name: 'slow', status: 200, takes: 1000, fresh: '10s' },
]

process.stdout.write(`Node ${process.versions.node}, ${waiters.toLocaleString('en')} waiters\n\n`)
process.stdout.write('| case | calls a herd | median waiter | last waiter | slowest herd |\n')
process.stdout.write('| :--- | -----------: | ------------: | ----------: | -----------: |\n')
for (const one of CASES) await measure(one)

/** One upstream and one gateway; each round is a herd on a key of its own. */
async function measure({ name, status, takes, fresh }: Case): Promise<void> {
  let calls = 0
  let answeredAt = 0
  const server = createServer((_request, response) => {
    calls += 1
    setTimeout(() => {
      answeredAt = performance.now()
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"price":1}')
    }, takes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const value = feed('/values/:id', {
    name: 'value',
    key: { id: z.string() },
    value: z.object({ price: z.number() }),
    from: http({ name: 'origin', url: `http://127.0.0.1:${port}`, pastUsage: 'none', retries: 0 }),
    load: { one: ({ id }, call) => call.get(`/${id}`) as Promise<{ price: number }> },
    fresh,
    stale: '0ms',
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'herd', use: [value] })] })
  const rounds: { readonly middle: number; readonly last: number }[] = []
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    const after: number[] = []
    const note = () => {
      after.push(performance.now() - answeredAt)
    }
    const id = `key${round}`
    await Promise.all(Array.from({ length: waiters }, () => value.get({ id }).then(note, note)))
    if (after.length !== waiters) throw new Error(`expected ${waiters} answers, got ${after.length}`)
    if (round >= WARM_UP) rounds.push({ middle: after[waiters >> 1] ?? 0, last: after[waiters - 1] ?? 0 })
  }
  await gateway.close(100)
  server.closeAllConnections()
  server.close()
  const cells = [
    name,
    (calls / (WARM_UP + ROUNDS)).toFixed(0),
    `${median(rounds.map(({ middle }) => middle)).toFixed(1)} ms`,
    `${median(rounds.map(({ last }) => last)).toFixed(1)} ms`,
    `${Math.max(...rounds.map(({ last }) => last)).toFixed(1)} ms`,
  ]
  process.stdout.write(`| ${cells.join(' | ')} |\n`)
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0
}
