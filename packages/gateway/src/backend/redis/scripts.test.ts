import { readdirSync, readFileSync } from 'node:fs'
import { parse } from 'luaparse'
import { expect, test } from 'vitest'
import type { Script } from './script.ts'
import * as scripts from './scripts.ts'

const FOLDER = new URL('lua/', import.meta.url)
const FILES = readdirSync(FOLDER).toSorted()

/** What Redis gives a script. Any other global is a local that was not declared: Redis fails only once it gets there. */
const GIVEN = [
  'redis',
  'cjson',
  'KEYS',
  'ARGV',
  'string',
  'table',
  'math',
  'ipairs',
  'pairs',
  'tonumber',
  'type',
  'unpack',
]

function textOf(file: string): string {
  return readFileSync(new URL(file, FOLDER), 'utf8').trim()
}

function globalsOf(source: string): readonly string[] {
  const chunk = parse(source, { luaVersion: '5.1', scope: true, comments: false })
  // The types of the parser leave out what `scope` adds.
  const { globals = [] } = chunk as typeof chunk & { globals?: readonly { readonly name: string }[] }
  return [...new Set(globals.map(({ name }) => name))]
}

test('the check finds a name that is not declared', () => {
  expect(globalsOf('local known = 1\nfunction f() return known, unkown end')).toEqual(['f', 'unkown'])
})

test.each(Object.entries<Script>(scripts))('%s is Lua that declares every name it uses', (_, { source }) => {
  expect(globalsOf(source).filter((name) => !GIVEN.includes(name))).toEqual([])
})

test.each(FILES)('%s is part of a script, is Lua by itself, and says what it is', (file) => {
  const text = textOf(file)
  expect(Object.values<Script>(scripts).some(({ source }) => source.includes(text))).toBe(true)
  expect(() => parse(text, { luaVersion: '5.1' })).not.toThrow()
  expect(text).toMatch(/^-- [A-Z]/)
  expect(text.split('\n').length).toBeLessThan(500)
})
