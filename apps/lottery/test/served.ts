import { type Jupiter, startJupiter } from '@weir/simulators'
import { type Lottery, type LotteryOptions, openLottery, type Solana, startSolana } from '@weir/simulators/solana'
import { type Served, serveApp } from '../../../scripts/served.ts'

/** Dependencies of the app: a chain with a lottery, its node, and a price service. */
export interface World extends AsyncDisposable {
  readonly solana: Solana
  readonly lottery: Lottery
  readonly jupiter: Jupiter
  /** Environment variables for the app. */
  readonly environment: Readonly<Record<string, string>>
}

export async function world(options: LotteryOptions = {}): Promise<World> {
  const stack = new AsyncDisposableStack()
  const solana = stack.use(await startSolana())
  const jupiter = stack.use(await startJupiter({ strict: true }))
  const lottery = await openLottery(solana.chain, options)
  return {
    solana,
    lottery,
    jupiter,
    environment: {
      SOLANA_URL: solana.url,
      LOTTERY_TOKEN_MINT: lottery.mint,
      LOTTERY_POT: lottery.pot,
      JUPITER_URL: jupiter.url,
      JUPITER_API_KEYS: 'jup_test',
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Serves the app, by default on a free port. */
export function serve(environment: Readonly<Record<string, string>>, args: readonly string[] = []): Promise<Served> {
  return serveApp('lottery', environment, args)
}
