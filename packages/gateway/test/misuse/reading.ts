import { price } from './declared.ts'

await price.get({ mnt: 'SOL' }) // refused: 'mnt' does not exist
await price.get({ mint: 7 }) // refused: 'number' is not assignable to type 'string'
await price.get({}) // refused: 'mint' is missing
await price.get() // refused: Expected 1-2 arguments

const { value } = await price.get({ mint: 'SOL' })
value.eur // refused: 'eur' does not exist
const text: string = value.usd // refused: 'number' is not assignable to type 'string'
void text
