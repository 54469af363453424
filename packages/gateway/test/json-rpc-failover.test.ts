import { compareVersions, parseVersion } from '@weir/protocol'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { type Solana, type SolanaFault, startSolana } from '../../simulators/src/solana/index.ts'
import { anyOf, createGateway, defineApp, feed, jsonRpc, type WeirEvent } from '../src/index.ts'

const LIMIT = 20
const KEYS = ['1', '2', '3', '4'].map((digit) => `1111111111111111111111111111111${digit}`)
const PATIENT = { timeout: 15_000, interval: 20 }

const Answer = z.object({ context: z.object({ slot: z.number() }), value: z.number() })

const start = () => startSolana({ latency: 1, jitter: 0, slotTime: 20, limits: { calls: LIMIT } })

/** A gateway before two nodes of one chain, and what a client hears of accounts whose slots move all the time. */
async function serve(nodes: readonly Solana[]) {
  const events: WeirEvent[] = []
  const upstreams = nodes.map(({ url }, index) =>
    jsonRpc({ name: `node${index}`, url, pastUsage: 'none', limits: [{ calls: LIMIT, per: '1s' }] }),
  )
  const balance = feed('/balances/:address', {
    name: 'balance',
    key: { address: z.string() },
    value: z.object({ slot: z.number() }),
    order: ({ slot }) => slot,
    from: anyOf('solana', upstreams),
    load: {
      one: async ({ address }, call) => {
        const { context } = await call('getBalance', [address, { commitment: 'processed' }], { answer: Answer })
        return { slot: context.slot }
      },
    },
    fresh: '10ms',
    live: { every: '100ms' },
  })
  const app = defineApp({ name: 'app', use: [balance] })
  const gateway = createGateway({ apps: [app], observe: (event) => void events.push(event) })
  const [url] = await gateway.listen({ port: 0 })
  const slots = new Map<string, number>()
  const wrong: unknown[] = []
  const streams = await Promise.all(
    KEYS.map(async (key) => new EventStream(await fetch(`${url}/balances/${key}?as=sse`))),
  )
  const readers = streams.map(async (stream, index) => {
    let last: { readonly id: string; readonly slot: number } | undefined
    for (let event = await stream.next(); event !== undefined; event = await stream.next()) {
      if (event.event !== 'snapshot') continue
      const { slot } = event.data.value as { slot: number }
      const [older, newer] = [parseVersion(last?.id ?? ''), parseVersion(event.id ?? '')]
      const rises = older === undefined || (newer !== undefined && compareVersions(newer, older) > 0)
      if (!rises || slot < (last?.slot ?? 0)) wrong.push([last, event])
      last = { id: event.id ?? '', slot }
      slots.set(KEYS[index] ?? '', slot)
    }
  })
  return {
    events,
    wrong,
    /** The oldest slot that a client was told last. */
    oldest: () => (slots.size < KEYS.length ? 0 : Math.min(...slots.values())),
    /** How often each was answered by its node. */
    asked: () => nodes.map((node) => node.stats().byPath.getBalance?.asked ?? 0),
    async [Symbol.asyncDispose]() {
      await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
      await gateway.close(1000)
      await Promise.all(readers)
    },
  }
}

test.each([
  ['answers what was 200 slots ago', { kind: 'slot-back', slots: 200 }],
  ['says that it is behind', { kind: 'behind', slots: 200 }],
  ['says that it is unwell', { kind: 'unhealthy' }],
] as const satisfies readonly (readonly [string, { kind: SolanaFault; slots?: number }])[])(
  'a node that %s is passed over for the other until it is well again, and clients see slots only rise',
  async (_, fault) => {
    await using first = await start()
    await using second = await start()
    await using site = await serve([first, second])
    await expect.poll(site.oldest, PATIENT).toBeGreaterThan(0)
    first.fault(fault)
    const began = first.chain.slot
    const [firstBefore = 0, secondBefore = 0] = site.asked()
    await expect.poll(site.oldest, PATIENT).toBeGreaterThan(began + 150)
    const [firstAsked = 0, secondAsked = 0] = site.asked()
    // The first was asked now and then, whether it is well again.
    expect((firstAsked - firstBefore) * 3).toBeLessThan(secondAsked - secondBefore)
    first.clearFaults()
    const [, secondThen = 0] = site.asked()
    await expect.poll(() => (site.asked()[0] ?? 0) - firstAsked, PATIENT).toBeGreaterThan(30)
    expect((site.asked()[1] ?? 0) - secondThen).toBeLessThan(200)
    expect(site.wrong).toEqual([])
    for (const node of [first, second]) expect(node.stats().refused).toBe(0)
  },
)

test('while all others are away, the node that is behind answers, and clients keep the newest that they were told', async () => {
  await using first = await start()
  await using second = await start()
  await using site = await serve([first, second])
  await expect.poll(site.oldest, PATIENT).toBeGreaterThan(0)
  first.fault({ kind: 'slot-back', slots: 100 })
  second.fault({ kind: '503' })
  const began = first.chain.slot
  await expect.poll(site.oldest, PATIENT).toBeGreaterThan(began)
  expect(site.wrong).toEqual([])
})
