import { KeyObject, sign as signBytes } from 'node:crypto'
import {
  getTransactionDecoder,
  type Instruction,
  isKeyPairSigner,
  type KeyPairSigner,
  type Transaction,
  type TransactionSigner,
} from '@solana/kit'
import type { Chain } from './chain.ts'
import type { Executed } from './history.ts'
import { concat, writeCount, writeMessage } from './message.ts'
import { describe } from './transaction-error.ts'

/** One transaction of these instructions, signed by the payer and by all whose key pairs the instructions carry. */
export function sign(chain: Chain, payer: KeyPairSigner, instructions: readonly Instruction[]): Transaction {
  const message = writeMessage(payer.address, chain.blockhash(chain.slot), instructions)
  const pairs = [payer, ...instructions.flatMap(readSigners)]
  const signatures = message.signers.map((address) => {
    const pair = pairs.find((one) => one.address === address)
    if (pair === undefined) throw new Error(`expected the key pair of ${address} among the signers`)
    return signBytes(null, message.bytes, KeyObject.from(pair.keyPair.privateKey))
  })
  return getTransactionDecoder().decode(concat([writeCount(signatures.length), ...signatures, message.bytes]))
}

/** Executes instructions as one transaction, past the node's limits. Throws when it fails. */
export function execute(chain: Chain, payer: KeyPairSigner, instructions: readonly Instruction[]): Executed {
  const executed = chain.send(sign(chain, payer, instructions))
  if (executed.error === null) return executed
  throw new Error(`${describe(executed.error)}\n${executed.logs.join('\n')}`)
}

function readSigners({ accounts = [] }: Instruction): readonly KeyPairSigner[] {
  return accounts.flatMap((account) => {
    const signer = 'signer' in account ? account.signer : undefined
    return isSigner(signer) && isKeyPairSigner(signer) ? [signer] : []
  })
}

/** What builders of instructions put beside an account that signs. */
function isSigner(value: unknown): value is TransactionSigner {
  return typeof value === 'object' && value !== null && 'address' in value
}
