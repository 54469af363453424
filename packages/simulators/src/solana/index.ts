/** Apart from the other simulators, since it brings a virtual machine with it: LiteSVM is loaded by who asks for it. */
export type { Chain, Change, Commitment } from './chain.ts'
export type { Executed } from './history.ts'
export type { RpcLimits } from './limits.ts'
export { execute, Mint, newSigner } from './mint.ts'
export { type Solana, type SolanaFault, type SolanaOptions, startSolana } from './server.ts'
export type { TransactionError } from './transaction-error.ts'
