import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { find, locate, type Program } from './programs.ts'

const browser: Program = { name: 'Browser', commands: ['nice', 'plain'], apt: 'browser', variable: 'BROWSER_PATH' }
const store: Program = { name: 'Store', commands: ['store-server'], apt: 'store' }

/** A folder with these programs in it. */
async function folderOf(...commands: readonly string[]) {
  const path = await mkdtemp(join(tmpdir(), 'weir-programs-'))
  for (const command of commands) await writeFile(join(path, command), '', { mode: 0o755 })
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

describe('finding a program', () => {
  test('the preferred name wins, in any folder', async () => {
    await using first = await folderOf('plain')
    await using second = await folderOf('nice')
    const PATH = ['', first.path, second.path].join(delimiter)
    expect(find(browser, { PATH })).toBe(join(second.path, 'nice'))
    expect(find(browser, { PATH: first.path })).toBe(join(first.path, 'plain'))
    expect(find(store, { PATH })).toBeUndefined()
  })

  test('its variable wins over PATH', async () => {
    await using folder = await folderOf('nice', 'mine')
    const mine = join(folder.path, 'mine')
    expect(find(browser, { PATH: folder.path, BROWSER_PATH: mine })).toBe(mine)
    expect(find(browser, { PATH: folder.path, BROWSER_PATH: '/nowhere' })).toBeUndefined()
    expect(find(browser, { PATH: folder.path, BROWSER_PATH: '' })).toBe(join(folder.path, 'nice'))
  })

  test('a file that is not executable is ignored', async () => {
    await using folder = await folderOf('nice')
    await chmod(join(folder.path, 'nice'), 0o644)
    expect(find(browser, { PATH: folder.path })).toBeUndefined()
  })
})

describe('locating all', () => {
  test('sets the variables for the tests', async () => {
    await using folder = await folderOf('nice', 'store-server')
    expect(locate([browser, store], { PATH: folder.path })).toEqual({ BROWSER_PATH: join(folder.path, 'nice') })
  })

  test('reports missing programs and how to install them', async () => {
    await using folder = await folderOf('nice')
    expect(locate([browser, store], { PATH: folder.path })).toBe(
      'The tests need Store, not found here: install with "sudo apt-get install store".',
    )
    expect(locate([browser, store], { PATH: '' })).toBe(
      'The tests need Browser and Store, not found here: install with "sudo apt-get install browser store", or set BROWSER_PATH.',
    )
    expect(locate([browser], { PATH: folder.path, BROWSER_PATH: '/nowhere' })).toBe(
      'BROWSER_PATH is to be the path of Browser, but /nowhere is no program.',
    )
  })
})
