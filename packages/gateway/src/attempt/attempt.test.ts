import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { request } from '../../test/request.ts'
import { WeirError } from '../errors.ts'
import type { WeirEvent } from '../events.ts'
import { attempt } from './attempt.ts'

function open(answer: () => Promise<{ status: number; body: string }>) {
  const events: WeirEvent[] = []
  const provider = {
    name: 'jupiter',
    send: async () => {
      const { status, body } = await answer()
      return { status, headers: {}, body: Buffer.from(body) }
    },
  }
  const send = attempt({
    upstream: 'jupiter',
    providers: [provider],
    policy: { retries: 0, hedge: undefined, choose: 'order' },
    clock: new ManualClock(),
    emit: (event) => void events.push(event),
  })
  return { events, send }
}

describe('an attempt', () => {
  test.each([200, 204, 301, 400, 404, 418])(
    'answered %i passes: what it means is for the caller to say',
    async (status) => {
      const { events, send } = open(async () => ({ status, body: '' }))
      expect((await send(request())).status).toBe(status)
      expect(events).toEqual([])
    },
  )

  test.each([
    [429, 'upstream_limited'],
    [401, 'upstream_refused'],
    [403, 'upstream_refused'],
    [500, 'upstream_failed'],
    [503, 'upstream_failed'],
  ])('answered %i fails with %s, and says what came, on one line', async (status, code) => {
    const { events, send } = open(async () => ({ status, body: `no\n${'x'.repeat(5000)}` }))
    const error = await send(request()).catch((error: unknown) => error)
    expect(error).toMatchObject({
      code,
      upstreamStatus: status,
      message: expect.stringMatching(/^jupiter: answered \d+: no x{197}$/),
    })
    expect(events).toMatchObject([{ type: 'attempt.failed', upstream: 'jupiter', code }])
  })

  test('that failed below is told and passed on', async () => {
    const failure = new WeirError('upstream_timeout', 'slow')
    const { events, send } = open(() => Promise.reject(failure))
    expect(await send(request()).catch((error: unknown) => error)).toBe(failure)
    expect(events).toMatchObject([{ code: 'upstream_timeout', detail: 'slow' }])
  })

  test('that nobody waits for any more is no failure', async () => {
    const { events, send } = open(() => Promise.reject(new Error('left')))
    await expect(send(request({ signal: AbortSignal.abort() }))).rejects.toThrow('left')
    expect(events).toEqual([])
  })
})
