import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { request } from '../../test/request.ts'
import { systemClock } from '../clock.ts'
import { createPool } from './pool.ts'

/** A server that accepts connections and never sends anything. */
async function silent() {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test.each([
  ['of the call', { timeout: 400 }],
  ['to connect', { timeout: 3000, connectTimeout: 400 }],
])('a hanging TLS handshake ends by the time %s, for each of many calls, and none is to blame', async (_, times) => {
  await using server = await silent()
  const pool = createPool({
    ...{ upstream: 'up', url: `https://127.0.0.1:${server.port}`, connections: 2, maxResponse: 1000 },
    ...{ clock: systemClock, emit: () => {}, ...times },
  })
  const began = performance.now()
  const outcomes = await Promise.all(
    Array.from({ length: 5 }, () =>
      pool
        .send(request({ deadline: systemClock.monotonic() + 5000 }))
        .catch((error) => [error.code, error.unreachable, performance.now() - began]),
    ),
  )
  await pool.close()
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject(['upstream_timeout', true, expect.any(Number)])
    expect((outcome as unknown[])[2]).toBeLessThan(2500)
  }
})
