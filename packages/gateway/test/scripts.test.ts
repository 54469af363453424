import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { countingUpstream, json } from './counting-upstream.ts'

const WEIR = new URL('../src/index.ts', import.meta.url).href

/** Runs lines of JavaScript in a process of their own: what they print, and the exit code. */
async function run(...lines: readonly string[]): Promise<readonly [output: string, code: number]> {
  const code = [`import * as weir from ${JSON.stringify(WEIR)}`, ...lines].join('\n')
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  const [exit] = await once(child, 'close')
  return [output.trim(), exit]
}

describe('a script ends when its work is done, and not before', () => {
  test.each([
    [
      'createBudget() with calls that wait for a place',
      `const budget = weir.createBudget({ limits: [{ calls: 10, per: '200ms' }], pastUsage: 'none' })
       const done = await Promise.all(Array.from({ length: 30 }, (_, index) => budget.run(() => index)))
       console.log(done.length)`,
      '30',
    ],
    [
      'createBudget() whose calls are not awaited by name',
      `const budget = weir.createBudget({ limits: [{ calls: 1, per: '100ms' }], pastUsage: 'none' })
       for (let index = 0; index < 3; index++) budget.run(() => process.stdout.write('x'))`,
      'xxx',
    ],
    [
      'createBatch() that gathers keys',
      `const batch = weir.createBatch({ many: async (keys) => keys.map((key) => key * 2), within: '100ms' })
       console.log(await batch.load(21))`,
      '42',
    ],
    [
      'createFlight() whose load never settles',
      `const flight = weir.createFlight({ load: () => new Promise(() => {}) })
       await flight.load('a', { deadline: '100ms' }).catch((error) => console.log(error.code))`,
      'upstream_timeout',
    ],
    [
      'createCache() whose load never settles',
      `const cache = weir.createCache({ load: () => new Promise(() => {}), deadline: '100ms' })
       await cache.get('a').catch((error) => console.log(error.code))`,
      'upstream_timeout',
    ],
  ])('%s', async (_what, lines, output) => {
    expect(await run(lines)).toEqual([output, 0])
  })

  test('feed.get() that waits for its batch, in a gateway that does not listen', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (_, response) => json(response, 1)
    const lines = `
      const schema = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } }
      const source = weir.http({ name: 'source', url: '${upstream.url}', pastUsage: 'none' })
      const load = { within: '200ms', many: async (keys, call) => { await call.get('/'); return keys.map(({ id }) => id) } }
      const item = weir.feed('/items/:id', { name: 'item', key: { id: schema }, value: schema, from: source, load })
      const gateway = weir.createGateway({ apps: [weir.defineApp({ name: 'test', use: [item] })] })
      console.log((await item.get({ id: 'a' })).value)
      await gateway.close()`
    expect(await run(lines)).toEqual(['a', 0])
  })
})
