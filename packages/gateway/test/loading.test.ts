import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** The packages that a process loads for an import. */
function loadedBy(code: string): readonly string[] {
  const script = `
    import { registerHooks } from 'node:module'
    const loaded = new Set()
    registerHooks({
      load(url, context, next) {
        const [, name] = /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url) ?? []
        if (name !== undefined) loaded.add(name)
        return next(url, context)
      },
    })
    await (async () => { ${code} })()
    process.stdout.write(JSON.stringify([...loaded]))
    process.exit()
  `
  const out = execFileSync(process.execPath, ['--input-type=module', '--no-warnings', '--eval', script], {
    cwd: join(import.meta.dirname, '..'),
    encoding: 'utf8',
  })
  return (JSON.parse(out) as string[]).filter((name) => !name.startsWith('@weir/')).toSorted()
}

test.each([
  ['budget', ['lru-cache']],
  ['flight', ['lru-cache']],
  ['batch', ['lru-cache']],
  ['cache', ['lru-cache']],
])('@weir/gateway/%s loads no more than it needs', (part, packages) => {
  expect(packages).toEqual(expect.arrayContaining([...loadedBy(`await import('@weir/gateway/${part}')`)]))
})

test('a gateway loads Redis, GraphQL and metrics only when they are used', () => {
  const plain = loadedBy(`
    const { createGateway, defineApp } = await import('@weir/gateway')
    createGateway({ apps: [defineApp({ name: 'a', use: [] })] })
  `)
  expect(plain).toContain('undici')
  expect(plain.filter((name) => /redis|graphql|prom-client/.test(name))).toEqual([])
  const shared = loadedBy(`
    const { createGateway, defineApp } = await import('@weir/gateway')
    createGateway({ apps: [defineApp({ name: 'a', use: [] })], redis: 'redis://127.0.0.1:1' })
  `)
  expect(shared).toContain('@redis/client')
})
