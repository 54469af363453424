import { expect, test } from 'vitest'
import { createGateway } from '../src/index.ts'
import still from './fixtures/still.ts'
import { fuzz } from './fuzz.ts'
import { connect } from './web-socket.ts'

const INPUTS = 20_000

test('twenty thousand random and mutated inputs: every connection is answered or ended, nothing fails, nothing stays', async () => {
  const failed: unknown[] = []
  const gateway = createGateway({
    apps: [still],
    observe: (event) => void (event.type === 'failed' && failed.push(event)),
  })
  try {
    const [url = ''] = await gateway.listen({ port: 0 })
    const { inputs, endings, hung, unanswered } = await fuzz(url, 1, INPUTS)
    expect({ hung: hung[0], unanswered: unanswered[0], failed }).toEqual({ failed: [] })
    expect(inputs).toBeGreaterThanOrEqual(INPUTS)
    // What is said reaches every way to be refused that it can.
    for (const ending of [
      'close 1000',
      'close 1002',
      'close 1003',
      'close 1007',
      'close 1009',
      'HTTP 200',
      'HTTP 400',
      'HTTP 404',
      'HTTP 426',
    ])
      expect(endings, ending).toHaveProperty([ending])
    await expect.poll(() => gateway.metrics.summary.connections).toBe(0)
    await using peer = await connect(url)
    peer.say({ type: 'subscribe', topic: '/values/a' })
    expect(await peer.hears('snapshot')).toMatchObject({ value: { still: true } })
  } finally {
    await gateway.close(1000)
  }
}, 120_000)
