import { setImmediate } from 'node:timers/promises'
import {
  AccountRole,
  type Address,
  address,
  createKeyPairSignerFromPrivateKeyBytes,
  getAddressDecoder,
  type Instruction,
  type KeyPairSigner,
  lamports,
  type ReadonlyUint8Array,
  type Signature,
  some,
} from '@solana/kit'
import { getTransferSolInstruction } from '@solana-program/system'
import {
  AccountState,
  findAssociatedTokenPda,
  getMintEncoder,
  getTokenEncoder,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'
import { hash, sequence } from '../random.ts'
import { readToken } from './accounts.ts'
import type { Chain } from './chain.ts'
import type { Executed } from './history.ts'
import { sign } from './sign.ts'
import { describe } from './transaction-error.ts'

/** BONK on the main network, which has five decimals. */
const BONK = 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263'
const DECIMALS = 5
/** All tokens there are, in the smallest unit; the players have them in equal parts. */
const SUPPLY = 10n ** 18n
const SYSTEM_PROGRAM = address('11111111111111111111111111111111')
const COMPUTE_BUDGET = address('ComputeBudget111111111111111111111111111111')
const SOL = 1_000_000_000n

export interface LotteryOptions {
  /** A whole number; keys, and so all addresses, and who wins are the same in every run with the same one. 1 unless told. */
  readonly seed?: number
  /** Where the token's mint stands; BONK's address unless told. */
  readonly mint?: Address
  /** In the smallest unit; 1,000 tokens unless told. */
  readonly ticketPrice?: bigint
  /** How many players there are; 100 unless told. */
  readonly players?: number
  /** How many entries have been made when it opens; 0 unless told. */
  readonly entries?: number
}

interface Settings {
  readonly seed: number
  readonly mint: Address
  readonly pot: Address
  readonly authority: KeyPairSigner
  readonly ticketPrice: bigint
  readonly players: readonly Player[]
}

/** Who takes part, and where his tokens are. */
export interface Player {
  readonly signer: KeyPairSigner
  readonly account: Address
}

/**
 * Ways to seem to enter, or to enter as few do: `other-mint` moves other tokens elsewhere and names the pot, `mention` only
 * names it, `underpaid` pays a unit less than a ticket, `failed` more than the player has. `two-owners` are two players' tickets
 * and `twice` two of one player, each in one transaction: these are good.
 */
export type Forgery = 'other-mint' | 'mention' | 'underpaid' | 'failed' | 'two-owners' | 'twice'

/**
 * A lottery on a chain. Who sends n times the price of a ticket to the pot has n tickets; a draw is a transaction of the
 * authority that sends all that is in the pot to who won. A chain that is reset has it again as it began.
 */
export class Lottery {
  readonly mint: Address
  /** The authority's token account. */
  readonly pot: Address
  readonly authority: KeyPairSigner
  /** In the smallest unit. */
  readonly ticketPrice: bigint
  readonly players: readonly Player[]
  readonly #chain: Chain
  readonly #seed: number
  /** Tickets in this round. */
  readonly #tickets = new Map<Player, number>()
  #random: () => number
  #entries = 0
  #sent = 0

  /** Use `openLottery`: keys and addresses take a moment to be made. */
  constructor(chain: Chain, settings: Settings) {
    this.mint = settings.mint
    this.pot = settings.pot
    this.authority = settings.authority
    this.ticketPrice = settings.ticketPrice
    this.players = settings.players
    this.#chain = chain
    this.#seed = settings.seed
    this.#random = sequence(settings.seed)
    chain.begin(() => this.#open())
  }

  /** The players who have tickets in this round. */
  get entrants(): readonly Player[] {
    return [...this.#tickets.keys()]
  }

  /** A player buys so many tickets, one unless told, in one transaction. */
  enter(player: Player, tickets = 1): Signature {
    const signature = this.#execute(player, [this.#pay(player, this.ticketPrice * BigInt(tickets))])
    this.#note(player, tickets)
    return signature
  }

  /** Any player buys one ticket to five. */
  enterAnyone(): Signature {
    return this.enter(this.#anyone(), 1 + Math.floor(this.#random() * 5))
  }

  /** Pays out the pot and begins the next round. Each ticket wins as likely as any other, unless the winner is named. */
  draw(winner: Player = this.#drawn()): Signature {
    const { mint, pot, authority } = this
    const amount = readToken(this.#chain.account(pot))?.amount ?? 0n
    const destination = winner.account
    const paid = getTransferCheckedInstruction({
      source: pot,
      mint,
      destination,
      authority,
      amount,
      decimals: DECIMALS,
    })
    const signature = this.#execute({ signer: authority, account: pot }, [paid])
    this.#tickets.clear()
    return signature
  }

  /** One of the ways not to enter as most do, tried by a player: any unless told. */
  forge(kind: Forgery, player: Player = this.#anyone()): Signature {
    const price = this.ticketPrice
    const names = { address: this.pot, role: AccountRole.READONLY }
    switch (kind) {
      case 'mention': {
        const { signer } = player
        const nothing = getTransferSolInstruction({ source: signer, destination: signer.address, amount: 1n })
        return this.#execute(player, [{ ...nothing, accounts: [...nothing.accounts, names] }])
      }
      case 'other-mint': {
        const moved = this.#payOther(player)
        return this.#execute(player, [{ ...moved, accounts: [...moved.accounts, names] }])
      }
      case 'underpaid':
        return this.#execute(player, [this.#pay(player, price - 1n)])
      case 'failed':
        return this.#send(player, [this.#pay(player, SUPPLY)]).signature
      case 'two-owners': {
        const next = this.players[(this.players.indexOf(player) + 1) % this.players.length] ?? player
        const signature = this.#execute(player, [this.#pay(player, price), this.#pay(next, price)])
        this.#note(player, 1)
        this.#note(next, 1)
        return signature
      }
      case 'twice': {
        const signature = this.#execute(player, [this.#pay(player, price), this.#pay(player, price)])
        this.#note(player, 2)
        return signature
      }
    }
  }

  /** Makes entries, and has them from the beginning when the chain is reset. */
  async fill(entries: number): Promise<void> {
    for (let entry = 1; entry <= entries; entry++) {
      this.enterAnyone()
      // Slots pass meanwhile, and who asks is answered.
      if (entry % 100 === 0) await setImmediate()
    }
    this.#entries = entries
  }

  /** What there is from the beginning: nobody has the key of a known mint, so it is put there. */
  #open(): void {
    this.#tickets.clear()
    this.#random = sequence(this.#seed)
    this.#sent = 0
    this.#putMint(this.mint)
    this.#putTokens(this.pot, this.mint, this.authority.address, 0n)
    this.#putLamports(this.authority.address)
    for (const { signer, account } of this.players) {
      this.#putTokens(account, this.mint, signer.address, SUPPLY / BigInt(this.players.length))
      this.#putLamports(signer.address)
    }
    for (let entry = 0; entry < this.#entries; entry++) this.enterAnyone()
  }

  #pay({ signer, account }: Player, amount: bigint) {
    const { mint, pot } = this
    return getTransferCheckedInstruction({
      source: account,
      mint,
      destination: pot,
      authority: signer,
      amount,
      decimals: DECIMALS,
    })
  }

  /** What looks like a ticket's price, of a token that anyone may make. */
  #payOther({ signer }: Player) {
    const [mint, source, destination] = [1, 2, 3].map((part) => getAddressDecoder().decode(bytes(this.#seed, 2, part)))
    if (mint === undefined || source === undefined || destination === undefined) throw new Error('expected three')
    this.#putMint(mint)
    this.#putTokens(source, mint, signer.address, this.ticketPrice)
    this.#putTokens(destination, mint, this.authority.address, 0n)
    const amount = this.ticketPrice
    return getTransferCheckedInstruction({ source, mint, destination, authority: signer, amount, decimals: DECIMALS })
  }

  #execute(payer: Player, instructions: readonly Instruction[]): Signature {
    const { signature, error, logs } = this.#send(payer, instructions)
    if (error === null) return signature
    throw new Error(`${describe(error)}\n${logs.join('\n')}`)
  }

  /** Each has a bound of its own on what it may compute: else two alike in one slot would be one and the same. */
  #send({ signer }: Player, instructions: readonly Instruction[]): Executed {
    const data = new Uint8Array(5)
    data[0] = 2
    new DataView(data.buffer).setUint32(1, 100_000 + (this.#sent++ % 1_000_000), true)
    return this.#chain.send(sign(this.#chain, signer, [{ programAddress: COMPUTE_BUDGET, data }, ...instructions]))
  }

  #note(player: Player, tickets: number): void {
    this.#tickets.set(player, (this.#tickets.get(player) ?? 0) + tickets)
  }

  #anyone(): Player {
    const player = this.players[Math.floor(this.#random() * this.players.length)]
    if (player === undefined) throw new Error('expected a lottery with players')
    return player
  }

  #drawn(): Player {
    const all = [...this.#tickets.values()].reduce((sum, tickets) => sum + tickets, 0)
    let place = Math.floor(this.#random() * all)
    for (const [player, tickets] of this.#tickets) {
      place -= tickets
      if (place < 0) return player
    }
    throw new Error('expected tickets in this round, and there are none')
  }

  #putMint(mint: Address): void {
    const mintAuthority = some(this.authority.address)
    const data = { mintAuthority, supply: SUPPLY, decimals: DECIMALS, isInitialized: true, freezeAuthority: null }
    this.#put(mint, TOKEN_PROGRAM_ADDRESS, getMintEncoder().encode(data))
  }

  #putTokens(account: Address, mint: Address, owner: Address, amount: bigint): void {
    const state = AccountState.Initialized
    const none = { delegate: null, isNative: null, delegatedAmount: 0n, closeAuthority: null }
    this.#put(account, TOKEN_PROGRAM_ADDRESS, getTokenEncoder().encode({ mint, owner, amount, state, ...none }))
  }

  #putLamports(owner: Address): void {
    this.#put(owner, SYSTEM_PROGRAM, new Uint8Array(), 100n * SOL)
  }

  #put(at: Address, programAddress: Address, data: ReadonlyUint8Array, amount = this.#chain.rent(data.length)): void {
    const space = BigInt(data.length)
    this.#chain.put({ address: at, programAddress, data, lamports: lamports(amount), executable: false, space })
  }
}

/** Opens a lottery: the token's mint, the authority and its pot, and players who have tokens. */
export async function openLottery(chain: Chain, options: LotteryOptions = {}): Promise<Lottery> {
  const { seed = 1, players = 100, entries = 0, ticketPrice = 100_000_000n } = options
  const mint = options.mint ?? address(BONK)
  const [authority, ...signers] = await Promise.all(
    Array.from({ length: players + 1 }, (_, place) =>
      createKeyPairSignerFromPrivateKeyBytes(bytes(seed, 1, place), true),
    ),
  )
  if (authority === undefined) throw new Error(`expected a number of players, got ${players}`)
  const tokenAccount = async (owner: Address) =>
    (await findAssociatedTokenPda({ owner, mint, tokenProgram: TOKEN_PROGRAM_ADDRESS }))[0]
  const accounts = await Promise.all(
    signers.map(async (signer) => ({ signer, account: await tokenAccount(signer.address) })),
  )
  const pot = await tokenAccount(authority.address)
  const lottery = new Lottery(chain, { seed, mint, pot, authority, ticketPrice, players: accounts })
  await lottery.fill(entries)
  return lottery
}

/** 32 bytes that are always the same for the same numbers. */
function bytes(...parts: readonly number[]): Uint8Array {
  const made = new DataView(new ArrayBuffer(32))
  for (let at = 0; at < 32; at += 4) made.setUint32(at, hash(...parts, at))
  return new Uint8Array(made.buffer)
}
