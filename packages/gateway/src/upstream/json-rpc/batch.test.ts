import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../../test/manual-clock.ts'
import { request } from '../../../test/request.ts'
import type { UpstreamAnswer, UpstreamRequest } from '../../call.ts'
import { WeirError } from '../../errors.ts'
import { resultOf } from './answer.ts'
import { jsonRpcBatches } from './batch.ts'

function answer(body: string, status = 200): UpstreamAnswer {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(body) }
}

function calling(id: number, given: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return request({
    method: 'POST',
    body: `{"jsonrpc":"2.0","id":${id},"method":"getSlot"}`,
    repeatable: true,
    ...given,
  })
}

/** A provider that answers when the test says so. */
function open(most = 100) {
  const clock = new ManualClock()
  const sent: { request: UpstreamRequest; resolve(answer: UpstreamAnswer): void; reject(error: Error): void }[] = []
  const send = jsonRpcBatches({ upstream: 'node', most, clock })(
    (request) =>
      new Promise((resolve, reject) => {
        sent.push({ request, resolve, reject })
        request.signal?.addEventListener('abort', () => reject(request.signal?.reason))
      }),
  )
  return { clock, sent, send }
}

describe('an array of calls', () => {
  test('gives each call what has its id, once, with all digits; whatever else comes, in whatever order', async () => {
    const Item = fc.record({ id: fc.integer({ min: 1, max: 8 }), n: fc.bigInt({ min: 0n, max: 2n ** 64n }) })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 5 }), fc.array(Item, { maxLength: 12 }), async (count, items) => {
        const { clock, sent, send } = open()
        const ids = Array.from({ length: count }, (_, index) => index + 1)
        const asked = ids.map((id) => send(calling(id)))
        await clock.settle()
        expect(sent).toHaveLength(1)
        sent[0]?.resolve(answer(`[${items.map(({ id, n }) => `{"result":${n},"id":${id}}`).join()}]`))
        for (const [index, said] of (await Promise.all(asked)).entries()) {
          const id = index + 1
          const own = items.filter((item) => item.id === id)
          if (own.length === 1) expect(String(resultOf('n', said, id))).toBe(String(own[0]?.n))
          else expect(() => resultOf('n', said, id)).toThrow('expected one answer')
        }
      }),
    )
  })

  test('is not cut short by who leaves, and is when the last leaves', async () => {
    const { clock, sent, send } = open()
    const [one, other] = [new AbortController(), new AbortController()]
    const first = send(calling(1, { signal: one.signal }))
    const second = send(calling(2, { signal: other.signal }))
    await clock.settle()
    one.abort(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    expect(sent[0]?.request.signal?.aborted).toBe(false)
    other.abort(new Error('gone too'))
    await expect(second).rejects.toThrow('gone too')
    expect(sent[0]?.request.signal?.aborted).toBe(true)
    expect(clock.timers).toBe(0)
  })

  test('has no call that may never be answered beside one that was answered lately', async () => {
    const { clock, sent, send } = open()
    const known = { history: { key: 'known', answerable: true } }
    const unknown = { history: { key: 'unknown', answerable: false } }
    const asked = [known, unknown, known, unknown].map((given, index) => send(calling(index + 1, given)))
    await clock.settle()
    expect(sent.map(({ request: { body } }) => [...String(body).matchAll(/"id":(\d)/g)].map(([, id]) => id))).toEqual([
      ['1', '3'],
      ['2', '4'],
    ])
    sent[0]?.resolve(answer('[{"result":1,"id":1},{"result":3,"id":3}]'))
    for (const index of [0, 2]) expect((await asked[index])?.body.toString()).toContain(`"id":${index + 1}`)
    sent[1]?.resolve(answer('[]'))
    await Promise.all(asked)
  })

  test('leaves out who was gone before it began', async () => {
    const { clock, sent, send } = open()
    const gone = new AbortController()
    const first = send(calling(1, { signal: gone.signal }))
    gone.abort(new Error('gone'))
    void send(calling(2))
    await Promise.all([expect(first).rejects.toThrow('gone'), clock.settle()])
    expect(sent.map(({ request: { body } }) => body)).toEqual([calling(2).body])
  })

  test('is left by each call at half of its time, which then goes alone; it goes on for the others', async () => {
    const { clock, sent, send } = open()
    const first = send(calling(1, { deadline: clock.monotonic() + 100 }))
    const second = send(calling(2, { deadline: clock.monotonic() + 1000 }))
    await clock.advance(50)
    expect(await first).toMatchObject({ status: 503, unsent: true })
    expect(sent[0]?.request.signal?.aborted).toBe(false)
    sent[0]?.resolve(answer('[{"result":1,"id":1},{"result":2,"id":2}]'))
    expect(resultOf('n', await second, 2)).toBe(2)
    const third = [
      send(calling(3, { deadline: clock.monotonic() + 100 })),
      send(calling(4, { deadline: clock.monotonic() + 100 })),
    ]
    await clock.advance(50)
    for (const one of await Promise.all(third)) expect(one).toMatchObject({ unsent: true })
    expect(sent[1]?.request.signal?.aborted).toBe(true)
    expect(clock.timers).toBe(0)
  })

  test('has no id twice, and no more calls than it may', async () => {
    const { clock, sent, send } = open(3)
    for (const id of [1, 2, 1, 2, 3, 4]) void send(calling(id))
    await clock.settle()
    const ids = sent.map(({ request: { body } }) =>
      String(body)
        .match(/(?<="id":)\d/g)
        ?.join(''),
    )
    expect(ids).toEqual(['12', '123', '4'])
  })

  test('is of one API key', async () => {
    const { clock, sent, send } = open()
    for (const [id, apiKey] of ['a', 'b', 'a', 'b'].entries()) void send(calling(id, { apiKey }))
    await clock.settle()
    expect(sent.map(({ request: { apiKey, body } }) => [apiKey, String(body).match(/"id":\d/g)])).toEqual([
      ['a', ['"id":0', '"id":2']],
      ['b', ['"id":1', '"id":3']],
    ])
  })

  test('that fails, where calls alone fail too, is tried again; a node that was away does take arrays', async () => {
    const { clock, sent, send } = open()
    async function both(): Promise<number> {
      const before = sent.length
      const asked = [send(calling(1)), send(calling(2))]
      await clock.settle()
      const requests = sent.slice(before)
      for (const { resolve } of requests) resolve(answer('away', 502))
      await Promise.all(asked)
      return requests.length
    }
    expect([await both(), await both(), await both()]).toEqual([1, 2, 1])
  })

  test.each([
    ['is refused our key', answer('no', 401)],
    ['fails', answer('away', 502)],
    ['breaks off', new WeirError('upstream_failed', 'ECONNRESET')],
  ])(
    'that %s once others were taken sends its calls again, each alone, and says nothing of arrays',
    async (_, failing) => {
      const { clock, sent, send } = open()
      const both = async (given: Partial<UpstreamRequest> = {}) => {
        const before = sent.length
        const asked = [send(calling(1, given)), send(calling(2, given))]
        await clock.settle()
        return { asked: Promise.allSettled(asked), requests: sent.slice(before) }
      }
      for (const said of [answer('[]'), failing, answer('[]')]) {
        const { asked, requests } = await both()
        expect(requests).toHaveLength(1)
        if (said instanceof Error) requests[0]?.reject(said)
        else requests[0]?.resolve(said)
        const unsent = said === failing || undefined
        for (const one of await asked) expect(one.status === 'fulfilled' && one.value.unsent).toBe(unsent)
      }
      expect((await both({ alone: true })).requests).toHaveLength(2)
    },
  )

  test('that had no connection, or reached a limit, fails for all its calls', async () => {
    const { clock, sent, send } = open()
    const asked = Promise.allSettled([send(calling(1)), send(calling(2))])
    await clock.settle()
    sent[0]?.reject(new WeirError('upstream_failed', 'ECONNREFUSED', { unreachable: true }))
    for (const outcome of await asked) expect(outcome).toMatchObject({ reason: { unreachable: true } })
    const limited = [send(calling(1)), send(calling(2))]
    await clock.settle()
    sent[1]?.resolve(answer('slow down', 429))
    for (const one of await Promise.all(limited)) expect([one.status, one.unsent]).toEqual([429, undefined])
  })
})
