import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { createGateway, defineApp, feed, http, log, stream } from '../src/index.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../../..')
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

function app() {
  const from = http({ name: 'source', url: 'http://127.0.0.1:1' })
  const price = feed('/prices/:mint', {
    name: 'price',
    key: { mint: z.string(), depth: z.coerce.number().int().default(10) },
    value: z.object({
      usd: z.number(),
      change: z.number().nullable(),
      liquidity: z.number().nullable().default(null),
      tags: z.array(z.string()).optional(),
      source: z.enum(['dex', 'cex']),
    }),
    from,
    load: { one: async () => new Error('never asked') },
  })
  const trades = log('/trades/:mint', {
    name: 'trades',
    key: { mint: z.string() },
    event: z.object({ price: z.number(), size: z.number().nullable() }),
    mayPublish: () => true,
  })
  return defineApp({ name: 'shop', use: [price, trades, stream('/all', { of: price })] })
}

/** Lines of a program that uses the generated client, and what they do to the types. */
const GOOD = `
const price = await client.GET('/prices/{mint}', { params: { path: { mint: 'SOL' }, query: { depth: 5 } } })
if (price.data !== undefined) {
  const usd: number = price.data.usd
  const change: number | null = price.data.change
  const liquidity: number | null = price.data.liquidity
  const tags: readonly string[] | undefined = price.data.tags
  const source: 'dex' | 'cex' = price.data.source
  used(usd, change, liquidity, tags, source)
} else if (price.error !== undefined) {
  const code: string = price.error.code
  const retryAfter: number | undefined = price.error.retryAfter
  used(code, retryAfter)
}
const page = await client.GET('/trades/{mint}', { params: { path: { mint: 'SOL' }, query: { most: 10 } } })
for (const { position, at, event } of page.data?.events ?? []) {
  const size: number | null = event.size
  used(position satisfies string, at satisfies number, size)
}
const posted = await client.POST('/trades/{mint}', { params: { path: { mint: 'SOL' } }, body: { price: 1, size: null } })
used(posted.data?.position satisfies string | undefined)
const values = await client.GET('/weir/values', { params: { query: { topic: ['/prices/SOL'] } } })
used(values.data?.now satisfies number | undefined)
`

const BAD: readonly (readonly [what: string, line: string])[] = [
  ['a nullable number is no text', "const text: string = (await client.GET('/prices/{mint}', P)).data!.change"],
  ['a field that is not there', "used((await client.GET('/prices/{mint}', P)).data!.nothing)"],
  [
    'an event that the log does not take',
    "await client.POST('/trades/{mint}', { params: P.params, body: { price: '1' } })",
  ],
]

let folder: string

beforeAll(async () => {
  // Inside the package, so that imports are found.
  folder = await mkdtemp(join(import.meta.dirname, 'fixtures', 'made-'))
  const gateway = createGateway({ apps: [app()] })
  const answer = await gateway.sites[0]?.fetch(new Request('http://localhost/weir/openapi.json'))
  await writeFile(join(folder, 'document.json'), (await answer?.text()) ?? '')
  await gateway.close()
  const lines = `
    import { readFileSync, writeFileSync } from 'node:fs'
    import generate, { astToString } from 'openapi-typescript'
    const document = JSON.parse(readFileSync(${JSON.stringify(join(folder, 'document.json'))}, 'utf8'))
    writeFileSync(${JSON.stringify(join(folder, 'schema.d.ts'))}, astToString(await generate(document)))`
  const hooks = join(import.meta.dirname, 'fixtures/typescript-5.ts')
  await run(process.execPath, ['--import', hooks, '--input-type=module', '-e', lines], { cwd: folder })
  const options = {
    ...{ module: 'nodenext', target: 'es2024', strict: true, noEmit: true, skipLibCheck: true, types: [] },
    ...{ lib: ['es2024', 'dom', 'dom.iterable'] },
  }
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['client.ts'] }))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** What the compiler says of these lines; nothing when all is well. */
async function compile(lines: string): Promise<string> {
  const head = `
import createClient from 'openapi-fetch'
import type { paths } from './schema.d.ts'
const client = createClient<paths>({ baseUrl: 'http://localhost' })
const P = { params: { path: { mint: 'SOL' } } }
function used(..._values: readonly unknown[]): void {}
`
  await writeFile(join(folder, 'client.ts'), `${head}${lines}\nused(P)\n`)
  return run(process.execPath, [TSC, '-p', folder]).then(
    () => '',
    ({ stdout }: { stdout: string }) => stdout,
  )
}

test('a client generated from the document is used without a cast', async () => {
  expect(await compile(GOOD)).toBe('')
})

test.each(BAD)('its types find mistakes: %s', async (_what, line) => {
  expect(await compile(line)).toMatch(/client\.ts\(\d+,\d+\): error TS/)
})
