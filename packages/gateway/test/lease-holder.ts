/**
 * A process that takes the lease of a topic once and goes on publishing under it. `lease-holder.ts <url> <prefix> <topic>`;
 * tells its parent of each publication whether it was taken.
 */
import { redisBackend } from '../src/backend/redis/backend.ts'
import { hashOf } from '../src/entry.ts'
import { content } from './content.ts'

const [url = '', prefix = '', topic = ''] = process.argv.slice(2)
const { leases, values } = redisBackend({ url, prefix, node: 'holder', deadline: 2000, report: () => {} })
const lease = await leases.acquire(topic, 'holder', 1000, 0)
if (!lease.held) throw new Error('expected the lease')
const { token } = lease
process.on('disconnect', () => process.exit())
for (;;) {
  const made = content('of the holder')
  const stored = await values
    .publish(topic, { token, knownEpoch: 0, hash: hashOf(made), content: made, keep: 60_000 })
    .then((stored) => stored !== undefined)
    .catch(() => undefined)
  if (stored !== undefined) process.send?.(stored)
  await new Promise((resolve) => setTimeout(resolve, 50))
}
