import { z } from 'zod'
import { absent, feed, stream } from '../../src/index.ts'
import { price, upstream } from './declared.ts'

const common = { name: 'x', value: z.number(), from: upstream }

feed('/books/:venue/:pair', {
  ...common,
  key: { venue: z.string() }, // refused: 'pair' is missing
  load: { one: async () => 1 },
})

feed('/prices/:mint', { ...common, key: { mint: z.string() } }) // refused: 'load' is missing

feed('/prices/:mint', {
  ...common,
  key: { mint: z.string() },
  load: { one: async () => 'one' }, // refused: 'string' is not assignable to type 'Result<ZodNumber>'
})

feed('/prices/:mint', {
  ...common,
  key: { mint: z.string() },
  load: { many: async (keys) => keys.map(() => ({ usd: 1 })) }, // refused: is not assignable to type
})

feed('/prices/:mint', {
  ...common,
  key: { mint: z.string() },
  load: { one: async ({ mnt }) => mnt.length }, // refused: 'mnt' does not exist
})

feed('/prices/:mint', {
  ...common,
  key: { mint: z.string() },
  fresch: '1s', // refused: 'fresch' does not exist
  load: { one: async () => 1 },
})

feed('/prices/:mint', {
  ...common,
  key: { mint: z.string() },
  fresh: 1000, // refused: 'number' is not assignable
  load: { one: async () => 1 },
})

feed('/prices/:mint', {
  ...common,
  key: { mint: z.string() },
  live: { every: '1 second' }, // refused: '"1 second"' is not assignable
  load: { one: async () => 1 },
})

feed('/prices/:mint', {
  ...common,
  key: { mint: z.string() },
  load: { one: async (_, call) => call.fetch('/x') }, // refused: 'fetch' does not exist
})

absent('not priced', { for: '10sec' }) // refused: '"10sec"' is not assignable
stream('/stream', { of: price, choose: { query: 'mints', part: 'mnt' } }) // refused: '"mnt"' is not assignable
