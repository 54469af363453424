import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { freePort } from '../../../scripts/free-port.ts'
import { redisServer } from '../../../scripts/redis-server.ts'
import { weir } from '../../../scripts/running.ts'
import { createGateway, defineApp, feed, http } from '../src/index.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'

/** An app whose upstream has limits, which the nodes share. */
function limitedApp(upstream: CountingUpstream) {
  const limits = [{ calls: 10, per: '1s' }] as const
  const item = feed('/items/:id', {
    name: 'item',
    key: { id: z.string() },
    value: z.unknown(),
    from: http({ name: 'source', url: upstream.url, limits, timeout: '2s' }),
    load: { one: ({ id }, call) => call.get(`/${id}`) },
  })
  return defineApp({ name: 'limited', use: [item] })
}

interface Faulty extends AsyncDisposable {
  readonly url: string
}

/** A server that takes TLS, with a certificate of its own making. */
async function tlsServer(name: string, days = '2'): Promise<Faulty> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-tls-'))
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')]
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', days],
    ...['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-keyout', key, '-out', certificate],
  ])
  const port = await freePort()
  const server = await redisServer([
    ...['--tls-port', String(port), '--tls-cert-file', certificate, '--tls-key-file', key],
    ...['--tls-ca-cert-file', certificate, '--tls-auth-clients', 'no'],
  ])
  return {
    url: `rediss://localhost:${port}`,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
}

async function plainServer(flags: readonly string[], path: (port: number) => string): Promise<Faulty> {
  const server = await redisServer(flags)
  return { url: path(server.port), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

const CAUSES: readonly (readonly [what: string, open: () => Promise<Faulty>, reason: RegExp])[] = [
  [
    'nothing listens',
    async () => ({ url: `redis://127.0.0.1:${await freePort()}`, async [Symbol.asyncDispose]() {} }),
    /nothing listens/,
  ],
  [
    'a host name of nobody',
    async () => ({ url: 'redis://nobody.invalid', async [Symbol.asyncDispose]() {} }),
    /host name/,
  ],
  [
    'a wrong password',
    () => plainServer(['--requirepass', 'right'], (port) => `redis://:secret-wrong@127.0.0.1:${port}`),
    /refuses the user or the password/,
  ],
  [
    'no password',
    () => plainServer(['--requirepass', 'right'], (port) => `redis://127.0.0.1:${port}`),
    /wants a password/,
  ],
  [
    'a user without rights',
    () =>
      plainServer(
        ['--user', 'weir', 'on', '>secret-right', '~*', '&*', '+@all', '-@scripting'],
        (port) => `redis://weir:secret-right@127.0.0.1:${port}`,
      ),
    /lacks rights/,
  ],
  ['an authority of nobody', () => tlsServer('localhost'), /no authority that is trusted/],
  [
    'TLS where there is none',
    () => plainServer([], (port) => `rediss://127.0.0.1:${port}`),
    /does not speak TLS|closed the connection|does not answer/,
  ],
]

describe('a Redis that can not be used from the start', () => {
  test.each(CAUSES)(
    '%s: health names the cause, and a cold read is refused in its words',
    async (_what, open, reason) => {
      await using upstream = await countingUpstream()
      upstream.answer = (path, response) => json(response, { path })
      await using redis = await open()
      const gateway = createGateway({ apps: [limitedApp(upstream)], redis: redis.url })
      await using _ = { [Symbol.asyncDispose]: () => gateway.close(0) }
      const ask = async (path: string) => {
        const answer = await gateway.sites[0]?.fetch(new Request(`http://localhost${path}`))
        return { status: answer?.status, body: (await answer?.json()) as Record<string, unknown> }
      }
      await expect
        .poll(async () => (await ask('/api/health')).body, { timeout: 15_000 })
        .toMatchObject({
          status: 'degraded',
          troubles: [{ of: 'backend', name: 'redis', reason: expect.stringMatching(reason) }],
        })
      expect(JSON.stringify((await ask('/api/health')).body)).not.toMatch(/127\.0\.0\.1|secret-/)
      await expect
        .poll(async () => (await ask('/items/cold')).body.code, { timeout: 15_000 })
        .toBe('backend_unavailable')
      expect((await ask('/health')).status).toBe(200)
    },
  )

  test.each(CAUSES)('%s: the doctor says so', async (_what, open, reason) => {
    await using redis = await open()
    await using running = weir(['doctor', '--redis', redis.url, '--port', String(await freePort())])
    expect(await running.ended).toBe(1)
    expect(running.said).toMatch(new RegExp(`^BAD +Redis +.*(${reason.source})`, 'm'))
    expect(running.said).not.toContain('secret-')
  })

  test('is named in the log without a stack, and not with every attempt', async () => {
    const redis = `redis://127.0.0.1:${await freePort()}`
    await using running = weir(['start', 'packages/gateway/test/fixtures/faulty.ts', '--port', '0', '--redis', redis])
    await running.says(/faulty +http/)
    await expect.poll(() => running.complained).toContain('nothing listens at its address')
    expect(running.complained).not.toContain('stack')
    expect(running.complained.split('nothing listens').length).toBeLessThan(5)
  })

  test('recovers as soon as Redis is usable', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (path, response) => json(response, { path })
    await using server = await redisServer()
    await server.kill()
    const gateway = createGateway({ apps: [limitedApp(upstream)], redis: server.url })
    await using _ = { [Symbol.asyncDispose]: () => gateway.close(0) }
    const site = gateway.sites[0]
    const status = async () => {
      const answer = await site?.fetch(new Request('http://localhost/api/health'))
      const { status } = ((await answer?.json()) ?? {}) as { readonly status?: string }
      return status
    }
    await expect.poll(status).toBe('degraded')
    await server.start()
    await expect.poll(status, { timeout: 30_000 }).toBe('healthy')
    const read = async () => (await site?.fetch(new Request('http://localhost/items/a')))?.status
    await expect.poll(read, { timeout: 30_000 }).toBe(200)
  })
})

describe('the doctor', () => {
  test('finds no fault in a healthy Redis', async () => {
    await using server = await redisServer()
    await using running = weir(['doctor', '--redis', server.url, '--port', String(await freePort())])
    await running.ended
    expect(running.said).toMatch(/^good Redis +reachable, Redis \d/m)
    expect(running.said).not.toMatch(/^BAD +Redis/m)
  })

  test.each(['allkeys-lru', 'volatile-ttl'])('names a Redis that evicts keys: %s', async (policy) => {
    await using server = await redisServer(['--maxmemory-policy', policy, '--maxmemory', '100mb'])
    await using running = weir(['doctor', '--redis', server.url, '--port', String(await freePort())])
    expect(await running.ended).toBe(1)
    expect(running.said).toMatch(new RegExp(`^BAD +Redis +evicts keys when it is full .*${policy}.*noeviction`, 'm'))
  })
})
