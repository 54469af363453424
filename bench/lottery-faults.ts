/**
 * What players of the lottery see while the node fails for a minute, and whether the book is right afterwards: somebody enters every half second,
 * also meanwhile. `node bench/lottery-faults.ts [SECONDS]`
 */
import { setTimeout as pause } from 'node:timers/promises'
import { compareVersions, parseVersion } from '@weir/protocol'
import { serve, type World, world } from '../apps/lottery/test/served.ts'
import type { Solana } from '../packages/simulators/src/solana/index.ts'
import { head, row } from './prices.ts'

const seconds = Number(process.argv[2] ?? 60)

type Fault = Parameters<Solana['fault']>[0]

const FAULTS: readonly (readonly [what: string, fault: Fault])[] = [
  ['drops its WebSocket', { kind: 'socket-drop', for: seconds * 1000 }],
  ['falls 200 slots behind', { kind: 'behind', slots: 200, for: seconds * 1000 }],
  ['refuses batches', { kind: 'batch-refused', for: seconds * 1000 }],
  ['answers 429', { kind: '429', for: seconds * 1000 }],
]

head(
  'the node',
  'answers',
  'of these 200',
  'the oldest state told, s',
  'versions that went back',
  'right again after, s',
  'players on the chain',
  'in the app',
  'transactions in the book, twice',
  'calls refused by its limits',
)
for (const [what, fault] of FAULTS) {
  await using here = await world({ players: 500, entries: 50 })
  await measure(here, what, fault)
}

async function measure({ solana, lottery, environment }: World, what: string, fault: Fault): Promise<void> {
  await using site = await serve(environment)
  const state = async () => {
    const answer = await fetch(`${site.url}/api/state`)
    return { answer, said: (await answer.json()) as { readonly participants: number; readonly lastUpdate: number } }
  }
  const right = async () => (await state()).said.participants === lottery.entrants.length
  const socket = new WebSocket(`${site.url.replace(/^http/, 'ws')}/ws`)
  while (!(await right())) await pause(200)
  // So that there are 200 slots to fall behind.
  if (fault.kind === 'behind') await pause(80_000)
  solana.fault(fault)
  const until = Date.now() + seconds * 1000
  let [answers, good, oldest, back] = [0, 0, 0, 0]
  let version = parseVersion('1:0')
  for (let turn = 0; Date.now() < until; turn++) {
    if (turn % 5 === 0) lottery.enterAnyone()
    const { answer, said } = await state()
    answers += 1
    if (answer.ok) {
      good += 1
      oldest = Math.max(oldest, Date.now() - said.lastUpdate)
      const next = parseVersion(answer.headers.get('weir-version') ?? '')
      if (version !== undefined && next !== undefined && compareVersions(next, version) < 0) back += 1
      version = next
    }
    await pause(100)
  }
  const over = Date.now()
  while (!(await right())) await pause(50)
  const took = Date.now() - over
  const { events } = (await (await fetch(`${site.url}/api/lottery/history`)).json()) as {
    readonly events: readonly { readonly event: { readonly signature: string } }[]
  }
  const signatures = events.map(({ event }) => event.signature)
  row(
    ...[what, answers, `${((good / answers) * 100).toFixed(2)} %`, (oldest / 1000).toFixed(1), back],
    ...[(took / 1000).toFixed(1), lottery.entrants.length, (await state()).said.participants],
    signatures.length - new Set(signatures).size,
    solana.stats().refused,
  )
  socket.close()
}
