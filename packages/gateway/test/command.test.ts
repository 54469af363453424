import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { EventStream } from '../../../scripts/event-stream.ts'
import { freePort } from '../../../scripts/free-port.ts'
import { type Running, weir } from '../../../scripts/running.ts'
import { GATEWAY_OPTIONS, START_OPTIONS } from '../src/options/gateway.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { mostWithin } from './slow-road.ts'

/** Options of `createGateway()` that have no flag. */
const INNER = ['apps', 'clock', 'observe', 'worker']

const LEFT = 'packages/gateway/test/fixtures/left.ts'
const RIGHT = 'packages/gateway/test/fixtures/right.ts'
const BLOBS = 'packages/gateway/test/fixtures/blobs.ts'
const NO_UPSTREAM = { UPSTREAM_URL: 'http://127.0.0.1:9' }

/** Where an app is served, by the line that `start` prints for it. */
async function addressOf(running: Running, app: string): Promise<string> {
  const [, url = ''] = await running.says(new RegExp(`^${app} +(http://\\S+)$`, 'm'))
  return url
}

/** A port that nobody listens on, and one that is taken until it is let go. */
async function takePort(): Promise<{ readonly port: number } & AsyncDisposable> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

async function openStream(address: string): Promise<EventStream> {
  return new EventStream(await fetch(address, { headers: { accept: 'text/event-stream' } }))
}

/** A file in a folder of its own, which goes with it. */
async function appFile(source: string): Promise<{ readonly path: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(import.meta.dirname, 'fixtures', 'made-'))
  const path = join(folder, 'app.ts')
  await writeFile(path, source)
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
}

/** The value of a metric without labels. */
async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

describe('weir start', () => {
  test('prints where each app is, on a free port for port 0, and serves it', async () => {
    await using upstream = await countingUpstream()
    await using running = weir(['start', LEFT, RIGHT, '--port', '0'], { UPSTREAM_URL: upstream.url })
    const left = await addressOf(running, 'left')
    const right = await addressOf(running, 'right')
    expect(left).not.toBe(right)
    expect(await (await fetch(`${left}/values/a`)).json()).toEqual({ path: '/left/a' })
    expect(await (await fetch(`${right}/values/a`)).json()).toEqual({ path: '/right/a' })
    expect((await fetch(`${right}/health`)).status).toBe(200)
    expect(running.complained).toBe('')
  })

  test('two apps on two ports keep within the budget of the upstream that both name', async () => {
    await using upstream = await countingUpstream()
    const { arrivals } = upstream
    await using running = weir(['start', LEFT, RIGHT, '--port', '0'], { UPSTREAM_URL: upstream.url })
    const sites = [await addressOf(running, 'left'), await addressOf(running, 'right')]
    // 16 keys are more than three windows of five.
    const answers = await Promise.all(
      sites.flatMap((url) => Array.from({ length: 8 }, (_, id) => fetch(`${url}/values/${id}`))),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(16).fill(200))
    expect(arrivals).toHaveLength(16)
    expect(mostWithin(arrivals, 1000)).toBe(5)
  })

  test('takes its origins from --origin or WEIR_ORIGIN, one for each app, and asks no other upstream', async () => {
    await using upstream = await countingUpstream()
    await using origin = weir(['start', LEFT, RIGHT, '--port', '0'], { UPSTREAM_URL: upstream.url })
    const origins = `${await addressOf(origin, 'left')},${await addressOf(origin, 'right')}`
    await using byOption = weir(['start', LEFT, RIGHT, '--port', '0', '--origin', origins], NO_UPSTREAM)
    await using byVariable = weir(['start', LEFT, RIGHT, '--port', '0'], { ...NO_UPSTREAM, WEIR_ORIGIN: origins })
    for (const region of [byOption, byVariable]) {
      for (const app of ['left', 'right']) {
        const there = await fetch(`${await addressOf(origin, app)}/values/a`)
        const here = await fetch(`${await addressOf(region, app)}/values/a`)
        expect(await here.json()).toEqual({ path: `/${app}/a` })
        expect(here.headers.get('weir-version')).toBe(there.headers.get('weir-version'))
      }
    }
  })

  test('takes its port from PORT, and --port before it', async () => {
    const port = await freePort()
    await using byVariable = weir(['start', LEFT], { ...NO_UPSTREAM, PORT: String(port) })
    expect(await addressOf(byVariable, 'left')).toBe(`http://127.0.0.1:${port}`)
    const other = await freePort()
    await using byOption = weir(['start', LEFT, '--port', String(other)], { ...NO_UPSTREAM, PORT: String(port) })
    expect(await addressOf(byOption, 'left')).toBe(`http://127.0.0.1:${other}`)
  })

  test('a port that is taken is said in one sentence, exit code 1', async () => {
    await using taken = await takePort()
    await using running = weir(['start', LEFT, '--port', String(taken.port)], NO_UPSTREAM)
    expect(await running.ended).toBe(1)
    expect(running.complained).toBe(
      `weir: port ${taken.port}: expected a free port, got one that another program uses; choose another with --port\n`,
    )
  })

  test('options reach the gateway', async () => {
    await using upstream = await countingUpstream()
    await using running = weir(['start', LEFT, '--port', '0', '--heartbeat', '700ms', '--connections', '1'], {
      UPSTREAM_URL: upstream.url,
    })
    const url = await addressOf(running, 'left')
    await using events = await openStream(`${url}/values/a`)
    expect((await events.until('hello')).data.heartbeat).toBe(700)
    const second = await fetch(`${url}/values/a?as=sse`)
    expect(second.status).toBe(503)
    expect(await second.json()).toMatchObject({ code: 'too_many_connections' })
  })
})

describe('a signal', () => {
  test('SIGUSR2 moves to the next level and says so; out of maintenance all are served again', async () => {
    await using upstream = await countingUpstream()
    await using running = weir(['start', LEFT, '--port', '0', '--level', 'maintenance'], { UPSTREAM_URL: upstream.url })
    const url = await addressOf(running, 'left')
    expect(await (await fetch(`${url}/values/a`)).json()).toMatchObject({ code: 'maintenance' })
    running.signal('SIGUSR2')
    await running.says(/^level normal$/m)
    expect((await fetch(`${url}/values/a`)).status).toBe(200)
    for (const level of ['saver', 'strained', 'normal']) {
      running.signal('SIGUSR2')
      await running.says(new RegExp(`level ${level}\n$`))
      expect(await (await fetch(`${url}/api/health`)).json()).toMatchObject({ level })
    }
  })

  test.each(['SIGTERM', 'SIGINT'] as const)('%s tells live clients when to come back and ends with 0', async (name) => {
    await using upstream = await countingUpstream()
    await using running = weir(['start', LEFT, '--port', '0'], { UPSTREAM_URL: upstream.url })
    const url = await addressOf(running, 'left')
    await using one = await openStream(`${url}/values/a`)
    await using other = await openStream(`${url}/values/b`)
    for (const events of [one, other]) await events.until('snapshot')
    const began = performance.now()
    running.signal(name)
    for (const events of [one, other]) {
      const { data } = await events.until('goodbye')
      expect(data.retry).toBeGreaterThanOrEqual(500)
      expect(await events.next()).toBeUndefined()
    }
    expect(await running.ended).toBe(0)
    expect(performance.now() - began).toBeLessThan(3000)
    expect(running.said).toContain('Draining')
  })

  test('a call under way is finished before the end', async () => {
    await using upstream = await countingUpstream()
    const held = new Promise<ServerResponse>((resolve) => {
      upstream.answer = (_path, response) => resolve(response)
    })
    await using running = weir(['start', LEFT, '--port', '0'], { UPSTREAM_URL: upstream.url })
    const url = await addressOf(running, 'left')
    const answer = fetch(`${url}/values/a`)
    const response = await held
    const began = performance.now()
    running.signal('SIGTERM')
    await running.says(/Draining/)
    json(response, { path: 'late' })
    expect(await (await answer).json()).toEqual({ path: 'late' })
    expect(await running.ended).toBe(0)
    // It does not wait for the connection that stayed open for more.
    expect(performance.now() - began).toBeLessThan(3000)
  })

  test('a client that has stopped reading can not hold up the end', async () => {
    await using running = weir(['start', BLOBS, '--port', '0'])
    const url = await addressOf(running, 'blobs')
    const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
    socket.write('GET /blobs/a?as=sse HTTP/1.1\r\nhost: x\r\n\r\n')
    socket.pause()
    await vi.waitFor(async () => expect(await metric(url, 'weir_connections_lagging')).toBe(1), 15_000)
    const began = performance.now()
    running.signal('SIGTERM')
    expect(await running.ended).toBe(0)
    expect(performance.now() - began).toBeLessThan(7000)
    socket.destroy()
  })
})

describe('what is typed wrong', () => {
  test.each([
    [['start', LEFT, '--prot', '80'], 'weir: --prot: expected a known option (did you mean "--port"?), got "--prot"\n'],
    [['strat', LEFT], 'weir: expected a known command (did you mean "start"?), got "strat"\n'],
    [['frob', LEFT], 'weir: expected one of start, check, doctor, got "frob"\n'],
    [['start', LEFT, '--port', '-1'], 'weir: port: expected a number from 0 to 65535, got "-1"\n'],
    [['start', LEFT, '--help=yes'], 'weir: --help: expected no value, got "yes"\n'],
    [['start'], 'weir: expected at least one app: a folder with an app.ts, or a file\n'],
    [['start', 'nowhere'], 'weir: expected a folder with an app.ts, or a file, got "nowhere"\n'],
    [['start', LEFT, '--port', 'high'], 'weir: port: expected a number from 0 to 65535, got "high"\n'],
    [['start', LEFT, '--port'], 'weir: --port: expected a value, got nothing\n'],
    [['start', LEFT, '--workers', '0'], 'weir: workers: expected a number from 1, or "max", got "0"\n'],
    [['start', LEFT, '--level', 'save'], 'weir: level: expected a known level (did you mean "saver"?), got "save"\n'],
  ])('%j: one sentence, exit code 2', async (args, said) => {
    await using running = weir(args, NO_UPSTREAM)
    expect(await running.ended).toBe(2)
    expect(running.complained).toBe(said)
    expect(running.said).toBe('')
  })

  test('a flag that is none: the sentence names those that are', async () => {
    await using running = weir(['start', LEFT, '--frobnicate'], NO_UPSTREAM)
    expect(await running.ended).toBe(2)
    const options = [...Object.keys(START_OPTIONS), ...Object.keys(GATEWAY_OPTIONS)]
    const flags = ['help', 'port', 'host', 'level', ...options].filter((name) => !INNER.includes(name))
    const names = flags
      .map((name) => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
      .join(', ')
    expect(running.complained).toBe(`weir: --frobnicate: expected one of ${names}, got "--frobnicate"\n`)
  })

  test('flags of several words are typed with dashes, all of them', async () => {
    const flags = [
      '--redis-ca',
      '/nowhere',
      '--worker-memory',
      '1gb',
      '--socket-burst',
      '5',
      '--event-deflate',
      'false',
    ]
    await using running = weir(['start', LEFT, '--redis', 'redis://127.0.0.1:9', ...flags], NO_UPSTREAM)
    expect(await running.ended).toBe(1)
    expect(running.complained).toContain('redisCa: expected a file')
  })

  test('nothing at all shows the help, exit code 2; asked for, 0', async () => {
    await using nothing = weir([])
    await using asked = weir(['--help'])
    expect(await nothing.ended).toBe(2)
    expect(await asked.ended).toBe(0)
    expect(nothing.said).toBe(asked.said)
    for (const word of ['start', 'check', 'doctor', '--port', '--level', 'SIGUSR2', '--heartbeat'])
      expect(asked.said).toContain(word)
  })
})

describe('weir check', () => {
  test('lists what good apps serve and ends with 0, without asking the upstream or listening', async () => {
    await using upstream = await countingUpstream()
    await using running = weir(['check', LEFT, RIGHT], { UPSTREAM_URL: upstream.url })
    expect(await running.ended).toBe(0)
    expect(running.said).toBe(
      `${LEFT}: app "left": /values/:id\n${RIGHT}: app "right": /values/:id\nAll apps are valid.\n`,
    )
    expect(upstream.calls).toBe(0)
  })

  test('names file, key, what was expected and what came, of every app that is wrong', async () => {
    await using misspelt = await appFile(`
      import { defineApp, http } from '../../../src/index.ts'
      http({ name: 'x', url: 'http://127.0.0.1:9', concurency: 3 })
      export default defineApp({ name: 'misspelt', use: [] })
    `)
    await using empty = await appFile('export default 7\n')
    await using running = weir(['check', misspelt.path, LEFT, empty.path], NO_UPSTREAM)
    expect(await running.ended).toBe(1)
    const [first, second, ...rest] = running.complained.split('\n')
    expect(first).toMatch(
      /fixtures\/made-\w+\/app\.ts: http "x": concurency: expected a known option \(did you mean "concurrency"\?\), got "concurency"$/,
    )
    expect(second).toMatch(/app\.ts: default export: expected an app made by defineApp\(\), got 7$/)
    expect(rest).toEqual([''])
    expect(running.said).toBe(`${LEFT}: app "left": /values/:id\n`)
  })

  test('finds what is only wrong of apps together', async () => {
    await using other = await appFile(`
      import { z } from 'zod'
      import { defineApp, feed, http } from '../../../src/index.ts'
      const scarce = http({ name: 'scarce', url: 'http://127.0.0.1:10' })
      const value = feed('/values/:id', { name: 'value', key: { id: z.string() }, value: z.any(), from: scarce,
        load: { one: () => Promise.resolve(1) } })
      export default defineApp({ name: 'other', use: [value] })
    `)
    await using running = weir(['check', LEFT, other.path], NO_UPSTREAM)
    expect(await running.ended).toBe(1)
    expect(running.complained).toContain('expected the same settings for upstream "scarce" wherever it is declared')
  })
})

describe('weir doctor', () => {
  test('says one line for each thing it looked at, and ends with 0 when none is bad', async () => {
    await using upstream = await countingUpstream()
    const port = await freePort()
    await using running = weir(['doctor', LEFT, '--port', String(port)], { UPSTREAM_URL: upstream.url })
    expect(await running.ended).toBe(0)
    const lines = running.said.trimEnd().split('\n')
    for (const line of lines) expect(line).toMatch(/^(good|warn) \S/)
    const looked = lines.map((line) => line.slice(5, 24).trim())
    expect(looked).toEqual(['open files', 'memory', 'clock', 'tcp_migrate_req', `port ${port}`, 'upstream scarce'])
    expect(upstream.calls).toBe(0)
  })

  test('a taken port and an upstream that is not there are bad, exit code 1', async () => {
    await using taken = await takePort()
    const nobody = await freePort()
    await using running = weir(['doctor', LEFT, '--port', String(taken.port)], {
      UPSTREAM_URL: `http://127.0.0.1:${nobody}`,
    })
    expect(await running.ended).toBe(1)
    expect(running.said).toMatch(
      new RegExp(`^BAD {2}port ${taken.port} +EADDRINUSE: choose another port with --port$`, 'm'),
    )
    expect(running.said).toMatch(new RegExp(`^BAD {2}upstream scarce +127.0.0.1:${nobody}: ECONNREFUSED$`, 'm'))
  })
})

test('an app may be a folder, and is found by its full path', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-app-'))
  try {
    await writeFile(join(folder, 'app.mjs'), "export default { kind: 'app', name: 'plain', use: [], cors: [] }\n")
    await using running = weir(['check', folder])
    expect(await running.ended).toBe(0)
    expect(running.said).toContain('app "plain"')
  } finally {
    await rm(folder, { recursive: true })
  }
})
