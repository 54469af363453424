import { z } from 'zod'
import { log } from '../../src/index.ts'

const trades = log('/trades/:mint', { name: 'x', key: { mint: z.string() }, event: z.object({ usd: z.number() }) })

log('/trades/:mint', { name: 'x', key: {}, event: z.number() }) // refused: 'mint' is missing
log('/trades', { name: 'x', key: {}, event: z.number(), history: { age: 60 } }) // refused: 'number' is not assignable

await trades.publish({ mnt: 'SOL' }, { usd: 1 }) // refused: 'mnt' does not exist
await trades.publish({ mint: 'SOL' }, { usd: '1' }) // refused: 'string' is not assignable to type 'number'
await trades.publishAll({ mint: 'SOL' }, [{ usd: 1 }]) // refused: AsyncIterable

const { events } = await trades.read({ mint: 'SOL' }, { most: 1 })
events[0]?.event.eur // refused: 'eur' does not exist
