import { KeyObject, sign as signBytes } from 'node:crypto'
import {
  appendTransactionMessageInstructions,
  compileTransaction,
  createTransactionMessage,
  type Instruction,
  isKeyPairSigner,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  signatureBytes,
  type Transaction,
  type TransactionSigner,
} from '@solana/kit'
import { BLOCKHASH_AGE, type Chain } from './chain.ts'
import type { Executed } from './history.ts'
import { describe } from './transaction-error.ts'

/** One transaction of these instructions, signed by the payer and by all whose key pairs the instructions carry. */
export function sign(chain: Chain, payer: KeyPairSigner, instructions: readonly Instruction[]): Transaction {
  const lifetime = {
    blockhash: chain.blockhash(chain.slot),
    lastValidBlockHeight: BigInt(chain.slot + BLOCKHASH_AGE),
  }
  const transaction = pipe(
    createTransactionMessage({ version: 0 }),
    (message) => setTransactionMessageFeePayer(payer.address, message),
    (message) => setTransactionMessageLifetimeUsingBlockhash(lifetime, message),
    (message) => appendTransactionMessageInstructions(instructions, message),
    (message) => compileTransaction(message),
  )
  const signatures = { ...transaction.signatures }
  for (const { address, keyPair } of [payer, ...instructions.flatMap(readSigners)]) {
    const key = KeyObject.from(keyPair.privateKey)
    signatures[address] = signatureBytes(signBytes(null, new Uint8Array(transaction.messageBytes), key))
  }
  return { messageBytes: transaction.messageBytes, signatures }
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
