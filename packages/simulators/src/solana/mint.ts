import { type Address, generateKeyPairSigner, type Instruction, type KeyPairSigner } from '@solana/kit'
import { getCreateAccountInstruction } from '@solana-program/system'
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstruction,
  getInitializeMint2Instruction,
  getMintSize,
  getMintToInstruction,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'
import type { Chain } from './chain.ts'
import type { Executed } from './history.ts'
import { execute } from './sign.ts'

const SOL = 1_000_000_000n

/** A key pair with some SOL to pay fees with: 100 unless told. */
export async function newSigner(chain: Chain, lamports = 100n * SOL): Promise<KeyPairSigner> {
  // Extractable, so that it can sign without waiting.
  const signer = await generateKeyPairSigner(true)
  chain.airdrop(signer.address, lamports)
  return signer
}

/** A mint of the SPL token program, and whoever may mint. */
export class Mint {
  readonly address: Address
  readonly decimals: number
  readonly #chain: Chain
  readonly #authority: KeyPairSigner

  private constructor(chain: Chain, address: Address, authority: KeyPairSigner, decimals: number) {
    this.#chain = chain
    this.address = address
    this.#authority = authority
    this.decimals = decimals
  }

  /** A new mint with so many decimals. */
  static async create(chain: Chain, decimals: number): Promise<Mint> {
    const authority = await newSigner(chain)
    const mint = await generateKeyPairSigner(true)
    execute(chain, authority, [
      getCreateAccountInstruction({
        payer: authority,
        newAccount: mint,
        lamports: chain.rent(getMintSize()),
        space: getMintSize(),
        programAddress: TOKEN_PROGRAM_ADDRESS,
      }),
      getInitializeMint2Instruction({ mint: mint.address, decimals, mintAuthority: authority.address }),
    ])
    return new Mint(chain, mint.address, authority, decimals)
  }

  /** Where an owner's tokens are: its associated token account. */
  async accountOf(owner: Address): Promise<Address> {
    const [account] = await findAssociatedTokenPda({ owner, mint: this.address, tokenProgram: TOKEN_PROGRAM_ADDRESS })
    return account
  }

  /** Mints an amount, in the smallest unit, into the owner's account, which is opened first if need be. */
  async give(owner: Address, amount: bigint): Promise<Executed> {
    const token = await this.accountOf(owner)
    return execute(this.#chain, this.#authority, [
      this.#open(this.#authority, owner, token),
      getMintToInstruction({ mint: this.address, token, mintAuthority: this.#authority, amount }),
    ])
  }

  /** What sends an amount, in the smallest unit, from a signer to an owner, whose account is opened first if need be. */
  async transfer(from: KeyPairSigner, to: Address, amount: bigint): Promise<readonly Instruction[]> {
    const { address: mint, decimals } = this
    const source = await this.accountOf(from.address)
    const destination = await this.accountOf(to)
    return [
      this.#open(from, to, destination),
      getTransferCheckedInstruction({ source, mint, destination, authority: from, amount, decimals }),
    ]
  }

  #open(payer: KeyPairSigner, owner: Address, ata: Address): Instruction {
    return getCreateAssociatedTokenIdempotentInstruction({ payer, ata, owner, mint: this.address })
  }
}
