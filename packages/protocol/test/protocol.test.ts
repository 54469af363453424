import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CLOSE_CODES, comeBack } from '../src/index.ts'

const read = (path: string) => readFileSync(join(import.meta.dirname, '..', path), 'utf8')
const page = read('PROTOCOL.md')
const websocket = page.slice(page.indexOf('## WebSocket'))

/** The cells of each row in the tables below a heading, without code marks. */
function rowsBelow(heading: string): readonly (readonly string[])[] {
  const text = websocket.slice(websocket.indexOf(heading) + heading.length).split('\n#')[0] ?? ''
  const lines = text.split('\n').filter((line) => line.startsWith('|'))
  return lines.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
}

/** The messages declared in a file of types: type and fields, optional ones with `?`. */
function declared(path: string): readonly string[] {
  const interfaces = read(path).matchAll(/export interface \w+ \{\n(.*?)\n\}/gs)
  return [...interfaces].map(([, body = '']) => {
    const type = /type: '(\w+)'/.exec(body)?.[1]
    const fields = [...body.matchAll(/readonly (\w+\??):/g)].map(([, field]) => field)
    return [type, ...fields.filter((field) => field !== 'type').sort()].join(' ')
  })
}

describe('PROTOCOL.md', () => {
  test.each([
    ['### What a client says', 'src/request.ts'],
    ['### What a server says', 'src/message.ts'],
  ])('lists each message of %s with its fields, and no other', (heading, path) => {
    const written = rowsBelow(heading).map(([type, fields = '']) =>
      [
        type,
        ...fields
          .split(', ')
          .filter((field) => field !== '')
          .sort(),
      ].join(' '),
    )
    expect(written.sort()).toEqual([...declared(path)].sort())
  })

  test('lists the close codes as in the table, and no other', () => {
    const rows = Object.entries(CLOSE_CODES).map(([name, { code, retry, after, meaning }]) => [
      String(code),
      name,
      retry ? 'yes' : 'no',
      retry ? `${after} ms` : '',
      meaning.replaceAll('`', ''),
    ])
    expect(rowsBelow('### Close codes')).toEqual(rows)
  })
})

test('a close code tells whether to reconnect, and an unknown one counts as a lost connection', () => {
  expect(comeBack(1001)).toEqual({ retry: true, after: 1000 })
  expect(comeBack(1002)).toEqual({ retry: false, after: 0 })
  expect(comeBack(4429)).toEqual({ retry: true, after: 10_000 })
  for (const unknown of [1006, 1012, 3000, 4999]) expect(comeBack(unknown)).toEqual({ retry: true, after: 0 })
})

test('close codes are unique, and ours are in the range for applications', () => {
  const codes = Object.values(CLOSE_CODES).map(({ code }) => code)
  expect(new Set(codes).size).toBe(codes.length)
  // RFC 6455, 7.4.2.
  expect(codes.every((code) => (code >= 1000 && code <= 1011) || (code >= 4000 && code <= 4999))).toBe(true)
})
