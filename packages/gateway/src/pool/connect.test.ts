import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { request } from '../../test/request.ts'
import { systemClock } from '../clock.ts'
import { createConnector } from './connect.ts'
import { createPool } from './pool.ts'

/**
 * A server, and a connector with named addresses: `dead` never answers, `refuses` fails at once, `late` connects when
 * released.
 */
async function open(names: readonly string[], timeout = 10_000) {
  const clock = new ManualClock()
  const server = createServer((socket) => void socket.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const tried: string[] = []
  const late: Socket[] = []
  const made = new Set<Socket>()
  const connector = createConnector({
    ...{ upstream: 'up', timeout, clock },
    addressesOf: async () => names.map((address) => ({ address, family: address.startsWith('six') ? 6 : 4 })),
    connectTo({ host = '' }) {
      tried.push(host)
      const socket = host.endsWith('live') ? connect(port, '127.0.0.1') : new Socket()
      if (host.endsWith('late')) late.push(socket)
      if (host.endsWith('refuses')) setImmediate(() => socket.destroy(new Error('refused')))
      made.add(socket)
      return socket
    },
  })
  const options = { hostname: 'up.example', host: 'up.example', protocol: 'http:', port: '80' }
  const outcome = new Promise<string>((resolve) => {
    connector(options, (...[error]) => resolve(error === null ? 'connected' : error.message))
  })
  return {
    clock,
    tried,
    outcome,
    made,
    connectLate: () => late[0]?.connect(port, '127.0.0.1'),
    async [Symbol.asyncDispose]() {
      for (const socket of made) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('a distant address is not abandoned while the next one is dead', async () => {
  await using opened = await open(['four-late', 'six-dead'])
  await opened.clock.advance(5000)
  expect(opened.tried).toEqual(['four-late', 'six-dead'])
  opened.connectLate()
  expect(await opened.outcome).toBe('connected')
  // The other is closed.
  expect([...opened.made].map(({ destroyed }) => destroyed)).toEqual([false, true])
})

test('a dead address costs a quarter of a second, one that refuses nothing, and families alternate', async () => {
  await using opened = await open(['six-dead', 'six-dead', 'six-dead', 'four-refuses', 'four-live'])
  await opened.clock.advance(250)
  await expect.poll(() => opened.tried).toEqual(['six-dead', 'four-refuses', 'six-dead'])
  await opened.clock.advance(250)
  expect(await opened.outcome).toBe('connected')
})

test('reports that all addresses refuse, and a timeout if none answers', async () => {
  await using refused = await open(['refuses', 'refuses'])
  expect(await refused.outcome).toBe('up: the connection failed')
  await using dead = await open(['dead', 'dead'], 3000)
  await dead.clock.advance(3000)
  expect(await dead.outcome).toBe('up: no connection in 3000 ms')
  expect([...dead.made].every(({ destroyed }) => destroyed)).toBe(true)
  expect(dead.clock.timers).toBe(0)
  await using nowhere = await open([])
  expect(await nowhere.outcome).toBe('up: has a host name without an address')
})

test('a connection is replaced at its maximum age, and calls under way end on the old one', async () => {
  let connections = 0
  const server = createHttpServer((_, response) => response.end('{}'))
  server.on('connection', () => {
    connections += 1
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const pool = createPool({
    ...{ upstream: 'up', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, connections: 1 },
    ...{ timeout: 5000, connectionAge: 50, maxResponse: 1000, clock: systemClock, emit: () => {} },
  })
  const send = () => pool.send(request({ deadline: systemClock.monotonic() + 5000 }))
  await send()
  await expect
    .poll(async () => {
      await send()
      return connections
    })
    .toBeGreaterThan(1)
  await pool.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})
