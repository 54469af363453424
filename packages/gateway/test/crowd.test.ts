import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Running, run, weir } from '../../../scripts/running.ts'
import { Crowd, type CrowdReport } from './crowd.ts'

const SOL = 'So11111111111111111111111111111111111111112'
const PATH = `/prices/${SOL}`
const HEARTBEAT = 2000
const CLIENTS = 2000
/** Each takes 3 MB of the kernel's buffers before it is behind. */
const SLEEPERS = 200
/** More than the 511 that a server of Node's lets wait, and no more than the 4,096 that Weir asks for. */
const NEWCOMERS = 4000

/** The most resident memory of a gateway with all of them, in bytes, rubbish included; bench/memory.ts is exact. */
const MOST_RESIDENT = 200 * 1024 ** 2

let jupiter: Running
let gateway: Running
let upstream: string
let prices: string
let blobs: string

beforeAll(async () => {
  jupiter = run(['packages/simulators/src/main.ts', 'jupiter', '--strict', '--key', 'jup_test=weir'])
  upstream = (await jupiter.says(/"url":"([^"]+)"/))[1] ?? ''
  gateway = weir(
    ['start', 'apps/prices', 'packages/gateway/test/fixtures/blobs.ts', '--port', '0', '--heartbeat', `${HEARTBEAT}ms`],
    { JUPITER_URL: upstream, JUPITER_API_KEYS: 'jup_test' },
  )
  prices = (await gateway.says(/^prices +(\S+)$/m))[1] ?? ''
  blobs = (await gateway.says(/^blobs +(\S+)$/m))[1] ?? ''
})

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  await jupiter?.[Symbol.asyncDispose]()
})

function portOf(url: string): number {
  return Number(new URL(url).port)
}

/** Counts at the upstream, and health of the gateway. */
async function json(url: string): Promise<Record<string, number>> {
  return (await fetch(url)).json()
}

async function connections(): Promise<number> {
  return (await json(`${prices}/api/health`)).connections ?? Number.NaN
}

async function resident(): Promise<number> {
  const health: { readonly memory: { readonly rss: number } } = await (await fetch(`${prices}/api/health`)).json()
  return health.memory.rss
}

async function lagging(): Promise<number> {
  return Number(/^weir_connections_lagging (\d+)$/m.exec(await (await fetch(`${prices}/metrics`)).text())?.[1])
}

/**
 * Calls that reach the upstream in so many milliseconds, less those that one client causes in that time: one a second, and
 * one more where the time begins or ends with it.
 */
async function callsBeyondOne(milliseconds: number): Promise<number> {
  const asked = async () => (await json(`${upstream}/__stats`)).asked ?? Number.NaN
  const began = performance.now()
  const before = await asked()
  await vi.waitFor(() => expect(performance.now() - began).toBeGreaterThan(milliseconds), milliseconds + 1000)
  const calls = (await asked()) - before
  expect(calls).toBeGreaterThan(0)
  return calls - Math.ceil((performance.now() - began) / 1000) - 1
}

/** Waits until every one of so many clients has the same version, and returns it. */
async function agreed(crowd: Crowd, count: number): Promise<string> {
  return vi.waitFor(
    async () => {
      const { heard, backwards } = await crowd.tell({ kind: 'report' })
      expect(backwards).toBe(0)
      const versions = heard[PATH] ?? {}
      expect(Object.values(versions)).toEqual([count])
      return Object.keys(versions)[0] ?? ''
    },
    { timeout: 5000, interval: 20 },
  )
}

// Two crowds and a gateway take all of a small machine, which other tests may be using.
describe('a crowd of clients', { timeout: 60_000 }, () => {
  test('costs the upstream what one does, and all see the same; then all go, and nothing of them stays', async () => {
    await using one = new Crowd()
    await one.tell({ kind: 'join', port: portOf(prices), path: PATH, count: 1 })
    await agreed(one, 1)
    expect(await callsBeyondOne(4000)).toBeLessThanOrEqual(0)

    await using vanishing = new Crowd()
    await using leaving = new Crowd()
    const half = { kind: 'join', port: portOf(prices), path: PATH, count: CLIENTS / 2 } as const
    await Promise.all([vanishing.tell(half), leaving.tell(half)])
    expect(await connections()).toBe(CLIENTS + 1)
    expect(await callsBeyondOne(4000)).toBeLessThanOrEqual(0)
    await agreed(vanishing, CLIENTS / 2)
    await agreed(leaving, CLIENTS / 2)
    expect(await resident()).toBeLessThan(MOST_RESIDENT)

    await vanishing.kill()
    await leaving.tell({ kind: 'leave' })
    await vi.waitFor(async () => expect(await connections()).toBe(1), { timeout: HEARTBEAT, interval: 50 })
    await vi.waitFor(async () => expect((await leaving.tell({ kind: 'report' })).connected).toBe(0), {
      timeout: HEARTBEAT,
      interval: 50,
    })
    await agreed(one, 1)
    const stats = await json(`${upstream}/__stats`)
    expect(stats).toMatchObject({ refused: 0, faulted: 0 })
  })

  test('of whom some stop reading: the others miss nothing, and sleepers wake to the latest', async () => {
    await using awake = new Crowd()
    await using asleep = new Crowd()
    const before = await resident()
    await asleep.tell({ kind: 'join', port: portOf(blobs), path: '/blobs/a', count: SLEEPERS })
    await asleep.tell({ kind: 'pause', count: SLEEPERS })
    await awake.tell({ kind: 'join', port: portOf(blobs), path: '/blobs/a', count: 10 })
    await vi.waitFor(async () => expect(await lagging()).toBe(SLEEPERS), { timeout: 30_000, interval: 100 })

    // Ten changes a second for each: all of them go on hearing while the others sleep.
    const { events } = await awake.tell({ kind: 'report' })
    await vi.waitFor(
      async () => expect((await awake.tell({ kind: 'report' })).events).toBeGreaterThan(events + 10 * 10),
      { timeout: 10_000, interval: 50 },
    )
    // What waits for a sleeper is one value that all of them share, not every value since it fell asleep.
    expect((await resident()) - before).toBeLessThan(100 * 1024 ** 2)

    // From now on sleepers can catch up on a busy machine too.
    expect((await fetch(`${blobs}/blobs/small`)).status).toBe(200)
    const latest = newest(await awake.tell({ kind: 'report' }))
    await asleep.tell({ kind: 'resume' })
    await vi.waitFor(
      async () => {
        const report = await asleep.tell({ kind: 'report' })
        expect(report.backwards).toBe(0)
        expect(oldest(report)).toBeGreaterThanOrEqual(latest)
      },
      { timeout: 15_000, interval: 100 },
    )
    const report = await asleep.tell({ kind: 'report' })
    expect(report.connected).toBe(SLEEPERS)
    // Nobody was sent all that was said meanwhile: a version was passed over for each of those ten changes.
    expect(report.events / SLEEPERS).toBeLessThan(newest(report) - 5)
  })
})

test('thousands who come while the process is held up are let in at once: none is turned away to try again', async () => {
  using newcomers = new DisposableStack()
  const arrivals: Promise<Socket>[] = []
  gateway.signal('SIGSTOP')
  try {
    for (let count = 0; count < NEWCOMERS; count++) {
      const socket = newcomers.adopt(connect({ port: portOf(prices), host: '127.0.0.1' }), (socket) => socket.destroy())
      arrivals.push(once(socket, 'connect', { signal: AbortSignal.timeout(20_000) }).then(() => socket))
    }
    // Whom the system has no room for hears nothing, and tries again a second later, and two, and four: in vain while it is held up.
    await Promise.all(arrivals)
  } finally {
    gateway.signal('SIGCONT')
  }
  await Promise.all(
    arrivals.map(async (arrival) => {
      const socket = await arrival
      socket.write(`GET ${PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
      const [answer] = await once(socket, 'data')
      expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /)
    }),
  )
}, 60_000)

function sequences({ heard }: CrowdReport): readonly number[] {
  return Object.keys(heard['/blobs/a'] ?? {}).map((version) => Number(version.split(':')[1]))
}

function oldest(report: CrowdReport): number {
  return Math.min(...sequences(report))
}

function newest(report: CrowdReport): number {
  return Math.max(...sequences(report))
}

describe('on one connection', () => {
  const stream = `GET ${PATH} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n`
  const health = 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n'
  const price = `GET /prices/JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN HTTP/1.1\r\nhost: x\r\n\r\n`

  test.each([
    ['a second stream behind a stream is not begun', [stream, stream], 1],
    ['a call behind a stream is not answered', [stream, health, price], 1],
    ['a stream behind a call that is answered at once follows it', [health, stream], 2],
    ['a stream behind a call that has to be waited for follows it', [price, stream], 2],
    ['a stream behind both', [price, health, stream, stream], 3],
  ])('%s, and nobody is harmed', async (_what, requests, answers) => {
    const socket = connect(portOf(prices), '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    // All in one packet, so that Node's parser meets them in one go.
    socket.write(requests.join(''))
    await vi.waitFor(() => expect(text.split('event: snapshot').length).toBeGreaterThanOrEqual(3), 8000)
    expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(answers)
    expect(text.match(/^event: hello$/gm)).toHaveLength(1)
    // The stream is the last: nothing of another answer is in it.
    expect(text.lastIndexOf('HTTP/1.1')).toBeLessThan(text.indexOf('event: hello'))
    socket.destroy()
    await vi.waitFor(async () => expect(await connections()).toBe(0), { timeout: HEARTBEAT, interval: 50 })
    expect(gateway.complained).toBe('')
  })

  test('what is sent into a stream later is not read', async () => {
    const socket = connect(portOf(prices), '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    socket.write(stream)
    await vi.waitFor(() => expect(text).toContain('event: snapshot'), 5000)
    socket.write(`${health}${'garbage '.repeat(1000)}`)
    const heard = text.length
    await vi.waitFor(() => expect(text.length).toBeGreaterThan(heard), 5000)
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
    socket.destroy()
  })
})
