import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/**
 * So many ports that nobody listens on, at this moment. Workers that are started at different times could not all have the same one
 * of port 0.
 *
 * @throws the system's error when the address can't be had
 */
export async function freePorts(count: number, host: string): Promise<readonly number[]> {
  // All are held until all are known, so that none comes twice.
  const held = Array.from({ length: count }, () => createServer().listen(0, host))
  await Promise.all(held.map((server) => once(server, 'listening')))
  const ports = held.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(held.map((server) => once(server.close(), 'close')))
  return ports
}
