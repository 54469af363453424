/** A token in search results and on the page. */
export interface Token {
  readonly mint: string
  readonly symbol: string
  readonly name: string
  readonly verified: boolean
}

/** The list of a new visitor. Names are built in, so that the first paint needs no request. */
export const DEFAULT_TOKENS: readonly Token[] = [
  token('SOL', 'Solana', 'So11111111111111111111111111111111111111112'),
  token('JUP', 'Jupiter', 'JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN'),
  token('USDC', 'USD Coin', 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v'),
  token('BONK', 'Bonk', 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263'),
  token('WIF', 'dogwifhat', 'EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm'),
  token('JTO', 'Jito', 'jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL'),
  token('PYTH', 'Pyth Network', 'HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3'),
  token('RAY', 'Raydium', '4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R'),
  token('ORCA', 'Orca', 'orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE'),
  token('JitoSOL', 'Jito Staked SOL', 'J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn'),
  token('mSOL', 'Marinade staked SOL', 'mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So'),
  token('HNT', 'Helium', 'hntyVP6YFm1Hg25TN9WGLqM12b8TQmcknKrdu1oxWux'),
  token('RENDER', 'Render', 'rndrizKT3MK1iimdxRdWabcF7Zg7AR5T4nud4EkHBof'),
  token('W', 'Wormhole', '85VBFQZC9TZkfaptBWjvUw7YbZjy52A6mjtPGjstQAmQ'),
]

export const DEFAULT_MINTS: readonly string[] = DEFAULT_TOKENS.map(({ mint }) => mint)

function token(symbol: string, name: string, mint: string): Token {
  return { mint, symbol, name, verified: true }
}
