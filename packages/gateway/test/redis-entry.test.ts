import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createClient } from 'redis'
import { expect, test } from 'vitest'
import { freePort } from '../../../scripts/free-port.ts'
import { redisServer } from '../../../scripts/redis-server.ts'
import type { Backend } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { redisAddress } from '../src/backend/redis/url.ts'
import { createGateway, type WeirEvent } from '../src/index.ts'

/** As a password may be, and as it is in an address. */
const PASSWORD = 'p@ss/w:rd,%'
const WRITTEN = encodeURIComponent(PASSWORD)

/** What one user may do who needs no more than a gateway does. */
const USER = [
  '--user',
  'weir',
  'on',
  `>${PASSWORD}`,
  '~{weir:*',
  '&{weir:*',
  '+@all',
  '-@admin',
  '-@dangerous',
  '+info',
]

/** Uses every port, and both connections. */
async function works(backend: Backend): Promise<void> {
  const heard: string[] = []
  backend.bus.onBroadcast('words', (word) => heard.push(word))
  await expect.poll(() => heard, { timeout: 5000 }).toContain('')
  backend.bus.broadcast('words', 'a word')
  await expect.poll(() => heard).toContain('a word')
  expect((await backend.leases.acquire('/a', 'one', 1000, 0)).held).toBe(true)
  expect(await backend.leases.claim('group', ['/a'], 'one', 1000)).toEqual([true])
  expect((await backend.logs.append('log', Buffer.from('1'), { events: 1, age: 1000 })).sequence).toBe(1)
  const plan = { limits: [{ limit: 1, window: 1000, by: 'account' as const }], keys: 1, pastUsage: 'none' as const }
  expect((await backend.meters.open('up', plan).acquire([{ priority: 'live', cost: 1 }])).granted).toHaveLength(1)
}

test('a user with no more rights than are needed, a password of any characters, and a database of its own', async () => {
  await using server = await redisServer([...USER])
  const address = `redis://weir:${WRITTEN}@127.0.0.1:${server.port}/3`
  const errors: unknown[] = []
  const report = (error: unknown) => void errors.push(error)
  const backend = redisBackend({ url: address, prefix: 'weir', node: 'one', deadline: 5000, report })
  await works(backend)
  await backend.close()
  expect(errors).toEqual([])
  const admin = await createClient({ url: `${server.url}/3` }).connect()
  expect(await admin.dbSize()).toBeGreaterThan(3)
  await admin.select(0)
  expect(await admin.dbSize()).toBe(0)
  admin.destroy()
})

test('a wrong password is named, by a gateway that works alone, and no password is ever shown', async () => {
  await using server = await redisServer([...USER])
  const events: WeirEvent[] = []
  const redis = `redis://weir:wrong-${WRITTEN}@127.0.0.1:${server.port}`
  const gateway = createGateway({ apps: [], redis, observe: (event) => void events.push(event) })
  await expect.poll(() => events.length).toBeGreaterThan(0)
  await gateway.close(0)
  expect(events).toContainEqual({
    ...{ type: 'backend.failed', backend: 'redis', reason: 'it refuses the user or the password' },
  })
  const told = events.map((event) => (event.type === 'failed' ? describe(event.error) : JSON.stringify(event)))
  expect(told.join()).not.toContain('w:rd')
  expect(told.join()).not.toContain('wrong-')
})

test.each([
  [`redis://weir:${WRITTEN}@host:port`, 'a port'],
  [`redis://weir:${WRITTEN}@host:1,:2`, 'a host'],
  [`redis://weir:${WRITTEN}@host/three`, 'a database'],
  [`redis://weir:%ZZ${WRITTEN}@host`, 'a password'],
])('%#: an address without %s is refused, and its password is not told', (redis) => {
  const made = () => createGateway({ apps: [], redis })
  expect(made).toThrow(/redis: expected an address such as redis:/)
  expect(made).not.toThrow(/w%3Ard/)
})

test('several servers are one entrance each', () => {
  const { seeds, urlOf } = redisAddress('rediss://u:p@a:7000,b,[::1]:7002/0') ?? { seeds: [], urlOf: String }
  expect(seeds).toEqual(['a:7000', 'b:6379', '[::1]:7002'])
  expect(urlOf('c:1')).toBe('rediss://u:p@c:1/0')
})

test('TLS: with the authority that is named it works, and without it nothing is said to a stranger', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'weir-tls-'))
  try {
    const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')]
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-keyout', key, '-out', certificate],
    ])
    const port = await freePort()
    await using _server = await redisServer([
      ...['--tls-port', String(port), '--tls-cert-file', certificate, '--tls-key-file', key],
      ...['--tls-ca-cert-file', certificate, '--tls-auth-clients', 'no'],
    ])
    const given = { url: `rediss://localhost:${port}`, prefix: randomUUID(), node: 'one', deadline: 5000 }
    const ca = await readFile(certificate, 'utf8')
    const backend = redisBackend({ ...given, ca, report: () => {} })
    await works(backend)
    await backend.close()

    const errors: unknown[] = []
    const stranger = redisBackend({ ...given, deadline: 250, report: (error) => void errors.push(error) })
    await expect(stranger.leases.acquire('/a', 'one', 1000, 0)).rejects.toMatchObject({ code: 'backend_unavailable' })
    await stranger.close()
    expect(errors.map(describe).join()).toMatch(/self-signed certificate/)
    const gone = join(directory, 'gone.pem')
    expect(() => createGateway({ apps: [], redis: given.url, redisCa: gone })).toThrow(
      /redisCa: expected a file that can be read/,
    )
    // What holds no certificate would be taken for one that trusts nobody, and be found out by no connection.
    for (const text of ['', 'no certificate', `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`]) {
      await writeFile(gone, text)
      expect(() => createGateway({ apps: [], redis: given.url, redisCa: gone })).toThrow(
        /redisCa: expected a file with certificates in PEM/,
      )
    }
  } finally {
    await rm(directory, { recursive: true })
  }
})

/** All that a log would tell of it. */
function describe(error: unknown): string {
  return error instanceof Error
    ? `${error.stack} ${JSON.stringify(error)} ${error.cause === undefined ? '' : describe(error.cause)}`
    : String(error)
}
