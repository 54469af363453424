import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { keyReader } from './key.ts'

const Book = {
  venue: z.string().min(1),
  depth: z.coerce.number().int().optional(),
  side: z.enum(['bid', 'ask']).optional(),
}
const books = keyReader('feed "/books/:venue"', '/books/:venue', Book)
const names = keyReader('feed "/names/:name"', '/names/:name', { name: z.string(), also: z.string().optional() })

describe('the topic of a key', () => {
  test.each([
    [{ venue: 'x' }, '', '/books/x'],
    [{ venue: 'x' }, 'depth=20', '/books/x?depth=20'],
    [{ venue: 'x' }, 'side=bid&depth=20', '/books/x?depth=20&side=bid'],
    [{ venue: 'x' }, 'depth=20&side=bid', '/books/x?depth=20&side=bid'],
    [{ venue: 'x' }, 'depth=20.0', '/books/x?depth=20'],
    [{ venue: 'x' }, 'depth=%32%30', '/books/x?depth=20'],
    [{ venue: 'x' }, 'as=sse&depth=20', '/books/x?depth=20'],
    [{ venue: 'X' }, '', '/books/X'],
    [{ venue: 'a%2Fb' }, '', '/books/a%2Fb'],
    [{ venue: 'a b' }, '', '/books/a%20b'],
    [{ venue: 'a%3Fb%23c' }, '', '/books/a%3Fb%23c'],
  ])('%j and "%s" is %s, whatever its writing', (parameters, query, topic) => {
    expect(books.fromAddress(parameters, query).topic).toBe(topic)
  })

  test('is the same for a key given in code', () => {
    const written = books.fromAddress({ venue: 'a%20b' }, 'side=ask&depth=5')
    expect(books.fromParts({ side: 'ask', venue: 'a b', depth: 5 })).toEqual(written)
    expect(written.key).toEqual({ venue: 'a b', depth: 5, side: 'ask' })
  })

  test('is one for all forms of a character', () => {
    const [composed, decomposed] = ['\u00e9', 'e\u0301']
    const topics = [composed, decomposed].flatMap((name) => {
      const encoded = encodeURIComponent(name)
      return [names.fromAddress({ name: encoded }, `also=${encoded}`), names.fromParts({ name, also: name })].map(
        ({ topic }) => topic,
      )
    })
    expect(new Set(topics)).toEqual(new Set(['/names/%C3%A9?also=%C3%A9']))
  })

  test('reads its own topic back', () => {
    const { topic, key } = names.fromParts({ name: 'ż/ó?ł&w=#%', also: 'a+b c' })
    const [path = '', query = ''] = topic.split('?')
    expect(names.fromAddress({ name: path.slice('/names/'.length) }, query)).toEqual({ topic, key })
  })

  test.each([{ name: 'ż/ó?ł&w=#%', also: 'a+b c' }, { name: '..' }, { name: 'a', also: '' }, { name: ':name' }])(
    '%j is read back out of it',
    (parts) => {
      const read = names.fromParts(parts)
      expect(names.fromTopic(read.topic)).toEqual(read)
    },
  )

  test('can not be changed by a loader', () => {
    expect(() => Object.assign(names.fromParts({ name: 'x' }).key, { name: 'y' })).toThrow(TypeError)
  })
})

describe('a bad key is refused with its part named', () => {
  test.each([
    ['a schema that refuses', { venue: 'x' }, 'depth=deep', /^depth: .+, got "deep"$/],
    ['a part of the path that is empty', { venue: '' }, '', /^venue: /],
    ['an unknown query parameter', { venue: 'x' }, 'dept=1', /^dept: \/books\/:venue takes only depth, side$/],
    ['broken percent-encoding', { venue: '%E0%A4%A' }, '', /^venue: expected percent-encoded UTF-8, got "%E0%A4%A"$/],
    ['bytes that are no UTF-8', { venue: '%FF' }, '', /^venue: expected percent-encoded UTF-8/],
    ['a part that is too long', { venue: 'x'.repeat(513) }, '', /^venue: expected at most 512 characters, got 513$/],
  ])('%s', (_, parameters, query, message) => {
    expect(() => books.fromAddress(parameters, query)).toThrow(
      expect.objectContaining({ code: 'bad_key', message: expect.stringMatching(message) }),
    )
  })

  test('half a character in code', () => {
    expect(() => names.fromParts({ name: '\ud800' })).toThrow(expect.objectContaining({ code: 'bad_key' }))
  })

  test('512 characters are not too long', () => {
    expect(books.fromAddress({ venue: 'x'.repeat(512) }, '').topic).toHaveLength(7 + 512)
  })
})

describe('a declaration is refused where path and schemas do not fit', () => {
  test.each([
    ['a path without its slash', 'books/:venue', Book, 'path'],
    ['a path with a wildcard', '/books/*', {}, 'path'],
    ['a path with a query', '/books?x=1', {}, 'path'],
    ['a path with an empty segment', '/books//x', {}, 'path'],
    ['a parameter without a schema', '/books/:venue', {}, 'key.venue'],
    ['a schema that is none', '/books/:venue', { venue: String }, 'key'],
    ['no schemas', '/books/:venue', undefined, 'key'],
  ])('%s', (_, path, schemas, key) => {
    expect(() => keyReader('feed', path, schemas)).toThrow(expect.objectContaining({ name: 'ConfigError', key }))
  })

  test('a schema that answers later is named when it does', () => {
    const later = keyReader('feed', '/x/:id', { id: z.string().refine(async () => true) })
    expect(() => later.fromParts({ id: 'a' })).toThrow(/key\.id: expected a schema that answers at once/)
  })
})
