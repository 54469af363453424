import { expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { WeirError } from '../errors.ts'
import { JsonRpcError } from '../upstream/json-rpc/answer.ts'
import { createMemory } from './memory.ts'

const failed = (detail = 'away') => new WeirError('upstream_failed', detail, { cause: new Error('why'), retryAfter: 7 })

test('a failure is stored for a second, and then removed completely', async () => {
  const clock = new ManualClock()
  const { failures, entries } = createMemory(1_000_000)
  for (let i = 0; i < 50; i++) {
    failures.add(`/a/${i}`, failed(), clock)
    await clock.advance(100)
  }
  expect([failures.size, entries.size]).toEqual([9, 9])
  expect(failures.of('/a/49', clock)).toMatchObject({ code: 'upstream_failed', message: 'away', retryAfter: 7 })
  expect(failures.of('/a/39', clock)).toBeUndefined()
  await clock.advance(1000)
  expect([failures.size, entries.size, clock.timers]).toEqual([0, 0, 0])
})

test('failures count towards the memory limit', () => {
  const clock = new ManualClock()
  const { failures, entries } = createMemory(100_000)
  for (let i = 0; i < 10_000; i++) failures.add(`/a/${i}`, failed('x'.repeat(1000)), clock)
  expect(entries.calculatedSize).toBeLessThanOrEqual(100_000)
  expect(entries.size).toBeLessThan(50)
  expect(failures.of('/a/9999', clock)).toBeDefined()
})

test('stack and cause are not stored, everything that clients see is', () => {
  const clock = new ManualClock()
  const { failures } = createMemory(100_000)
  const answer = { status: 503, headers: {}, body: Buffer.alloc(0), rest: 3000 }
  const error = new JsonRpcError('node: getSlot', { code: -32005, message: 'behind', data: { slots: 9n } }, answer)
  failures.add('/a', error, clock)
  const kept = failures.of('/a', clock)
  expect(kept).toBeInstanceOf(JsonRpcError)
  expect(kept).toMatchObject({
    rpcCode: -32005,
    rpcMessage: 'behind',
    data: { slots: 9n },
    retryAfter: 3000,
    status: 502,
  })
  expect([kept?.stack, kept?.cause]).toEqual([undefined, undefined])
})

test('a stored failure does not keep its call in memory', async () => {
  const clock = new ManualClock()
  const { failures } = createMemory(1_000_000)
  const held: WeakRef<object>[] = []
  const fail = (index: number) => {
    const request = { body: Buffer.alloc(1000) }
    held.push(new WeakRef(request))
    failures.add(`/a/${index}`, new WeirError('upstream_failed', 'away', { cause: { request } }), clock)
  }
  for (let i = 0; i < 100; i++) fail(i)
  await new Promise((resolve) => setImmediate(resolve))
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  expect(held.filter((one) => one.deref() !== undefined)).toEqual([])
})
