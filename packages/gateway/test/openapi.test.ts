import { Validator } from '@seriousme/openapi-schema-validator'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http, log, proxy, type Routes, stream } from '../src/index.ts'

interface Tree {
  readonly name: string
  readonly children: readonly Tree[]
}
const Tree: z.ZodType<Tree> = z.object({ name: z.string(), children: z.lazy(() => Tree.array()) })

/** A schema of a library that can't say itself. */
const Mute = { '~standard': { version: 1, vendor: 'mute', validate: (value: unknown) => ({ value }) } } as const

function app() {
  const from = http({ name: 'source', url: 'http://127.0.0.1:1' })
  const load = { one: async () => new Error('never asked') }
  const book = feed('/books/:venue/:pair', {
    name: 'book',
    key: {
      venue: z.string().regex(/^[a-z]+$/),
      pair: z.string(),
      depth: z.coerce.number().int().min(1).default(10),
      side: z.enum(['bid', 'ask']),
    },
    value: z.object({ bids: z.array(z.number()), at: z.string().transform((text) => new Date(text)) }),
    from,
    load,
  })
  const tree = feed('/trees/:id', { name: 'tree', cdn: '1m', key: { id: z.string() }, value: Tree, from, load })
  const mute = feed('/mute/:id', { name: 'mute one', scope: 'user', key: { id: Mute }, value: Mute, from, load })
  const sold = log('/sold/:venue', {
    name: 'sold',
    key: { venue: z.string(), side: z.enum(['bid', 'ask']) },
    event: z.object({ at: z.number() }),
  })
  const trees = stream('/api/trees', { of: tree, choose: { query: 'ids', part: 'id' }, maxKeys: 7 })
  const all = stream('/api/all', { of: book })
  const own = proxy('/api/shop/*', { to: from, paths: ['/items/:id', '/pages/*'], methods: ['GET', 'POST'] })
  const hono = new Hono()
    .get('/me/:id{[0-9]+}', (context) => context.text('me'))
    .post('/me/:id{[0-9]+}', (context) => context.text('me'))
    .all('*', (context) => context.text('any'))
  return defineApp({
    name: 'shop',
    use: [book, tree, mute, sold, trees, all, own],
    identify: () => undefined,
    routes: hono as Routes,
  })
}

async function documentOf(): Promise<{ readonly response: Response; readonly text: string }> {
  const gateway = createGateway({ apps: [app()] })
  try {
    const response = await gateway.sites[0]?.fetch(new Request('http://localhost/weir/openapi.json'))
    if (response === undefined) throw new Error('expected an answer')
    return { response, text: await response.text() }
  } finally {
    await gateway.close()
  }
}

const { response, text } = await documentOf()
// What stands in it is looked up by paths that the tests spell out.
const at = (...path: readonly string[]): unknown =>
  path.reduce<unknown>((part, name) => (part as Record<string, unknown> | undefined)?.[name], JSON.parse(text))
const parameters = (path: string) => at('paths', path, 'get', 'parameters')

describe('what an app serves', () => {
  test('is an OpenAPI 3.1 document', async () => {
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
    const validator = new Validator()
    expect(await validator.validate(JSON.parse(text))).toMatchObject({ valid: true })
    expect(validator.version).toBe('3.1')
  })

  test('refers to nothing that is not there', () => {
    const references = [...text.matchAll(/"\$ref":"#\/([^"]*)"/g)].map(([, pointer = '']) => pointer)
    expect(references.length).toBeGreaterThan(20)
    expect(text).not.toMatch(/"\$ref":"(?!#\/)/)
    for (const pointer of references) expect([pointer, at(...pointer.split('/'))]).not.toContain(undefined)
  })

  test('lists every address', () => {
    expect(Object.keys(at('paths') as object).sort()).toEqual([
      '/api/all',
      '/api/db/health',
      '/api/health',
      '/api/shop/items/{id}',
      '/api/shop/pages/{rest}',
      '/api/trees',
      '/books/{venue}/{pair}',
      '/health',
      '/me/{id}',
      '/metrics',
      '/mute/{id}',
      '/sold/{venue}',
      '/trees/{id}',
      '/weir/stream',
      '/weir/values',
      '/weir/ws',
    ])
    expect(Object.keys(at('paths', '/me/{id}') as object)).toEqual(['get', 'post'])
  })

  test('says the key of a feed by its schemas: what a client may write', () => {
    expect(parameters('/books/{venue}/{pair}')).toEqual([
      { name: 'venue', in: 'path', required: true, schema: { type: 'string', pattern: '^[a-z]+$' } },
      { name: 'pair', in: 'path', required: true, schema: { type: 'string' } },
      { name: 'depth', in: 'query', required: false, schema: expect.objectContaining({ type: 'integer', minimum: 1 }) },
      { name: 'side', in: 'query', required: true, schema: { type: 'string', enum: ['bid', 'ask'] } },
      ...['as', 'after', 'wait', 'resume'].map((name) => ({ $ref: `#/components/parameters/${name}` })),
    ])
  })

  test('says the value of a feed by its schema: what is sent, with what can not be said left open', () => {
    expect(at('components', 'schemas', 'book')).toMatchObject({
      type: 'object',
      properties: { bids: { type: 'array', items: { type: 'number' } }, at: {} },
      required: ['bids', 'at'],
    })
    expect(at('components', 'schemas', 'mute_one')).toEqual({ title: 'mute one' })
    expect(at('components', 'schemas', 'tree', 'properties', 'children', 'items')).toEqual({
      $ref: '#/components/schemas/tree',
    })
  })

  test('says the events of a log, and where to begin', () => {
    expect(parameters('/sold/{venue}')).toEqual([
      { name: 'venue', in: 'path', required: true, schema: { type: 'string' } },
      { name: 'side', in: 'query', required: true, schema: { type: 'string', enum: ['bid', 'ask'] } },
      ...['as', 'afterPosition', 'most', 'wait', 'since', 'resume'].map((name) => ({
        $ref: `#/components/parameters/${name}`,
      })),
    ])
    const answers = ['paths', '/sold/{venue}', 'get', 'responses']
    expect(at(...answers, '200', 'content', 'application/json', 'schema')).toMatchObject({
      required: ['events', 'oldest', 'newest'],
      properties: { events: { items: { properties: { event: { $ref: '#/components/schemas/sold' } } } }, gap: {} },
    })
    expect(at('components', 'schemas', 'sold')).toMatchObject({ properties: { at: { type: 'number' } } })
    expect(Object.keys(at(...answers) as object)).toEqual(expect.arrayContaining(['204', '400']))
  })

  test('says every form, header and error of a value', () => {
    const answers = at('paths', '/trees/{id}', 'get', 'responses') as Record<string, { content?: object }>
    expect(Object.keys(answers)).toEqual(
      ['200', '204', '304', '400', '404', '408', '414', '417', '431', '500', '502', '503', '504'].sort(),
    )
    expect(Object.keys(answers['200']?.content ?? {})).toEqual(['application/json'])
    expect(at('components', 'responses', 'Problem404')).toMatchObject({
      description: expect.stringContaining('`absent`: The upstream has no value for this key.'),
      content: {
        'application/problem+json': {
          schema: { allOf: [{}, { properties: { code: { enum: ['not_found', 'absent', 'never'] } } }] },
        },
      },
    })
  })

  test('says that it matters who calls only where it does', () => {
    const answers = (path: string) => Object.keys(at('paths', path, 'get', 'responses') as object)
    expect([answers('/mute/{id}'), answers('/weir/values'), answers('/weir/stream')]).toEqual(
      Array.from({ length: 3 }, () => expect.arrayContaining(['401'])),
    )
    expect(answers('/books/{venue}/{pair}')).not.toContain('401')
  })

  test('says how a stream is told its keys', () => {
    expect(parameters('/api/trees')).toMatchObject([
      { name: 'ids', explode: false, schema: { type: 'array', maxItems: 7, items: { type: 'string' } } },
    ])
    expect(parameters('/api/all')).toEqual([])
  })
})

test('it is also there while the site is closed to others', async () => {
  const gateway = createGateway({ apps: [app()] })
  gateway.level.set('maintenance', 'by hand')
  const [site] = gateway.sites
  expect((await site?.fetch(new Request('http://localhost/weir/openapi.json')))?.status).toBe(200)
  await gateway.close()
})

test("patterns in the paths of an app's own routes are its router's affair", async () => {
  const gateway = createGateway({ apps: [app()] })
  const ask = async (path: string) => (await gateway.sites[0]?.fetch(new Request(`http://localhost${path}`)))?.text()
  expect([await ask('/me/12'), await ask('/me/x')]).toEqual(['me', 'any'])
  await gateway.close()
})

test('names what a proxy passes on, and nothing else of the upstream', () => {
  expect(at('paths', '/api/shop/items/{id}')).toMatchObject({ get: {}, post: {} })
  expect(at('paths', '/api/shop/pages/{rest}', 'get', 'parameters')).toMatchObject([{ name: 'rest', in: 'path' }])
  expect(Object.keys(at('paths') as object).filter((path) => path.startsWith('/api/shop'))).toHaveLength(2)
})
