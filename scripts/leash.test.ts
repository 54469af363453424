import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const RUNNING = join(import.meta.dirname, 'running.ts')

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test.skipIf(process.platform !== 'linux')(
  'a program exits with the test that started it, even when the test is killed',
  async () => {
    const lines = `
    import { runProgram } from ${JSON.stringify(RUNNING)}
    process.stdout.write(String(runProgram('sleep', ['600']).pid))
    setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', lines], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [text] = await once(parent.stdout, 'data')
    const pid = Number(text)
    expect(alive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await expect.poll(() => alive(pid)).toBe(false)
  },
)
