import { afterAll, describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  absent,
  createGateway,
  type Feed,
  feed,
  type HttpCall,
  http,
  type JsonRpcCall,
  jsonRpc,
  type Log,
  log,
  type ServedFeed,
  type ServedLog,
  stream,
} from '../src/index.ts'

/** These are checked by the compiler with the rest of the sources; run, they only show that the declarations are taken. */
const upstream = http({ name: 'jupiter', url: 'http://127.0.0.1:1', limits: [{ calls: 50, per: '1s', by: 'account' }] })
const Level = z.object({ price: z.number(), size: z.string().transform(Number) })

describe('a feed is typed by its path and its schemas, without a word about types', () => {
  const book = feed('/books/:venue/:pair', {
    name: 'book',
    key: { venue: z.string(), pair: z.string().brand('pair'), depth: z.coerce.number().optional() },
    value: z.array(Level),
    from: upstream,
    load: {
      many: async (keys, call) => {
        expectTypeOf(keys).toEqualTypeOf<
          readonly {
            readonly venue: string
            readonly pair: string & z.core.$brand<'pair'>
            readonly depth: number | undefined
          }[]
        >()
        expectTypeOf(call).toEqualTypeOf<HttpCall>()
        return keys.map(({ depth }) => (depth === 0 ? absent('no depth') : [{ price: 1, size: '2' }]))
      },
    },
  })

  test('its key is what the schemas give', () => {
    expectTypeOf(book.get).parameter(0).toHaveProperty('venue').toEqualTypeOf<string>()
    expectTypeOf(book.get).parameter(0).toHaveProperty('depth').toEqualTypeOf<number | undefined>()
  })

  test('its value is what the schema makes of what the loader returned', () => {
    type Reading = Awaited<ReturnType<typeof book.get>>
    expectTypeOf<Reading['value']>().toEqualTypeOf<{ price: number; size: number }[]>()
    expectTypeOf<Reading['version']>().toEqualTypeOf<string>()
    expectTypeOf<Reading['age']>().toEqualTypeOf<number>()
  })

  test('a loader of one key gets one key', () => {
    const price = feed('/prices/:mint', {
      name: 'price',
      key: { mint: z.string() },
      value: z.number(),
      from: upstream,
      load: {
        one: async (key, call) => {
          expectTypeOf(key).toEqualTypeOf<{ readonly mint: string }>()
          const answer = await call.get(`/price/${key.mint}`, { answer: z.object({ usd: z.number() }) })
          expectTypeOf(answer).toEqualTypeOf<{ usd: number }>()
          expectTypeOf(await call.get('/anything')).toBeUnknown()
          return answer.usd
        },
      },
    })
    expectTypeOf(price).toEqualTypeOf<Feed<{ readonly mint: string }, number>>()
  })

  test('a loader from a node calls methods, and gets what the schema makes of the result', () => {
    const slot = feed('/slot/:commitment', {
      name: 'slot',
      key: { commitment: z.string() },
      value: z.number(),
      from: jsonRpc({ name: 'node', url: 'http://127.0.0.1:1' }),
      load: {
        one: async ({ commitment }, call) => {
          expectTypeOf(call).toEqualTypeOf<JsonRpcCall>()
          expectTypeOf(await call('getHealth')).toBeUnknown()
          const slot = await call('getSlot', [{ commitment }], { answer: z.number() })
          expectTypeOf(slot).toBeNumber()
          return slot
        },
      },
    })
    expectTypeOf(slot).toEqualTypeOf<Feed<{ readonly commitment: string }, number>>()
  })

  test('a stream chooses among the parts of the key of its feed', () => {
    expectTypeOf(stream<{ readonly venue: string; readonly pair: string }>)
      .parameter(1)
      .toHaveProperty('choose')
      .exclude<undefined>()
      .toHaveProperty('part')
      .toEqualTypeOf<'venue' | 'pair'>()
  })
})

describe('a log is typed by its path and its schemas too', () => {
  const trades = log('/trades/:mint', { name: 'trades', key: { mint: z.string() }, event: Level })

  test('what is published is what its schema takes, and what is read what it makes of that', () => {
    type Given = { price: number; size: string }
    type Event = { price: number; size: number }
    expectTypeOf(trades).toEqualTypeOf<Log<{ readonly mint: string }, Given, Event>>()
  })
})

describe('a gateway serves a declaration with the types of the declaration', () => {
  const gateway = createGateway({ apps: [] })
  afterAll(() => gateway.close(0))

  test('of a feed: its key and its value', async () => {
    const level = feed('/levels/:venue', {
      name: 'level',
      key: { venue: z.string() },
      value: Level,
      load: { one: none },
    })
    const served = () => gateway.of(level)
    expectTypeOf(served).returns.toEqualTypeOf<
      ServedFeed<{ readonly venue: string }, { price: number; size: number }>
    >()
    expectTypeOf(served).returns.not.toHaveProperty('plan')
    // @ts-expect-error a part of the key is missing
    expect(() => served().get({})).toThrow('expected an app of this gateway')
  })

  test('of a log: its key, what is published and what is read', () => {
    const trades = log('/trades/:mint', { name: 'trades', key: { mint: z.string() }, event: Level })
    const served = () => gateway.of(trades)
    type Given = { price: number; size: string }
    type Event = { price: number; size: number }
    expectTypeOf(served).returns.toEqualTypeOf<ServedLog<{ readonly mint: string }, Given, Event>>()
  })
})

async function none(): Promise<Error> {
  return new Error('never asked')
}
