import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type JupiterOptions, startJupiter } from './jupiter/server.ts'
import { ask, ManualClock, SOL } from './test-client.ts'

const KEY = 'jup_one'
const PRICE = `/price/v3?ids=${SOL}`

/** On a clock that stands: only the delays are real. */
async function start(options: JupiterOptions = {}) {
  const jupiter = await startJupiter({ latency: 0, jitter: 0, clock: new ManualClock(), ...options })
  return {
    jupiter,
    get: (path: string, init: RequestInit = {}) => ask(jupiter.url + path, KEY, init),
    post: (path: string, body: string) => ask(jupiter.url + path, KEY, { method: 'POST', body }),
    [Symbol.asyncDispose]: () => jupiter.close(),
  }
}

/** Waits until it holds, looking every few milliseconds; fails after 2 s. */
async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 400) throw new Error('expected it to hold within 2 s')
    await sleep(5)
  }
}

describe('faults on the wire', () => {
  test('hang: no answer until the client leaves, which is counted', async () => {
    await using sim = await start()
    sim.jupiter.fault({ kind: 'hang', count: 1 })
    const leaving = new AbortController()
    const answer = sim.get(PRICE, { signal: leaving.signal })
    // On a busy machine a call may take long to arrive, and one that never arrived is not counted.
    await until(() => sim.jupiter.stats().asked === 1)
    leaving.abort()
    await expect(answer).rejects.toThrow('aborted')
    await until(() => sim.jupiter.stats().aborted === 1)
    expect((await sim.get(PRICE)).status).toBe(200)
    expect(sim.jupiter.stats()).toMatchObject({ asked: 2, served: 1, faulted: 1, aborted: 1 })
  })

  test('slow: the right answer, late', async () => {
    await using sim = await start()
    sim.jupiter.fault({ kind: 'slow', count: 1, delay: 120 })
    const began = performance.now()
    const { text } = await sim.get(PRICE)
    expect(performance.now() - began).toBeGreaterThan(115)
    expect(Object.keys(JSON.parse(text))).toEqual([SOL])
  })

  test('garbage: 200, said to be JSON, and is not', async () => {
    await using sim = await start()
    sim.jupiter.fault({ kind: 'garbage', count: 1 })
    const { status, headers, text } = await sim.get(PRICE)
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(() => JSON.parse(text)).toThrow(SyntaxError)
  })

  test('truncated: the answer begins, and the connection is cut in the middle', async () => {
    await using sim = await start()
    sim.jupiter.fault({ kind: 'truncated', count: 1 })
    const response = await fetch(sim.jupiter.url + PRICE)
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow('terminated')
    expect(sim.jupiter.stats().aborted).toBe(0)
  })

  test('wrong-type: 200 with a page in place of JSON', async () => {
    await using sim = await start()
    sim.jupiter.fault({ kind: 'wrong-type', count: 1 })
    const { status, headers, text } = await sim.get(PRICE)
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(text).toMatch(/^<!doctype html>/)
  })

  test('dead: connections are reset, but stats still answer', async () => {
    await using sim = await start()
    sim.jupiter.fault({ kind: 'dead' })
    await expect(sim.get(PRICE)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } })
    const stats = JSON.parse((await sim.get('/__stats')).text)
    expect(stats).toMatchObject({ asked: 1, served: 0, faulted: 1, byOrganisation: {} })
    sim.jupiter.clearFaults()
    expect((await sim.get(PRICE)).status).toBe(200)
  })

  test('a call that the limit refuses is refused, not faulted', async () => {
    await using sim = await start({ plan: 'free', strict: true })
    await sim.get(PRICE)
    sim.jupiter.fault({ kind: 'garbage' })
    const { status, text } = await sim.get(PRICE)
    expect([status, JSON.parse(text).code]).toEqual([429, 429])
    expect(sim.jupiter.stats()).toMatchObject({ refused: 1, faulted: 0 })
  })
})

describe('over HTTP', () => {
  test('faults are set and cleared, and those set wrong are explained', async () => {
    await using sim = await start()
    const set = await sim.post('/__faults', '{"kind":"503","path":"/price","count":5}')
    expect([set.status, JSON.parse(set.text)]).toEqual([200, { kind: '503', path: '/price', count: 5 }])
    expect((await sim.get(PRICE)).status).toBe(503)
    expect((await sim.get('/tokens/v2/recent')).status).toBe(200)
    expect((await ask(`${sim.jupiter.url}/__faults`, KEY, { method: 'DELETE' })).status).toBe(200)
    expect((await sim.get(PRICE)).status).toBe(200)

    const wrong = await sim.post('/__faults', '{"kind":"503","for":-1}')
    expect([wrong.status, wrong.text]).toEqual([400, '{"error":"expected for to be milliseconds above 0, got -1"}'])
    const broken = await sim.post('/__faults', '{')
    expect([broken.status, JSON.parse(broken.text).error]).toEqual([400, expect.stringContaining('got "{"')])
    expect((await sim.get('/__what')).status).toBe(404)
  })

  test('stats count every call by what became of it, and themselves never', async () => {
    await using sim = await start({ plan: 'developer', strict: true })
    await Promise.all(Array.from({ length: 12 }, () => sim.get(PRICE)))
    await sim.get('/__stats')
    await ask(sim.jupiter.url + PRICE, 'wrong')
    expect(JSON.parse((await sim.get('/__stats')).text)).toEqual({
      asked: 13,
      served: 10,
      refused: 3,
      faulted: 0,
      mostIn1s: 13,
      mostIn60s: 13,
      aborted: 0,
      openConnections: expect.any(Number),
      now: expect.any(Number),
      byPath: { 'GET /price/v3': { asked: 13, served: 10, refused: 3, faulted: 0 } },
      byOrganisation: {
        default: { asked: 12, served: 10, refused: 2, faulted: 0, mostIn1s: 12, mostIn60s: 12 },
      },
      byStatus: { 200: 10, 401: 1, 429: 2 },
    })
  })

  test('reset is as if just started: counts, limits and faults', async () => {
    await using sim = await start({ plan: 'free', strict: true })
    await sim.get(PRICE)
    expect((await sim.get(PRICE)).status).toBe(429)
    sim.jupiter.fault({ kind: '500' })
    expect((await sim.post('/__reset', '')).status).toBe(200)
    expect((await sim.get(PRICE)).status).toBe(200)
    expect(sim.jupiter.stats()).toMatchObject({ asked: 1, served: 1, refused: 0, faulted: 0, mostIn1s: 1 })
  })
})

test('a call is counted when it arrives, not when it sets out', async () => {
  await using sim = await start({ travel: { mean: 300, spread: 0 } })
  const answer = sim.get(PRICE)
  await until(() => sim.jupiter.stats().openConnections === 1)
  expect(sim.jupiter.stats().asked).toBe(0)
  expect((await answer).status).toBe(200)
  expect(sim.jupiter.stats().asked).toBe(1)
})

test('a call whose client left on the way arrives all the same', async () => {
  await using sim = await start({ travel: { mean: 400, spread: 0 } })
  const client = new AbortController()
  const left = expect(sim.get(PRICE, { signal: client.signal })).rejects.toThrow('aborted')
  await until(() => sim.jupiter.stats().openConnections === 1)
  await sleep(50)
  client.abort()
  await left
  expect(sim.jupiter.stats().asked).toBe(0)
  await until(() => sim.jupiter.stats().asked === 1)
  expect(sim.jupiter.stats()).toMatchObject({ served: 1, aborted: 1 })
})

test('latency stays within its jitter', async () => {
  await using sim = await start({ latency: 60, jitter: 20 })
  const began = performance.now()
  await sim.get(PRICE)
  expect(performance.now() - began).toBeGreaterThan(39)
})

test('a body that is too large is refused', async () => {
  await using sim = await start()
  expect((await sim.post('/swap/v2/execute', 'x'.repeat(1_048_577))).status).toBe(413)
})

test('several run in one process and know nothing of one another; closing cuts what hangs', async () => {
  await using first = await start()
  const second = await start()
  second.jupiter.fault({ kind: 'hang' })
  const hanging = expect(second.get(PRICE)).rejects.toThrow('fetch failed')
  await until(() => second.jupiter.stats().asked === 1)
  await second.jupiter.close()
  await second.jupiter.close()
  await hanging
  expect((await first.get(PRICE)).status).toBe(200)
  expect(first.jupiter.stats().asked).toBe(1)
})

test('a port that is taken is an error', async () => {
  await using sim = await start()
  await expect(startJupiter({ port: sim.jupiter.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
})
