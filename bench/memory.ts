/**
 * What an idle subscriber costs the gateway in memory, of server-sent events or on a WebSocket. `node bench/memory.ts [sse|ws]`.
 *
 * Each row is a gateway in a fresh process, and its clients on bare sockets in another. Memory is taken after collection,
 * less that of the same process before the first client came.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createGateway } from '@weir/gateway'
import { Crowd } from '../packages/gateway/test/crowd.ts'
import still from '../packages/gateway/test/fixtures/still.ts'

const SUBSCRIBERS = [2000, 8000]
const PACES: readonly (readonly [name: string, perSecond: number | undefined])[] = [
  ['2,000 a second', 2000],
  ['all at once', undefined],
]

/** How a subscriber comes. */
const FORMS = {
  sse: { path: '/values/a?as=sse' },
  ws: { path: '/weir/ws', topic: '/values/a' },
}
type Form = keyof typeof FORMS

interface Memory {
  readonly rss: number
  readonly heapUsed: number
  /** Buffers and what else Node holds outside of V8's heap. */
  readonly external: number
}

if (process.argv[2] === 'serve') await serve()
else await compare(process.argv[2] === 'ws' ? 'ws' : 'sse')

async function compare(form: Form): Promise<void> {
  process.stdout.write(`Node ${process.versions.node}, ${process.platform} ${process.arch}, ${form}\n\n`)
  process.stdout.write(
    '| subscribers | they come | resident each | heap each | external each | process before | with them |\n',
  )
  process.stdout.write(
    '| ----------: | :-------- | ------------: | --------: | ------------: | -------------: | --------: |\n',
  )
  for (const count of SUBSCRIBERS) {
    for (const [name, perSecond] of PACES) {
      const { before, after } = await measure(form, count, perSecond)
      const each = (field: keyof Memory) => `${((after[field] - before[field]) / count / 1024).toFixed(1)} KB`
      const whole = ({ rss }: Memory) => `${(rss / 1024 ** 2).toFixed(0)} MB`
      const cells = [count.toLocaleString('en'), name, each('rss'), each('heapUsed'), each('external')]
      process.stdout.write(`| ${[...cells, whole(before), whole(after)].join(' | ')} |\n`)
    }
  }
}

async function measure(
  form: Form,
  count: number,
  perSecond: number | undefined,
): Promise<{ before: Memory; after: Memory }> {
  const server = fork(import.meta.filename, ['serve'], { execArgv: ['--expose-gc', '--max-semi-space-size=4'] })
  try {
    const [port]: number[] = await once(server, 'message')
    if (port === undefined) throw new Error('expected the port of the gateway')
    // One subscriber has come and gone, so that code and buffers that are there once are not counted as theirs.
    await using first = new Crowd()
    await first.tell({ kind: 'join', port, ...FORMS[form], count: 1 })
    await first.kill()
    const before = await memoryOf(server)
    await using crowd = new Crowd()
    const joined = await crowd.tell({
      kind: 'join',
      port,
      ...FORMS[form],
      count,
      ...(perSecond === undefined ? {} : { perSecond }),
    })
    if (joined.connected !== count) throw new Error(`expected ${count} subscribers, got ${joined.connected}`)
    return { before, after: await memoryOf(server) }
  } finally {
    server.kill()
    await once(server, 'exit')
  }
}

async function memoryOf(server: ChildProcess): Promise<Memory> {
  server.send('measure')
  const [memory]: Memory[] = await once(server, 'message')
  if (memory === undefined) throw new Error('expected the memory of the gateway')
  return memory
}

/** A gateway with one value that never changes, so that its subscribers are idle. */
async function serve(): Promise<void> {
  const gateway = createGateway({ apps: [still] })
  const [url] = await gateway.listen({ port: 0 })
  process.on('message', async () => process.send?.(await collected()))
  process.once('disconnect', () => process.exit())
  process.send?.(Number(new URL(url ?? '').port))
}

/** Memory once several collections in a row have freed no more: some of what is let go takes more than one. */
async function collected(): Promise<Memory> {
  const { gc } = globalThis
  if (gc === undefined) throw new Error('expected --expose-gc')
  let least = Number.POSITIVE_INFINITY
  for (let still = 0; still < 3; ) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    gc()
    const { heapUsed } = process.memoryUsage()
    still = heapUsed < least - 16_384 ? 0 : still + 1
    least = Math.min(least, heapUsed)
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heapUsed, external }
}
