import { toBase58 } from '../base58.ts'
import { fraction, hash } from '../random.ts'

export type Kind = 'coin' | 'stable' | 'lst' | 'stock'

/** A token as it is listed: what does not move. The same in every run, whatever the seed. */
export interface Listing {
  readonly mint: string
  readonly symbol: string
  readonly name: string
  readonly decimals: number
  readonly kind: Kind
  /** US dollars around which it walks; undefined for a token that has not traded for 7 days or is flagged. */
  readonly price: number | undefined
  /** US dollars; undefined for the few of which Jupiter does not say it. */
  readonly liquidity: number | undefined
  readonly verified: boolean
  readonly flagged: boolean
  readonly program: string
  readonly createdAt: string
  readonly holders: number
  readonly supply: number
  /** 0 to 100. */
  readonly organicScore: number
}

const TOKEN = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA'
const TOKEN_2022 = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb'

type Known = readonly [
  mint: string,
  symbol: string,
  name: string,
  decimals: number,
  price: number,
  liquidity: number,
  kind?: Kind,
]

/** Real tokens: mint, symbol, name, decimals, and a price (US dollars) and liquidity of the right size. */
const KNOWN: readonly Known[] = [
  ['So11111111111111111111111111111111111111112', 'SOL', 'Wrapped SOL', 9, 147.48, 621_679_197.67],
  ['EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v', 'USDC', 'USD Coin', 6, 1, 402_118_601.12, 'stable'],
  ['Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB', 'USDT', 'USDT', 6, 1, 158_402_117.5, 'stable'],
  ['JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN', 'JUP', 'Jupiter', 6, 0.1415, 2_992_387.89],
  ['DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263', 'BONK', 'Bonk', 5, 0.00001423, 5_402_771.3],
  ['EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm', 'WIF', 'dogwifhat', 6, 0.412, 6_871_002.4],
  ['jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL', 'JTO', 'JITO', 9, 1.07, 3_820_118.92],
  ['HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3', 'PYTH', 'Pyth Network', 6, 0.1163, 1_954_270.1],
  ['4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R', 'RAY', 'Raydium', 6, 1.94, 9_120_447.83],
  ['orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE', 'ORCA', 'Orca', 6, 1.52, 1_744_902.66],
  ['mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So', 'mSOL', 'Marinade staked SOL', 9, 199.3, 18_330_104.2, 'lst'],
  ['J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn', 'JitoSOL', 'Jito Staked SOL', 9, 183.9, 41_200_771.9, 'lst'],
  ['bSo13r4TkiE4KumL71LsHTPpL2euBYLFx6h9HP3piy1', 'bSOL', 'BlazeStake Staked SOL', 9, 172.1, 4_102_338.4, 'lst'],
  ['jupSoLaHXQiZZTSfEWMTRRgpnyFm8f6sZdosWBjx93v', 'JupSOL', 'Jupiter Staked SOL', 9, 170.6, 22_845_019.7, 'lst'],
  ['5oVNBeEEQvYi1cX3ir8Dx5n1P7pdxydbGF2X4TxVusJm', 'INF', 'Infinity', 9, 205.8, 9_477_120.3, 'lst'],
  ['rndrizKT3MK1iimdxRdWabcF7Zg7AR5T4nud4EkHBof', 'RENDER', 'Render Token', 8, 2.36, 2_640_551.17],
  ['hntyVP6YFm1Hg25TN9WGLqM12b8TQmcknKrdu1oxWux', 'HNT', 'Helium Network Token', 8, 2.51, 3_006_214.8],
  ['mb1eu7TzEc71KxDpsmsKoucSSuuoGLv1drys1oP2jh6', 'MOBILE', 'Helium Mobile', 6, 0.000312, 402_771.5],
  ['85VBFQZC9TZkfaptBWjvUw7YbZjy52A6mjtPGjstQAmQ', 'W', 'Wormhole Token', 6, 0.0714, 1_286_330.4],
  ['27G8MtK7VtTcCHkpASjSDdkWWYfoqT6ggEuKidVJidD4', 'JLP', 'Jupiter Perps', 6, 4.61, 96_402_311.8],
  ['7GCihgDB8fe6KNjn2MYtkzZcRjQy3t9GHdC8uHYmW2hr', 'POPCAT', 'POPCAT', 9, 0.141, 4_390_217.2],
  ['MEW1gQWJ3nEXg2qgERiKu7FAFj79PHvQVREQUzScPP5', 'MEW', 'cat in a dogs world', 5, 0.00167, 7_120_448.6],
  ['ukHH6c7mMyiWCf1b9pnWe25TSpkDDt3H5pQZgZ74J82', 'BOME', 'BOOK OF MEME', 6, 0.00108, 3_480_112.4],
  ['6p6xgHyF7AeE6TZkSmFsko444wqoP15icUSqi2jfGiPN', 'TRUMP', 'OFFICIAL TRUMP', 6, 6.02, 210_447_901.3],
  ['9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump', 'Fartcoin', 'Fartcoin', 6, 0.331, 12_730_662.9],
  ['2zMMhcVQEXDtdE6vsFS7S7D5oUodfJHE8vd1gnBouauv', 'PENGU', 'Pudgy Penguins', 6, 0.0118, 8_954_310.7],
  ['pumpCmXqMfrsAkQ5r49WcJnRayYRqmXz6ae8H7H9Dfn', 'PUMP', 'Pump', 6, 0.00287, 19_663_204.1],
  ['KMNo3nJsBXfcpJTVhZcXLW7RmTwTt4GVFE7suUBo9sS', 'KMNO', 'Kamino', 6, 0.0533, 2_117_884.9],
  ['DriFtupJYLTosbwoN8koMbEYSx54aFAVLddWsbksjwg7', 'DRIFT', 'Drift', 6, 0.272, 1_090_336.2],
  ['MNDEFzGvMt87ueuHvVU9VcTqsAP5b3fTGPsHuuPA5ey', 'MNDE', 'Marinade', 9, 0.0812, 701_442.8],
  ['2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo', 'PYUSD', 'PayPal USD', 6, 1, 31_880_402.6, 'stable'],
  ['USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA', 'USDS', 'USDS', 6, 1, 12_447_301.5, 'stable'],
  ['3NZ9JMVBmGAqocybic2c7LQCJScmgsAZ6vQqTDzcqmJh', 'WBTC', 'Wrapped BTC (Wormhole)', 8, 91_240, 8_540_113.6],
  ['cbbtcf3aa214zXHbiAZQwf4122FBYbraNdFqgw4iMij', 'cbBTC', 'Coinbase Wrapped BTC', 8, 91_310, 27_830_440.9],
  ['7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs', 'ETH', 'Ether (Wormhole)', 8, 3_020, 6_902_137.4],
  ['7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU', 'SAMO', 'Samoyed Coin', 9, 0.00121, 488_107.3],
  ['TNSRxcUxoT9xBG3de7PiJyTDYu7kskLqcpddxnEJAS6', 'TNSR', 'Tensor', 9, 0.0874, 990_318.7],
  ['CLoUDKc4Ane7HeQcPpE3YHnznRxhMimJ4MyaUqyHFzAu', 'CLOUD', 'Cloud', 9, 0.0961, 1_322_706.5],
  ['2qEHjDLDLbuBgRYvsxhc5D6uDWAivNFZGan56P1tpump', 'Pnut', 'Peanut the Squirrel', 6, 0.0976, 4_551_208.8],
  ['CzLSujWBLFsSjncfkh59rUFqvafWcY5tzedWJSuypump', 'GOAT', 'Goatseus Maximus', 6, 0.0442, 3_310_997.6],
  ['ED5nyyWEzpPPiWimP8vYm7sD7TD3LAt3Q3gRTWHzPJBY', 'MOODENG', 'Moo Deng', 6, 0.0771, 5_006_331.1],
  ['XsbEhLAtcf6HdfpFZ5xEMdqW8nfAvcsp5bdudRLJzJp', 'AAPLx', 'Apple xStock', 8, 271.4, 1_903_220.4, 'stock'],
  ['XsDoVfqeBukxuZHWhdvWHBhgEHjGNst4MLodqsJHzoB', 'TSLAx', 'Tesla xStock', 8, 402.8, 4_217_306.9, 'stock'],
  ['Xsc9qvGR1efVDFGLrVsmkzv3qi45LTBjeUKSPmx9qEh', 'NVDAx', 'NVIDIA xStock', 8, 181.2, 3_770_415.2, 'stock'],
  ['XsoCS1TfEyfFhfvj8EtZ528L3CaKBDBRqRapnBbDF2W', 'SPYx', 'SP500 xStock', 8, 662.1, 5_118_772.3, 'stock'],
]

const FIRST =
  'Amber Brave Cosmic Dusty Electric Frosty Golden Hidden Iron Jolly Lunar Misty Neon Orbital Pixel Quiet'.split(' ')
const SECOND = 'Otter Falcon Comet Badger Lotus Panda Raven Tiger Walrus Yak Zebra Gecko Heron Ibex Koala Lemur'.split(
  ' ',
)

/** Every token there is: the known ones, then as many made-up as are wanted, 301 together unless told. */
export function listings(size = 301): readonly Listing[] {
  const known = KNOWN.map(([mint, symbol, name, decimals, price, liquidity, kind = 'coin'], index) => ({
    ...{ mint, symbol, name, decimals, price, liquidity, kind },
    verified: true,
    flagged: false,
    program: symbol === 'PYUSD' || kind === 'stock' ? TOKEN_2022 : TOKEN,
    ...history(index, 90 + 10 * fraction(index, 1)),
  }))
  const made = Array.from({ length: Math.max(0, size - known.length) }, (_, index) => madeUp(index))
  return [...known, ...made].slice(0, size)
}

/** A made-up token; one in 13 is not priced, and every second of those because it is flagged. */
function madeUp(index: number): Listing {
  const id = 1_000 + index
  const first = FIRST[Math.floor(index / SECOND.length) % FIRST.length] ?? ''
  const second = SECOND[index % SECOND.length] ?? ''
  // Once all pairs of words are taken they come again, with a number.
  const again = Math.floor(index / (FIRST.length * SECOND.length))
  const number = again === 0 ? '' : String(again + 1)
  const unpriced = index % 13 === 12
  const verified = !unpriced && index % 3 === 0
  return {
    mint: toBase58(Uint8Array.from({ length: 32 }, (_, place) => (hash(id, place) % 255) + 1)),
    symbol: `${first.slice(0, 2)}${second}${number}`.toUpperCase(),
    name: `${first} ${second} ${number}`.trimEnd(),
    decimals: [6, 9, 6, 8][index % 4] ?? 6,
    kind: 'coin',
    price: unpriced ? undefined : Number((10 ** (fraction(id, 40) * 7 - 5)).toPrecision(4)),
    liquidity: index % 17 === 16 ? undefined : Number((10 ** (3.5 + fraction(id, 41) * 3)).toFixed(2)),
    verified,
    flagged: unpriced && index % 2 === 0,
    program: index % 11 === 10 ? TOKEN_2022 : TOKEN,
    ...history(id, verified ? 40 + 55 * fraction(id, 42) : 40 * fraction(id, 42)),
  }
}

function history(id: number, organicScore: number): Pick<Listing, 'createdAt' | 'holders' | 'supply' | 'organicScore'> {
  const since = Date.UTC(2023, 0, 1) + Math.floor(fraction(id, 50) * 3 * 365 * 86_400_000)
  return {
    createdAt: new Date(since).toISOString(),
    holders: Math.floor(10 ** (2 + fraction(id, 51) * 4)),
    supply: Number((10 ** (6 + fraction(id, 52) * 4)).toFixed(2)),
    organicScore: Number(organicScore.toFixed(2)),
  }
}
