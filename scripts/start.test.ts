import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startJupiter } from '@weir/simulators'
import { describe, expect, test, vi } from 'vitest'
import { type Running, run } from './running.ts'
import { reach, STAND_INS } from './stand-ins.ts'

const ROOT = join(import.meta.dirname, '..')
const [jupiter, solana] = STAND_INS
if (jupiter === undefined || solana === undefined) throw new Error('expected two upstreams that npm start knows')

describe('npm start decides for each upstream', () => {
  test('to simulate it when it is not configured', () => {
    expect(reach(jupiter, false, {})).toBeUndefined()
    expect(reach(jupiter, false, { JUPITER_URL: '' })).toBeUndefined()
  })

  test('to keep the configuration of the user', () => {
    expect(reach(jupiter, false, { JUPITER_URL: 'http://127.0.0.1:9' })).toEqual({})
    expect(reach(jupiter, true, { JUPITER_URL: 'http://127.0.0.1:9', JUPITER_API_KEYS: 'jup_mine' })).toEqual({})
  })

  test('with --live to use the real one, within its limits without a key', () => {
    expect(reach(jupiter, true, {})).toEqual({ JUPITER_URL: 'https://api.jup.ag', JUPITER_PLAN: 'keyless' })
    expect(reach(jupiter, true, { JUPITER_API_KEYS: '' })).toMatchObject({ JUPITER_PLAN: 'keyless' })
  })

  test('even with --live to simulate one without a public service', () => {
    expect(reach(solana, true, {})).toBeUndefined()
    expect(reach(solana, true, { LOTTERY_POT: 'x' })).toEqual({})
  })

  test("with --live and a key to use the real one with the user's plan", () => {
    expect(reach(jupiter, true, { JUPITER_API_KEYS: 'jup_mine' })).toEqual({ JUPITER_URL: 'https://api.jup.ag' })
  })
})

describe('npm start', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'serves the page on simulated prices, and %s ends all of it',
    async (name) => {
      await using running = run(['scripts/start.ts'], { PORT: '0' })
      const [, simulator = ''] = await running.says(/^jupiter +(http:\S+) {2}\(simulated/m)
      const [, url = ''] = await running.says(/^prices +(http:\S+)$/m)
      expect(await (await fetch(url)).text()).toContain('<title>Prices</title>')
      expect((await fetch(`${url}/prices/So11111111111111111111111111111111111111112`)).status).toBe(200)
      const graphiql = await fetch(`${url}/graphql`, { headers: { accept: 'text/html' } })
      expect(await graphiql.text()).toContain('GraphiQL')
      const all = descendants(running)
      const [, lottery = ''] = await running.says(/^lottery +(http:\S+)$/m)
      expect(await (await fetch(`${lottery}/api/state`)).json()).toMatchObject({ participants: expect.any(Number) })
      expect(all).toHaveLength(3)
      // Ctrl-C in a terminal reaches all processes, but another signal only the first.
      for (const pid of name === 'SIGINT' ? [running.pid, ...all] : [running.pid]) process.kill(pid, name)
      expect(await running.ended).toBe(0)
      await vi.waitFor(() => expect(all.filter(isRunning)).toEqual([]), 5000)
      await expect(fetch(url)).rejects.toThrow()
      await expect(fetch(`${simulator}/__stats`)).rejects.toThrow()
    },
    60_000,
  )

  test('starts no simulator of a configured upstream', async () => {
    await using own = await startJupiter({ strict: true })
    await using running = run(['scripts/start.ts', '--host', '127.0.0.1'], {
      PORT: '0',
      JUPITER_URL: own.url,
      JUPITER_API_KEYS: 'jup_mine',
      SOLANA_URL: 'http://127.0.0.1:9',
      LOTTERY_TOKEN_MINT: 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263',
      LOTTERY_POT: 'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263',
    })
    const [, url = ''] = await running.says(/^prices +(http:\S+)$/m)
    expect(running.said).not.toContain('simulated')
    expect(descendants(running)).toHaveLength(1)
    expect((await fetch(`${url}/prices/So11111111111111111111111111111111111111112`)).status).toBe(200)
    expect(own.stats().asked).toBeGreaterThanOrEqual(1)
    running.signal('SIGTERM')
    expect(await running.ended).toBe(0)
  })

  test('forwards the exit code of a command that failed to start, and leaves no process behind', async () => {
    await using running = run(['scripts/start.ts', '--prot', '1'])
    expect(await running.ended).toBe(2)
    expect(running.complained).toContain('--prot: expected a known option')
  })
})

test('every script of package.json runs an existing file', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  const paths = Object.values(scripts).flatMap((script) => script.match(/\S+\.(?:ts|js|mjs)\b/g) ?? [])
  expect(paths.length).toBeGreaterThanOrEqual(4)
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
})

/** All descendants of a process. */
function descendants({ pid }: Running): readonly number[] {
  const childrenOf = (parent: number): readonly number[] => {
    const listed = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
    return listed.split(' ').filter(Boolean).map(Number)
  }
  const all: number[] = []
  for (let next = [...childrenOf(pid)]; next.length > 0; next = next.flatMap(childrenOf)) all.push(...next)
  return all
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
