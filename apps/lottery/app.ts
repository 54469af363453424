import { defineApp, follow, rpc, socket } from '@weir/gateway'
import { z } from 'zod'
import { balance, history, pot, round, token } from './chain.ts'
import { price } from './price.ts'
import { routes } from './routes.ts'
import { SETTINGS } from './settings.ts'
import { solana } from './solana.ts'
import { lottery, participants, state } from './state.ts'

const GetState = z.object({ type: z.literal('getState') })
const update = (state: unknown) => ({ type: 'stateUpdate', state })

/** A WebSocket that sends the state to each new client, after every change, and on request. */
const ws = socket('/ws', {
  name: 'ws',
  follow: [follow(state, {}, update)],
  receive: async (message, client) => {
    if (GetState.safeParse(message).success) client.send(update((await state.get({})).value))
    else client.send({ type: 'error', error: 'expected {"type":"getState"}' })
  },
})

/** JSON-RPC of the node, limited to read methods whose result is the same for all clients. */
const node = rpc('/api/rpc', {
  name: 'rpc',
  to: solana,
  methods: {
    getAccountInfo: { fresh: '1s' },
    getBalance: { fresh: '1s' },
    getBlockHeight: { fresh: '400ms' },
    getEpochInfo: { fresh: '1s' },
    getLatestBlockhash: { fresh: '2s' },
    getMinimumBalanceForRentExemption: { fresh: '1h' },
    getMultipleAccounts: { fresh: '1s' },
    getSignatureStatuses: { fresh: '400ms' },
    getSignaturesForAddress: { fresh: '1s' },
    getSlot: { fresh: '400ms' },
    getTokenAccountBalance: { fresh: '1s' },
    getTokenAccountsByOwner: { fresh: '1s' },
    getTokenSupply: { fresh: '5s' },
    getTransaction: { fresh: '1h' },
    getVersion: { fresh: '1h' },
  },
})

export default defineApp({
  name: 'lottery',
  use: [state, lottery, participants, price, token, pot, round, history, balance, ws, node],
  graphql: true,
  cors: SETTINGS.origins,
  page: new URL('./page/dist/', import.meta.url),
  routes,
})
