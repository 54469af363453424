import { type Jupiter, startJupiter } from '@weir/simulators'
import { type Lottery, type LotteryOptions, openLottery, type Solana, startSolana } from '@weir/simulators/solana'
import { type Served, serveApp } from '../../../scripts/served.ts'

/** What the app stands on: a chain with a lottery, its node, and who says prices. */
export interface World extends AsyncDisposable {
  readonly solana: Solana
  readonly lottery: Lottery
  readonly jupiter: Jupiter
  /** What the app is told of them. */
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

/** Serves the app, on any free port unless told. */
export function serve(environment: Readonly<Record<string, string>>, args: readonly string[] = []): Promise<Served> {
  return serveApp('lottery', environment, args)
}
