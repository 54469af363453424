import { once } from 'node:events'
import { createServer } from 'node:https'
import { type AddressInfo, connect as connectPlain } from 'node:net'
import { connect } from 'node:tls'
import { describe, expect, test } from 'vitest'
import type { Handler } from '../../call.ts'
import { listen, sendLive } from './server.ts'

test('a live answer over TLS is encrypted', async () => {
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

describe('pipelined calls', () => {
  const LIMITS = { message: 1000, deflate: false }

  /** Answers each call with its path: immediately, or under `/late` after the server has read all input. */
  const handle: Handler = (call) => {
    const answer = { kind: 'whole', status: 200, headers: {}, body: Buffer.from(`<${call.path}>`) } as const
    return call.path.startsWith('/late')
      ? new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(answer))))
      : answer
  }

  /** Everything that the server sends until it closes the connection. */
  async function exchange(sent: string): Promise<string> {
    const server = await listen(handle, { port: 0, host: '127.0.0.1' }, LIMITS)
    try {
      const socket = connectPlain(Number(new URL(server.url).port), '127.0.0.1').setEncoding('utf8')
      let text = ''
      socket.on('data', (chunk: string) => {
        text += chunk
      })
      socket.write(sent)
      await once(socket, 'close')
      return text
    } finally {
      await server.close(1000, false)
    }
  }

  const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`
  const statuses = (text: string) =>
    [...text.matchAll(/HTTP\/1\.1 (\d+)|<(\S+)>/g)].map(([, status, path]) => status ?? path)

  test('before a malformed call are all answered before it is refused', async () => {
    const text = await exchange(`${get('/late/1')}${get('/2')}${get('/late/3')}NONSENSE\r\n\r\n`)
    expect(statuses(text)).toEqual(['200', '/late/1', '200', '/2', '200', '/late/3', '400'])
  })

  test('already answered do not delay the refusal', async () => {
    const text = await exchange(`${get('/1')}NONSENSE\r\n\r\n`)
    expect(statuses(text)).toEqual(['200', '/1', '400'])
  })

  test('that expect 100-continue receive it before their answer, never inside another', async () => {
    const text = await exchange(
      `${get('/1')}${get('/2', 'expect: 100-continue\r\n')}${get('/3', 'connection: close\r\n')}`,
    )
    expect(statuses(text).filter((status) => status !== '100')).toEqual(['200', '/1', '200', '/2', '200', '/3'])
    expect(text).not.toMatch(/content-length: \d+\r\n\r\nHTTP/)
  })
})
