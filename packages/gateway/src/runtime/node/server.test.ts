import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import { expect, test } from 'vitest'
import { sendLive } from './server.ts'

test('a live answer over TLS is encrypted as all else', async () => {
  const pskCallback = () => Buffer.from('0123456789abcdef')
  const secure = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const
  const server = createServer({ ...secure, pskCallback }, (request, response) => {
    const open = (connection: { write(bytes: Uint8Array): boolean }) => connection.write(Buffer.from('in secret'))
    sendLive({ kind: 'live', headers: {}, open }, request, response, false)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect({
    ...secure,
    port: (server.address() as AddressInfo).port,
    pskCallback: () => ({ psk: pskCallback(), identity: 'test' }),
    checkServerIdentity: () => undefined,
  })
  try {
    let text = ''
    client.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await expect.poll(() => text).toContain('in secret')
  } finally {
    client.destroy()
    server.closeAllConnections()
    server.close()
  }
})
