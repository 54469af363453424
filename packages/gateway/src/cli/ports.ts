import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/**
 * Finds `count` free ports. Workers start at different times and must share a port, so each cannot ask the system for port 0.
 *
 * @throws the system's error when it can't listen on the address
 */
export async function freePorts(count: number, host: string): Promise<readonly number[]> {
  // All stay bound until all are known, so that the system returns no port twice.
  const held = Array.from({ length: count }, () => createServer().listen(0, host))
  await Promise.all(held.map((server) => once(server, 'listening')))
  const ports = held.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(held.map((server) => once(server.close(), 'close')))
  return ports
}
