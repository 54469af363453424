import {
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  getBase64EncodedWireTransaction,
  type Signature,
} from '@solana/kit'
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { expect, test } from 'vitest'
import { Mint, newSigner, startSolana } from './index.ts'
import { sign } from './sign.ts'

test('the official client reads, sends, and hears of what it sent', async () => {
  // A slot of 10 ms: confirmed after 20 ms, so that the test waits for the chain and not the other way round.
  await using solana = await startSolana({ latency: 0, jitter: 0, slotTime: 10 })
  const { chain } = solana
  const rpc = createSolanaRpc(solana.url)
  const subscriptions = createSolanaRpcSubscriptions(solana.socketUrl)
  const mint = await Mint.create(chain, 6)
  const [player, jackpot] = [await newSigner(chain), await newSigner(chain)]
  await mint.give(player.address, 5_000_000n)
  const account = await mint.accountOf(player.address)

  using abort = Object.assign(new AbortController(), {
    [Symbol.dispose](this: AbortController) {
      this.abort()
    },
  })
  const told = await subscriptions
    .accountNotifications(account, { commitment: 'processed', encoding: 'base64' })
    .subscribe({ abortSignal: abort.signal })
  // The client keeps nothing for who does not listen yet.
  const heard = told[Symbol.asyncIterator]().next()
  const slots = await subscriptions.slotNotifications().subscribe({ abortSignal: abort.signal })

  const signed = sign(chain, player, await mint.transfer(player, jackpot.address, 1_500_000n))
  const wire = getBase64EncodedWireTransaction(signed)
  const signature: Signature = await rpc.sendTransaction(wire, { encoding: 'base64' }).send()
  const { value: change } = await heard
  expect(Buffer.from(change.value.data[0], 'base64').readBigUInt64LE(64)).toBe(3_500_000n)
  const { value: begun } = await slots[Symbol.asyncIterator]().next()
  expect(begun.slot).toBe(begun.parent + 1n)
  await expect
    .poll(async () => (await rpc.getSignatureStatuses([signature]).send()).value[0]?.confirmationStatus)
    .toMatch(/confirmed|finalized/)

  const { value } = await rpc.getTokenAccountBalance(await mint.accountOf(jackpot.address)).send()
  expect(value.uiAmountString).toBe('1.5')
  const many = await rpc.getMultipleAccounts([account, player.address], { encoding: 'base64' }).send()
  expect(many.value[0]?.space).toBe(165n)
  const owned = await rpc
    .getTokenAccountsByOwner(player.address, { mint: mint.address }, { encoding: 'jsonParsed' })
    .send()
  expect(owned.value[0]?.account.data.parsed.info.tokenAmount.amount).toBe('3500000')
  const found = await rpc
    .getProgramAccounts(TOKEN_PROGRAM_ADDRESS, { encoding: 'base64', filters: [{ dataSize: 165n }] })
    .send()
  expect(found).toHaveLength(2)
  expect((await rpc.getBalance(player.address).send()).value).toBeLessThan(100_000_000_000n)
  expect((await rpc.getLatestBlockhash().send()).value.lastValidBlockHeight).toBeGreaterThan(10_000n)
  expect(await rpc.getHealth().send()).toBe('ok')
  expect((await rpc.getVersion().send())['solana-core']).toBe('2.0.15')
  await expect(rpc.getTokenAccountBalance(player.address).send()).rejects.toThrow('not a Token account')
  expect(await rpc.getSlot({ commitment: 'processed' }).send()).toBeGreaterThan(10_000n)
})
