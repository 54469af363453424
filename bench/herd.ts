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
process.stdout.write('| case | calls | answered | median after the origin | 99 % | last |\n')
process.stdout.write('| :--- | ----: | -------: | ----------------------: | ---: | ---: |\n')
for (const one of CASES) await measure({ ...one, name: `${one.name} (warming up)` }, false)
for (const one of CASES) await measure(one, true)

async function measure({ name, status, takes, fresh }: Case, shown: boolean): Promise<void> {
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
    from: http({ name: 'origin', url: `http://127.0.0.1:${port}`, past: 'none', retries: 0 }),
    load: { one: ({ id }, call) => call.get(`/${id}`) as Promise<{ price: number }> },
    fresh,
    stale: '0ms',
  })
  const gateway = createGateway({ apps: [defineApp({ name: 'herd', use: [value] })] })
  const after: number[] = []
  const note = () => {
    after.push(performance.now() - answeredAt)
  }
  await Promise.all(Array.from({ length: waiters }, () => value.get({ id: 'a' }).then(note, note)))
  await gateway.close(100)
  server.closeAllConnections()
  server.close()
  after.sort((a, b) => a - b)
  const at = (share: number) =>
    `${(after[Math.min(after.length - 1, Math.floor(after.length * share))] ?? 0).toFixed(1)} ms`
  const cells = [name, calls, after.length.toLocaleString('en'), at(0.5), at(0.99), at(1)]
  if (shown) process.stdout.write(`| ${cells.join(' | ')} |\n`)
}
