import {
  createSolanaRpc,
  isSolanaError,
  SOLANA_ERROR__JSON_RPC__INVALID_PARAMS,
  SOLANA_ERROR__JSON_RPC__METHOD_NOT_FOUND,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_NODE_UNHEALTHY,
} from '@solana/kit'
import { Mint, newSigner, startSolana } from '@weir/simulators/solana'
import { expect, test } from 'vitest'
import { createGateway, defineApp, type JsonRpcOptions, jsonRpc, rpc } from '../src/index.ts'

/** A gateway before a strict node, for the official client. */
async function open(node: Partial<JsonRpcOptions> = {}) {
  const stack = new AsyncDisposableStack()
  const solana = stack.use(await startSolana({ latency: 0, jitter: 0 }))
  const methods = {
    getAccountInfo: { fresh: '1m' },
    getMultipleAccounts: { fresh: '1m' },
    getSlot: { fresh: '1m' },
    getBalance: { fresh: '1m' },
    getLatestBlockhash: { fresh: '1m' },
    getTokenAccountBalance: { fresh: '1m', missing: '1m' },
  } as const
  const to = jsonRpc({ name: 'solana', url: solana.url, pastUsage: 'none', retries: 0, ...node })
  const gateway = createGateway({ apps: [defineApp({ name: 'app', use: [rpc('/api/rpc', { to, methods })] })] })
  stack.defer(() => gateway.close(1000))
  const [url] = await gateway.listen({ port: 0 })
  return {
    solana,
    /** The client before the gateway, and the same before the node. */
    client: createSolanaRpc(`${url}/api/rpc`),
    straight: createSolanaRpc(solana.url),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('the official client gets of the gateway what it gets of the node, and is no call to it the second time', async () => {
  await using site = await open()
  const { solana, client, straight } = site
  const mint = await Mint.create(solana.chain, 6)
  const player = await newSigner(solana.chain)
  await mint.give(player.address, 5_000_000n)
  const account = await mint.accountOf(player.address)

  // What was done just now is not confirmed yet.
  const now = { commitment: 'processed' } as const
  const base64 = { encoding: 'base64', ...now } as const
  const info = await client.getAccountInfo(account, base64).send()
  expect(info.value).toEqual((await straight.getAccountInfo(account, base64).send()).value)
  expect(info.value).toMatchObject({ rentEpoch: 18446744073709551615n, space: 165n })
  const many = await client.getMultipleAccounts([account, player.address], base64).send()
  expect(many.value[0]).toEqual(info.value)
  expect((await client.getTokenAccountBalance(account, now).send()).value.uiAmountString).toBe('5')
  const { asked } = solana.stats()

  const slot = await client.getSlot(now).send()
  const { value: lamports } = await client.getBalance(player.address, now).send()
  const { value: latest } = await client.getLatestBlockhash(now).send()
  expect(slot).toBeGreaterThan(9000n)
  expect(lamports).toBe((await straight.getBalance(player.address, now).send()).value)
  expect(latest.lastValidBlockHeight).toBeGreaterThan(9000n)
  expect(solana.stats().asked).toBe(asked + 4)

  expect(await client.getSlot(now).send()).toBe(slot)
  expect((await client.getBalance(player.address, now).send()).value).toBe(lamports)
  expect((await client.getLatestBlockhash(now).send()).value).toEqual(latest)
  expect(await client.getAccountInfo(account, base64).send()).toEqual(info)
  expect(solana.stats().asked).toBe(asked + 4)
})

test('the official client knows the errors of the gateway', async () => {
  await using site = await open()
  const { solana, client } = site
  const { address } = await newSigner(solana.chain)
  const failed = (call: { send(): Promise<unknown> }) =>
    call.send().then(
      () => undefined,
      (error: unknown) => error,
    )
  const refused = () => failed(client.getTokenAccountBalance(address))
  const errors = [await refused(), await refused()]
  for (const error of errors) {
    expect(isSolanaError(error, SOLANA_ERROR__JSON_RPC__INVALID_PARAMS) && error.context.__serverMessage).toContain(
      'could not find account',
    )
  }
  expect(solana.stats().asked).toBe(1)
  const unlisted = await failed(client.getVersion())
  expect(
    isSolanaError(unlisted, SOLANA_ERROR__JSON_RPC__METHOD_NOT_FOUND) && unlisted.context.__serverMessage,
  ).toContain('getAccountInfo, getMultipleAccounts, getSlot')
  await solana.close()
  const away = await failed(client.getSlot())
  expect(isSolanaError(away, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_NODE_UNHEALTHY) && away.context).toMatchObject({
    numSlotsBehind: null,
    code: 'upstream_failed',
    retry: true,
  })
})
