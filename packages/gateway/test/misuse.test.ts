import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const FOLDER = join(import.meta.dirname, 'misuse')
const COMPILER = join(import.meta.dirname, '../../../node_modules/typescript/bin/tsc')

/** Lines that end in `// refused: WORDS` must be refused with these words, and no others may be. */
function expected(): ReadonlyMap<string, string> {
  const lines = new Map<string, string>()
  for (const name of readdirSync(FOLDER).filter((name) => name.endsWith('.ts'))) {
    for (const [index, line] of readFileSync(join(FOLDER, name), 'utf8').split('\n').entries()) {
      const words = line.split('// refused: ')[1]
      if (words !== undefined) lines.set(`${name}:${index + 1}`, words)
    }
  }
  return lines
}

/** What the real compiler says, by file and line. */
function refused(): ReadonlyMap<string, string> {
  const { stdout } = spawnSync(process.execPath, [COMPILER, '--project', FOLDER, '--pretty', 'false'], {
    encoding: 'utf8',
    cwd: FOLDER,
  })
  const errors = new Map<string, string>()
  let at = ''
  for (const line of stdout.split('\n')) {
    const match = /^(.+)\((\d+),\d+\): error /.exec(line)
    if (match !== null) at = `${match[1]}:${match[2]}`
    if (line !== '') errors.set(at, `${errors.get(at) ?? ''}${line}\n`)
  }
  return errors
}

test('misuse is refused by the type checker, where it stands', () => {
  const [marked, errors] = [expected(), refused()]
  expect([...errors.keys()].sort()).toEqual([...marked.keys()].sort())
  for (const [at, words] of marked) expect(errors.get(at), at).toContain(words)
})
