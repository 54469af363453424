import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

/** Starts the command, its stdin a pipe unless told. */
function run(args: readonly string[], stdin: 'pipe' | 'ignore' = 'pipe') {
  return spawn(process.execPath, [MAIN, ...args], { stdio: [stdin, 'pipe', 'pipe'] })
}

async function firstLine(
  child: ChildProcess,
): Promise<Record<'name' | 'url' | 'mint' | 'pot' | 'authority' | 'ticketPrice', string>> {
  if (child.stdout === null) throw new Error('expected stdout to be a pipe')
  const [chunk] = await once(child.stdout, 'data')
  return JSON.parse(String(chunk))
}

describe('the command', () => {
  test('says where it listens in one line of JSON, and ends with 0 on SIGTERM', async () => {
    const child = run(['jupiter', '--port', '0', '--plan', 'launch', '--strict', '--seed', '1'], 'ignore')
    const { name, url } = await firstLine(child)
    expect(name).toBe('jupiter')
    expect((await fetch(`${url}/__stats`)).status).toBe(200)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('ends when its stdin closes', async () => {
    const child = run(['jupiter', '--key', 'k1=acme', '--key', 'k2'])
    const { url } = await firstLine(child)
    expect((await fetch(`${url}/tokens/v2/recent`, { headers: { 'x-api-key': 'jup_x' } })).status).toBe(401)
    expect((await fetch(`${url}/tokens/v2/recent`, { headers: { 'x-api-key': 'k2' } })).status).toBe(200)
    child.stdin?.end()
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('starts a chain', async () => {
    const child = run(['solana', '--provider', 'helius', '--key', 'k', '--calls', '1', '--slot-time', '50'])
    const { url } = await firstLine(child)
    const call = { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"getHealth"}' }
    expect((await fetch(`${url}/?api-key=x`, call)).status).toBe(401)
    expect(await (await fetch(`${url}/?api-key=k`, call)).text()).toBe('{"jsonrpc":"2.0","result":"ok","id":1}')
    child.stdin?.end()
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('starts a lottery on a chain, and says where it is', async () => {
    const child = run(['solana', '--lottery', '--pace', '0', '--entries', '3', '--latency', '0', '--calls', '1000'])
    const { url, pot, mint, authority, ticketPrice } = await firstLine(child)
    expect([mint, ticketPrice]).toEqual(['DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263', '100000000'])
    const params = [pot, { encoding: 'jsonParsed', commitment: 'processed' }]
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'getAccountInfo', params })
    const { result } = JSON.parse(await (await fetch(url, { method: 'POST', body })).text())
    const { owner, tokenAmount } = result.value.data.parsed.info
    expect(owner).toBe(authority)
    expect(Number(tokenAmount.amount)).toBeGreaterThanOrEqual(3 * Number(ticketPrice))
    child.stdin?.end()
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('ends when the process that forked it lets go', async () => {
    const child = fork(MAIN, ['jupiter'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    await firstLine(child)
    child.disconnect()
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test.each([
    [[], 'Expected the name of a simulator (jupiter, solana), got "".\n'],
    [['neptune'], 'Expected the name of a simulator (jupiter, solana), got "neptune".\n'],
    [['jupiter', '--port', '-1'], /^Option '--port' argument is ambiguous.*\n$/s],
    [['jupiter', '--port', '70000'], '--port: expected a whole number from 0 to 65535, got "70000".\n'],
    [['jupiter', '--plan', 'gold'], '--plan: expected one of keyless, free, developer, launch, pro, got "gold".\n'],
    [['jupiter', '--stall', '5'], '--stall: expected milliseconds as two whole numbers such as 25,15, got "5".\n'],
    [['solana', '--pace', '5'], '--pace: expected --lottery with it.\n'],
    [['jupiter', '--ports', '0'], /^Unknown option '--ports'; the options are --port, --host, .*\.\n$/],
  ])('%j: one sentence, exit code 2', async (args, said) => {
    const child = run(args)
    const words: Buffer[] = []
    child.stderr?.on('data', (chunk: Buffer) => words.push(chunk))
    expect(await once(child, 'close')).toEqual([2, null])
    const text = Buffer.concat(words).toString()
    if (typeof said === 'string') expect(text).toBe(said)
    else expect(text).toMatch(said)
  })
})
