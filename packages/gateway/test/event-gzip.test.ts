import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { launch, visit } from '../../../scripts/browser.ts'
import { EventStream } from '../../../scripts/event-stream.ts'
import { freePort } from '../../../scripts/free-port.ts'
import { createGateway, defineApp, type Gateway, log } from '../src/index.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'
import { RUNTIMES, testApp } from './served.ts'

const ROWS = Array.from({ length: 100 }, (_, row) => ({ row, name: `Zeile ${row} – €` }))
const LARGE = '/items/large'
const SMALL = '/items/small'
const EVENTS = { accept: 'text/event-stream', 'accept-encoding': 'gzip' }

/** An upstream of a large value and a small one, which change with every call. */
async function changing(): Promise<CountingUpstream> {
  const upstream = await countingUpstream()
  let count = 0
  upstream.answer = (path, response) => {
    count += 1
    json(response, path === LARGE ? { count, rows: ROWS } : { count })
  }
  return upstream
}

describe.each(RUNTIMES)('on $name, a stream', ({ serve }) => {
  async function open(path: string, headers: Record<string, string>, options = {}) {
    const upstream = await changing()
    const site = await serve({ apps: [testApp(upstream)], ...options })
    // So that it is known what the value is like.
    await site.fetch(LARGE)
    const response = await site.fetch(path, { headers: { ...EVENTS, ...headers } })
    await response.body?.cancel()
    await site[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
    return response.headers
  }

  test.each([
    ['of a large value, for who takes it', LARGE, {}, {}, 'gzip'],
    ['for who takes anything', LARGE, { 'accept-encoding': '*' }, {}, 'gzip'],
    ['of several topics, one of them large', `/weir/stream?topic=${SMALL}&topic=${LARGE}`, {}, {}, 'gzip'],
    ['of a value that nobody knows yet', '/items/unknown', {}, {}, 'gzip'],
    ['for who refuses it', LARGE, { 'accept-encoding': 'br, gzip;q=0' }, {}, null],
    ['for who likes plain bytes better', LARGE, { 'accept-encoding': 'identity, gzip;q=0.5' }, {}, null],
    ['for who says nothing of it', LARGE, { 'accept-encoding': '' }, {}, null],
    ['when it is switched off', LARGE, {}, { eventDeflate: false }, null],
    ['of no topic that is there', '/weir/stream?topic=/nowhere', {}, {}, null],
  ])('%s', async (_what, path, headers, options, expected) => {
    const got = await open(path, headers, options)
    expect(got.get('content-type')).toBe('text/event-stream')
    expect(got.get('content-encoding')).toBe(expected)
    expect(got.get('vary')).toBe('accept, accept-encoding')
  })

  test('of values that are known to be small is plain', async () => {
    await using upstream = await changing()
    await using site = await serve({ apps: [testApp(upstream)] })
    const encoding = async (path: string) => {
      const { headers, body } = await site.fetch(path, { headers: EVENTS })
      await body?.cancel()
      return headers.get('content-encoding')
    }
    await using watched = new EventStream(await site.fetch(SMALL, { headers: { accept: 'text/event-stream' } }))
    await watched.until('snapshot')
    // One that nobody asked for yet is taken to be like the others of its feed, and so is a stream of them all.
    for (const path of [SMALL, '/items/other', `/weir/stream?topic=${SMALL}`, '/stream'])
      expect([path, await encoding(path)]).toEqual([path, null])
  })
})

test('a stream of a log is compressed when the events that it keeps are large', async () => {
  for (const [text, expected] of [
    ['x', null],
    ['x'.repeat(2000), 'gzip'],
  ] as const) {
    const lines = log('/lines/:id', { name: 'line', key: { id: z.string() }, event: z.string() })
    const gateway = createGateway({ apps: [defineApp({ name: 'lines', use: [lines] })] })
    const [url] = await gateway.listen({ port: 0 })
    await lines.publish({ id: 'a' }, text)
    // Nobody has heard it yet: it is taken to be one of small events, as most are.
    await using first = new EventStream(await fetch(`${url}/lines/a`, { headers: EVENTS }))
    await first.until('event')
    await using second = new EventStream(await fetch(`${url}/lines/a`, { headers: EVENTS }))
    expect((await second.until('event')).data.event).toBe(text)
    const encodings = [first, second].map(({ response }) => response.headers.get('content-encoding'))
    expect(encodings).toEqual([null, expected])
    await gateway.close(1000)
  }
})

let upstream: CountingUpstream
let gateway: Gateway
let url: string

beforeAll(async () => {
  upstream = await changing()
  gateway = createGateway({ apps: [testApp(upstream)] })
  url = (await gateway.listen({ port: 0 }))[0] ?? ''
})
afterAll(async () => {
  await gateway.close(1000)
  await upstream[Symbol.asyncDispose]()
})

/** Reads some changes of the large value. */
async function follow(address: string): Promise<Response> {
  const response = await fetch(`${address}${LARGE}`, { headers: EVENTS })
  await using events = new EventStream(response)
  let last = 0
  for (let heard = 0; heard < 5; heard++) {
    const { data } = await events.until('snapshot')
    expect(data.value).toEqual({ count: expect.any(Number), rows: ROWS })
    const { count } = data.value as { count: number }
    expect(count).toBeGreaterThan(last)
    last = count
  }
  return response
}

describe('what is compressed once for all is read', () => {
  test('by fetch, to the goodbye', async () => {
    expect((await follow(url)).headers.get('content-encoding')).toBe('gzip')
    await using upstream = await changing()
    const leaving = createGateway({ apps: [testApp(upstream)] })
    const [address = ''] = await leaving.listen({ port: 0 })
    const events = new EventStream(await fetch(`${address}${LARGE}`, { headers: EVENTS }))
    await events.until('snapshot')
    await leaving.close(1000)
    await events.until('goodbye')
    // There is no trailer: the stream just stops.
    expect(await events.next()).toBeUndefined()
  })

  test('by curl', async () => {
    const curl = spawn('curl', ['-sNi', '--compressed', '-H', 'accept: text/event-stream', `${url}${LARGE}`])
    const text = await heard(curl, (text) => text.split('event: snapshot').length > 4)
    expect(text).toMatch(/^content-encoding: gzip\r$/im)
    expect(text).toContain('Zeile 99 – €')
    expect(text).toMatch(/^retry: \d+$/m)
  })

  test('by an EventSource in Chromium', async () => {
    const browser = await launch()
    try {
      await using seen = await visit(browser, `${url}/weir/openapi.json`)
      const { page } = seen
      const encoding = new Promise((resolve) =>
        page.on('response', (response) => {
          if (response.url().endsWith(`${LARGE}?as=sse`)) resolve(response.headers()['content-encoding'])
        }),
      )
      await page.evaluate(`
        window.heard = []
        window.failed = 0
        const source = new EventSource('${LARGE}?as=sse')
        source.addEventListener('snapshot', ({ data }) => heard.push(JSON.parse(data).value))
        source.onerror = () => { window.failed++ }
      `)
      await expect.poll(() => page.evaluate<number>('heard.length')).toBeGreaterThan(3)
      expect(await encoding).toBe('gzip')
      expect(await page.evaluate('heard[3]')).toEqual({ count: expect.any(Number), rows: ROWS })
      expect(await page.evaluate('failed')).toBe(0)
    } finally {
      await browser.close()
    }
  })
})

describe('through nginx', () => {
  let nginx: ChildProcess
  let folder: string
  let through: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weir-nginx-'))
    const port = await freePort()
    through = `http://127.0.0.1:${port}`
    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off;
master_process off;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 100; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass ${url}; }
    # Takes what is compressed, and unpacks it for those who don't.
    location /unpacked/ { proxy_pass ${url}/; proxy_set_header accept-encoding gzip; gunzip on; }
  }
}
`,
    )
    nginx = spawn(process.env.NGINX_PATH ?? 'nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], {
      stdio: 'inherit',
    })
    await vi.waitFor(() => fetch(`${through}/health`), 10_000)
  })
  afterAll(async () => {
    nginx.kill()
    if (nginx.exitCode === null && nginx.signalCode === null) await once(nginx, 'exit')
    rmSync(folder, { recursive: true })
  })

  test('it passes as it is, and at once', async () => {
    expect((await follow(through)).headers.get('content-encoding')).toBe('gzip')
  })

  test('it is unpacked for who does not take it', async () => {
    const curl = spawn('curl', ['-sNi', '-H', 'accept: text/event-stream', `${through}/unpacked${LARGE}`])
    const text = await heard(curl, (text) => text.split('event: snapshot').length > 4)
    expect(text).not.toMatch(/^content-encoding/im)
    expect(text).toContain('Zeile 99 – €')
  })
})

/** What a program says until that is enough; then it is ended. */
async function heard(program: ChildProcess, enough: (text: string) => boolean): Promise<string> {
  let text = ''
  program.stdout?.setEncoding('utf8').on('data', (some: string) => {
    text += some
  })
  try {
    await expect.poll(() => enough(text)).toBe(true)
  } finally {
    program.kill()
    if (program.exitCode === null && program.signalCode === null) await once(program, 'exit')
  }
  return text
}
