import { once } from 'node:events'
import type { KeyPairSigner } from '@solana/kit'
import { expect } from 'vitest'
import WebSocket from 'ws'
import { ManualClock } from '../test-client.ts'
import { execute, Mint, newSigner, type SolanaOptions, startSolana } from './index.ts'

const SLOT = 400

/** At once, on a clock of its own. */
export async function start(options: SolanaOptions = {}) {
  const clock = new ManualClock()
  const solana = await startSolana({ latency: 0, jitter: 0, clock, ...options })
  const post = async (body: unknown, path = '/') => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const response = await fetch(solana.url + path, { method: 'POST', body: text })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  return {
    clock,
    solana,
    chain: solana.chain,
    post,
    /** So many slots go by. */
    pass(slots: number) {
      clock.now += slots * SLOT
      solana.advance()
    },
    /** The result of a call, or its error. */
    async call(method: string, ...params: unknown[]) {
      const { result, error } = JSON.parse((await post({ jsonrpc: '2.0', id: 1, method, params })).text)
      return error ?? result
    },
    [Symbol.asyncDispose]: () => solana.close(),
  }
}

export type Running = Awaited<ReturnType<typeof start>>

/** Alice has 1,000.00 of a token with two decimals, and Bob has none and no account. */
export async function withToken({ chain }: Running) {
  const [mint, alice, bob] = [await Mint.create(chain, 2), await newSigner(chain), await newSigner(chain)]
  await mint.give(alice.address, 100_000n)
  const pay = async (amount: bigint, from: KeyPairSigner = alice, to: KeyPairSigner = bob) =>
    execute(chain, from, await mint.transfer(from, to.address, amount))
  return { mint, alice, bob, pay, aliceAccount: await mint.accountOf(alice.address) }
}

/** A WebSocket that keeps what it is told. */
export async function connect(url: string) {
  const socket = new WebSocket(url)
  const told: { id?: string }[] = []
  socket.on('message', (message) => told.push(JSON.parse(String(message))))
  await once(socket, 'open')
  return {
    socket,
    told,
    /** Sends a call and gives its answer. All told before it has come by then. */
    async call(method: string, ...params: unknown[]) {
      const id = `${method} ${told.length}`
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      await expect.poll(() => told.some((message) => message.id === id)).toBe(true)
      return told.splice(
        told.findIndex((message) => message.id === id),
        1,
      )[0]
    },
    [Symbol.dispose]: () => socket.terminate(),
  }
}
