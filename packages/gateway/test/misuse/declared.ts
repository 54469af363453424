import { z } from 'zod'
import { feed, http } from '../../src/index.ts'

export const upstream = http({ name: 'jupiter', url: 'http://127.0.0.1:1' })

/** A feed as it should be; the other files of this folder get one thing wrong each time. */
export const price = feed('/prices/:mint', {
  name: 'price',
  key: { mint: z.string() },
  value: z.object({ usd: z.number() }),
  from: upstream,
  load: { one: async () => ({ usd: 1 }) },
})
