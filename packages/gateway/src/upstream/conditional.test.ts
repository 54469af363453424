import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { request } from '../../test/request.ts'
import { systemClock } from '../clock.ts'
import { createPool } from '../pool/pool.ts'
import { conditional } from './conditional.ts'

/** A real server whose one resource has an ETag, behind a pool. */
async function open() {
  const resource = { etag: '"1"' as string | undefined, body: '{"price":1}', cacheControl: 'no-cache' }
  const asked: IncomingHttpHeaders[] = []
  const sent: number[] = []
  const server = createServer(({ headers }, response) => {
    asked.push(headers)
    const unchanged = resource.etag !== undefined && headers['if-none-match'] === resource.etag
    response.statusCode = unchanged ? 304 : 200
    if (resource.etag !== undefined) response.setHeader('etag', resource.etag)
    response.setHeader('cache-control', resource.cacheControl)
    response.setHeader('x-ratelimit-remaining', String(100 - asked.length))
    sent.push(unchanged ? 0 : resource.body.length)
    response.end(unchanged ? undefined : resource.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const pool = createPool({
    upstream: 'test',
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: 1,
    connectTimeout: 1000,
    headersTimeout: 1000,
    bodyTimeout: 1000,
    timeout: 1000,
    maxResponse: 1000,
    clock: systemClock,
    emit: () => {},
  })
  const send = conditional(pool.send)
  const get = async (given: Parameters<typeof request>[0] = {}) => {
    const answer = await send(request(given))
    return { ...answer, body: answer.body.toString() }
  }
  return {
    resource,
    asked,
    sent,
    get,
    async [Symbol.asyncDispose]() {
      await pool.close()
      server.closeAllConnections()
      server.close()
    },
  }
}

describe('a conditional request', () => {
  test('names the ETag of the last answer, and gives that answer when it still holds', async () => {
    await using opened = await open()
    const { get, asked, sent } = opened
    const first = await get()
    const second = await get()
    expect(asked.map((headers) => headers['if-none-match'])).toEqual([undefined, '"1"'])
    expect(sent).toEqual([11, 0])
    expect(second).toMatchObject({ status: 200, body: first.body })
    expect(second.headers['x-ratelimit-remaining']).toBe('98')
  })

  test('gets what changed', async () => {
    await using opened = await open()
    const { get, resource, asked } = opened
    await get()
    Object.assign(resource, { etag: '"2"', body: '{"price":2}' })
    expect(await get()).toMatchObject({ status: 200, body: '{"price":2}' })
    await get()
    expect(asked.map((headers) => headers['if-none-match'])).toEqual([undefined, '"1"', '"2"'])
  })

  test('is made for the same request alone', async () => {
    await using opened = await open()
    const { get, asked } = opened
    await get({ path: '/a' })
    await get({ path: '/b' })
    await get({ path: '/a', headers: { 'accept-language': 'pl' } })
    await get({ path: '/a', method: 'HEAD' })
    await get({ path: '/a', headers: { authorization: 'Bearer mine' } })
    expect(asked.map((headers) => headers['if-none-match'])).toEqual(Array(5).fill(undefined))
  })

  test('is not made where there is no ETag, nor for what must not be stored', async () => {
    await using opened = await open()
    const { get, resource, asked } = opened
    resource.cacheControl = 'no-store'
    await get()
    Object.assign(resource, { cacheControl: 'no-cache', etag: undefined })
    await get()
    await get()
    expect(asked.map((headers) => headers['if-none-match'])).toEqual([undefined, undefined, undefined])
  })

  test('is not made for what could not be read: the next ask is for the whole', async () => {
    await using opened = await open()
    const { get, resource, asked } = opened
    const check = async ({ body }: { body: Buffer }) => JSON.parse(body.toString())
    resource.body = '{"price":'
    await get({ check })
    await get({ check })
    resource.body = '{"price":1}'
    expect((await get({ check })).body).toBe('{"price":1}')
    expect(asked.map((headers) => headers['if-none-match'])).toEqual([undefined, undefined, undefined])
    // What another can read is kept, and given up by who can not.
    await get({ check: () => Promise.reject(new Error('expected a list')) })
    await get({ check })
    await get({ check, unconditional: true })
    expect(asked.slice(3).map((headers) => headers['if-none-match'])).toEqual(['"1"', undefined, undefined])
  })
})
