import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { freePort } from '../../../scripts/free-port.ts'
import { leashed } from '../../../scripts/leash.ts'
import { WEIR } from '../../../scripts/weir.ts'

const ROOT = join(import.meta.dirname, '../../..')
const FAULTY = 'packages/gateway/test/fixtures/faulty.ts'

/** The command, with outputs that nobody reads. */
async function start(stdio: StdioOptions = 'ignore', args: readonly string[] = []) {
  const port = await freePort()
  const command = [...WEIR, 'start', FAULTY, '--port', String(port), ...args]
  const child: ChildProcess = spawn(...leashed(process.execPath, command), {
    ...{ cwd: ROOT, stdio, env: { PATH: process.env.PATH } },
  })
  const ended = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  const answers = () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    )
  await expect.poll(answers, { timeout: 45_000 }).toBe(true)
  return {
    child,
    url,
    answers,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

describe.each([
  ['one process', []],
  ['workers', ['--workers', '2']],
])('output that is lost costs lines and not the service: %s', (_what, args) => {
  test('a reader that ends', async () => {
    await using running = await start(['ignore', 'pipe', 'pipe'], args)
    running.child.stdout?.destroy()
    running.child.stderr?.destroy()
    for (let round = 0; round < 2; round++) {
      running.child.kill(args.length === 0 ? 'SIGUSR2' : 'SIGHUP')
      await fetch(`${running.url}/faults/${round}`)
      expect(await running.answers()).toBe(true)
    }
    expect(running.child.exitCode).toBeNull()
  })

  test('a full disk, and the command still ends when it is told to', async () => {
    const full = openSync('/dev/full', 'w')
    await using running = await start(['ignore', full, full], args)
    const ended = once(running.child, 'exit')
    for (let round = 0; round < 2; round++) {
      running.child.kill(args.length === 0 ? 'SIGUSR2' : 'SIGHUP')
      await fetch(`${running.url}/faults/${round}`)
      expect(await running.answers()).toBe(true)
    }
    expect(running.child.exitCode).toBeNull()
    running.child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  })

  test('a reader that stands still', async () => {
    await using running = await start(['ignore', 'pipe', 'pipe'], args)
    // Far more than a pipe holds.
    for (let round = 0; round < 40; round++) {
      const calls = Array.from({ length: 20 }, (_, index) => fetch(`${running.url}/faults/${round}-${index}`))
      for (const answer of await Promise.all(calls)) expect(answer.status).toBe(500)
    }
    expect(await running.answers()).toBe(true)
  })
})

describe("an app's own fault outside any call", () => {
  test('a rejected promise that nothing handles is logged, and the service goes on', async () => {
    await using running = await start(['ignore', 'ignore', 'pipe'])
    let log = ''
    running.child.stderr?.on('data', (data) => {
      log += data
    })
    await fetch(`${running.url}/reject`)
    await expect.poll(() => log).toContain('rejected by the app')
    expect(await running.answers()).toBe(true)
  })

  test('an exception that nothing catches is logged, calls under way are answered, and the process ends with 1', async () => {
    await using running = await start(['ignore', 'ignore', 'pipe'])
    let log = ''
    running.child.stderr?.on('data', (data) => {
      log += data
    })
    const ended = once(running.child, 'exit')
    expect((await fetch(`${running.url}/throw`)).status).toBe(200)
    expect(await ended).toEqual([1, null])
    expect(log).toContain('thrown by the app')
  })

  test('with workers another takes its place', async () => {
    await using running = await start('ignore', ['--workers', '2'])
    for (let round = 0; round < 2; round++) await fetch(`${running.url}/throw`).catch(() => {})
    await expect.poll(running.answers).toBe(true)
    expect(running.child.exitCode).toBeNull()
  })

  test('a key whose schema throws is answered, and the service goes on', async () => {
    await using running = await start()
    for (let round = 0; round < 3; round++) expect((await fetch(`${running.url}/throwing/abc`)).status).toBe(500)
    expect((await fetch(`${running.url}/throwing/1`)).status).toBe(200)
  })
})
