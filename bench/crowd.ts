/**
 * What a crowd costs the upstream: the prices app on the strict simulator, with one client and with thousands.
 * `node bench/crowd.ts [CLIENTS] [SECONDS]`
 */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { Crowd } from '../packages/gateway/test/crowd.ts'
import { run, weir } from '../scripts/running.ts'

const MINTS = [
  'So11111111111111111111111111111111111111112',
  'JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN',
  'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263',
  'EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm',
]
const clients = Number(process.argv[2] ?? 2000)
const seconds = Number(process.argv[3] ?? 30)

interface Stats {
  readonly asked: number
  readonly refused: number
  readonly mostIn1s: number
}

process.stdout.write(`Node ${process.versions.node}, ${process.platform} ${process.arch}, ${seconds} s each\n\n`)
process.stdout.write(
  '| clients | upstream calls a minute | refused | most in 1 s | prices delivered a second | gateway CPU |\n',
)
process.stdout.write(
  '| ------: | ----------------------: | ------: | ----------: | ------------------------: | ----------: |\n',
)
for (const count of [1, clients]) await measure(count)

async function measure(count: number): Promise<void> {
  await using jupiter = run(['packages/simulators/src/main.ts', 'jupiter', '--strict', '--key', 'jup_bench=weir'])
  const upstream = (await jupiter.says(/"url":"([^"]+)"/))[1] ?? ''
  await using gateway = weir(['start', 'apps/prices', '--port', '0'], {
    JUPITER_URL: upstream,
    JUPITER_API_KEYS: 'jup_bench',
  })
  const site = (await gateway.says(/^prices +(\S+)$/m))[1] ?? ''
  await using crowd = new Crowd()
  const path = `/api/stream?mints=${MINTS.join()}`
  const joined = await crowd.tell({ kind: 'join', port: Number(new URL(site).port), path, count, perSecond: 2000 })
  if (joined.connected !== count) throw new Error(`expected ${count} clients, got ${joined.connected}`)
  await pause(3000)
  const [before, cpuBefore, sentBefore] = [await stats(upstream), cpu(gateway.pid), await sent(site)]
  await pause(seconds * 1000)
  const [after, cpuAfter, sentAfter] = [await stats(upstream), cpu(gateway.pid), await sent(site)]
  const cells = [
    count.toLocaleString('en'),
    (((after.asked - before.asked) * 60) / seconds).toFixed(0),
    after.refused,
    after.mostIn1s,
    Math.round((sentAfter - sentBefore) / seconds).toLocaleString('en'),
    `${(((cpuAfter - cpuBefore) / seconds) * 100).toFixed(1)} %`,
  ]
  process.stdout.write(`| ${cells.join(' | ')} |\n`)
}

async function stats(upstream: string): Promise<Stats> {
  return (await fetch(`${upstream}/__stats`)).json()
}

async function sent(site: string): Promise<number> {
  const text = await (await fetch(`${site}/metrics`)).text()
  return Number(/^weir_messages_total (\d+)/m.exec(text)?.[1] ?? 0)
}

/** Seconds of processor time that a process has used. */
function cpu(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
