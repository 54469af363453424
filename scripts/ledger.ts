import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

/** Required text in a row without evidence. */
const MISSING = /\*\*(not yet|not here)\*\*/

/** Returns the rows of a README's ledger as cell texts, without the header. Empty without a ledger. */
export function ledgerRows(readme: string): readonly (readonly string[])[] {
  const ledger = readme.split(/^## Ledger$/m)[1]?.split(/^## /m)[0] ?? ''
  const lines = ledger.split('\n').filter((line) => line.startsWith('|'))
  return lines.slice(2).map((line) =>
    line
      .slice(1, line.lastIndexOf('|'))
      .split('|')
      .map((cell) => cell.trim()),
  )
}

/**
 * Checks a row; undefined when it is valid. The third cell must contain evidence: `npm start`, `node FILE`, a file, or
 * `FILE › name of a test`, with paths relative to the repository. Only a row with **not yet** or **not here** may omit it. Commands and
 * files in other cells must exist too.
 */
export function wrongWith(row: readonly string[]): string | undefined {
  const [promise = '', there = '', shown = ''] = row
  if (row.length !== 4) return `${promise}: expected four cells, got ${row.length}`
  const named = spans(shown)
  if (named.length === 0 && !MISSING.test(there)) return `${promise}: expected a command or a test, got "${shown}"`
  const commands = row.flatMap(spans).filter((span) => /^(npm|node) /.test(span))
  const wrong = [...named, ...commands].find((span) => !isThere(span))
  return wrong === undefined ? undefined : `${promise}: expected what is there, got "${wrong}"`
}

function spans(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span)
}

function isThere(span: string): boolean {
  const [, script] = /^npm (?:run )?([\w:-]+)/.exec(span) ?? []
  if (script !== undefined) return Object.hasOwn(scripts(), script)
  const [file = '', test] = span.replace(/^node (\S+).*$/, '$1').split(' › ')
  const path = join(ROOT, file)
  if (!existsSync(path) || !statSync(path).isFile()) return false
  return (
    test === undefined ||
    [`'${test}'`, `"${test}"`, `\`${test}\``].some((name) => readFileSync(path, 'utf8').includes(name))
  )
}

function scripts(): Readonly<Record<string, string>> {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts
}
