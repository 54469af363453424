/**
 * A million random and mutated inputs, on WebSockets and over HTTP: `node bench/fuzz.ts [INPUTS] [SEED]`.
 *
 * The gateway is a process of its own. It must outlive them, end every connection, and be as large after the last tenth as it was after
 * the first.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createGateway } from '@weir/gateway'
import still from '../packages/gateway/test/fixtures/still.ts'
import { fuzz } from '../packages/gateway/test/fuzz.ts'

const TENTHS = 10

if (process.argv[2] === 'serve') await serve()
else await attack(Number(process.argv[2] ?? 1_000_000), Number(process.argv[3] ?? 1))

async function attack(inputs: number, seed: number): Promise<void> {
  process.stdout.write(`Node ${process.versions.node}, ${inputs.toLocaleString('en')} inputs, seed ${seed}\n\n`)
  const server = fork(import.meta.filename, ['serve'], { execArgv: ['--expose-gc', '--max-semi-space-size=4'] })
  const gone = once(server, 'exit').then(() => {
    throw new Error('the gateway ended')
  })
  const sum: Record<string, number> = {}
  try {
    const [port]: number[] = await once(server, 'message')
    for (let tenth = 0; tenth < TENTHS; tenth += 1) {
      const run = fuzz(`http://127.0.0.1:${port}`, seed * TENTHS + tenth, inputs / TENTHS)
      const { endings, hung, unanswered } = await Promise.race([run, gone])
      for (const [ending, count] of Object.entries(endings)) sum[ending] = (sum[ending] ?? 0) + count
      const state = await stateOf(server)
      process.stdout.write(
        `${tenth + 1} of ${TENTHS}: hung ${hung.length}, unanswered ${unanswered.length}, failures ${state.failures.length}, ` +
          `connections ${state.connections}, heap ${state.heap} MB, external ${state.external} MB, resident ${state.resident} MB\n`,
      )
      for (const what of [...hung, ...unanswered, ...state.failures].slice(0, 3)) process.stdout.write(`  ${what}\n`)
    }
    const endings = Object.entries(sum).sort(([, a], [, b]) => b - a)
    process.stdout.write(`\nEndings: ${endings.map(([ending, count]) => `${ending} ${count}`).join(', ')}\n`)
  } finally {
    gone.catch(() => {})
    server.kill()
  }
}

interface State {
  readonly failures: readonly string[]
  readonly connections: number
  readonly heap: string
  readonly external: string
  readonly resident: string
}

async function stateOf(server: ChildProcess): Promise<State> {
  server.send('state')
  const [state]: State[] = await once(server, 'message')
  if (state === undefined) throw new Error('expected the state of the gateway')
  return state
}

async function serve(): Promise<void> {
  const failures: string[] = []
  const gateway = createGateway({
    apps: [still],
    observe(event) {
      if (event.type === 'failed') failures.push(`${event.where}: ${event.error}`)
    },
  })
  const [url] = await gateway.listen({ port: 0 })
  process.on('message', async () => {
    // What was just closed is let go of in a moment.
    await new Promise((resolve) => setTimeout(resolve, 2000))
    globalThis.gc?.()
    const { heapUsed, external: outside, rss } = process.memoryUsage()
    const [heap, external, resident] = [heapUsed, outside, rss].map((bytes) => (bytes / 1024 ** 2).toFixed(1))
    process.send?.({ failures, connections: gateway.metrics.summary.connections, heap, external, resident })
  })
  process.once('disconnect', () => process.exit())
  process.send?.(Number(new URL(url ?? '').port))
}
