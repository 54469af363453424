import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { GROUPS, groupOf, sourceFiles, violation, violations } from './import-rules.ts'

const ROOT = join(import.meta.dirname, '..')
const SRC = 'packages/gateway/src'

/** An import of a file. */
type Import = readonly [from: string, module: string]

const REFUSED: Readonly<Record<string, readonly Import[]>> = {
  'a stage knows no other stage': [
    [`${SRC}/cache/probe.ts`, '../budget/budget.ts'],
    [`${SRC}/budget/probe.ts`, '../pool/pool.ts'],
    [`${SRC}/hub/probe.ts`, '../topic/feed/feed-runtime.ts'],
    [`${SRC}/pool/probe.ts`, '../backend/memory/meters.ts'],
    [`${SRC}/flight/probe.ts`, '../pipeline.ts'],
    [`${SRC}/batch/probe.ts`, '@weir/simulators'],
    [`${SRC}/attempt/deep/probe.ts`, '../../budget/budget.ts'],
  ],
  'the vocabulary knows only itself': [
    [`${SRC}/errors.ts`, './hub/hub.ts'],
    [`${SRC}/clock.ts`, './gateway.ts'],
    [`${SRC}/call.ts`, '@weir/ui'],
  ],
  'topics are given the pipeline': [
    [`${SRC}/topic/probe.ts`, '../cache/cache.ts'],
    [`${SRC}/topic/probe.ts`, '../pipeline.ts'],
    [`${SRC}/topic/probe.ts`, '../transport/sse.ts'],
    [`${SRC}/topic/probe.ts`, '../backend/memory/backend.ts'],
  ],
  'transports know topics and the hub': [
    [`${SRC}/transport/probe.ts`, '../cache/cache.ts'],
    [`${SRC}/transport/probe.ts`, '../admission/admission.ts'],
    [`${SRC}/transport/probe.ts`, '../runtime/node/server.ts'],
  ],
  'backends know the ports': [
    [`${SRC}/backend/memory/probe.ts`, '../../cache/cache.ts'],
    [`${SRC}/backend/probe.ts`, '../hub/hub.ts'],
  ],
  'a runtime knows no stage': [
    [`${SRC}/runtime/probe.ts`, '../hub/hub.ts'],
    [`${SRC}/runtime/probe.ts`, '../topic/feed/feed.ts'],
    [`${SRC}/runtime/probe.ts`, '../site/site.ts'],
  ],
  'metrics, health and logs are made from events': [
    [`${SRC}/observe/probe.ts`, '../hub/hub.ts'],
    [`${SRC}/observe/probe.ts`, '../budget/budget.ts'],
  ],
  'only gateway.ts picks backend and runtime': [
    [`${SRC}/site/site.ts`, '../backend/memory/backend.ts'],
    [`${SRC}/site/front.ts`, '../backend/memory/backend.ts'],
    [`${SRC}/site/region.ts`, '../runtime/node/server.ts'],
    [`${SRC}/upstreams.ts`, './backend/redis/backend.ts'],
    [`${SRC}/pipeline.ts`, './backend/memory/backend.ts'],
    [`${SRC}/pipeline.ts`, './gateway.ts'],
    [`${SRC}/app.ts`, './cli/main.ts'],
  ],
  'the client brings nothing but the protocol': [
    ['packages/client/src/probe.ts', '@weir/gateway'],
    ['packages/client/src/probe.ts', 'react'],
    ['packages/client/src/probe.ts', 'node:http'],
  ],
  'the protocol depends on nothing': [
    ['packages/protocol/src/probe.ts', '@weir/gateway'],
    ['packages/protocol/src/probe.ts', 'node:fs'],
    ['packages/protocol/src/probe.ts', 'zod'],
    ['packages/protocol/src/probe.ts', '../../gateway/src/call.ts'],
  ],
  'the product never imports simulators or pages': [
    [`${SRC}/gateway.ts`, '@weir/simulators'],
    [`${SRC}/index.ts`, '@weir/ui'],
    [`${SRC}/cli/start.ts`, '@weir/simulators'],
    [`${SRC}/cli/start.ts`, '../../../simulators/src/index.ts'],
  ],
  'apps use the public names': [
    ['apps/prices/app.ts', '../../packages/gateway/src/index.ts'],
    ['apps/prices/test/probe.test.ts', '../../../packages/gateway/src/gateway.ts'],
    ['apps/prices/page/src/main.tsx', '../../../../packages/client/src/client.ts'],
  ],
}

const ALLOWED: readonly Import[] = [
  [`${SRC}/cache/probe.ts`, '../errors.ts'],
  [`${SRC}/cache/probe.ts`, '../backend/ports.ts'],
  [`${SRC}/cache/probe.ts`, './other.ts'],
  [`${SRC}/cache/probe.ts`, '@weir/protocol'],
  [`${SRC}/cache/probe.ts`, 'lru-cache'],
  // Tests of a stage may use the real implementation of a port.
  [`${SRC}/cache/probe.test.ts`, '../backend/memory/backend.ts'],
  [`${SRC}/errors.ts`, './clock.ts'],
  [`${SRC}/topic/probe.ts`, '../hub/hub.ts'],
  [`${SRC}/topic/probe.ts`, '../upstream/upstream.ts'],
  [`${SRC}/transport/probe.ts`, '../topic/feed/feed-runtime.ts'],
  [`${SRC}/transport/probe.ts`, '../hub/hub.ts'],
  [`${SRC}/backend/memory/probe.ts`, '../ports.ts'],
  [`${SRC}/runtime/probe.ts`, '../call.ts'],
  [`${SRC}/runtime/probe.ts`, '../transport/problem.ts'],
  [`${SRC}/observe/probe.ts`, '../events.ts'],
  [`${SRC}/site/site.ts`, '../transport/sse.ts'],
  [`${SRC}/pipeline.ts`, './cache/cache.ts'],
  [`${SRC}/pipeline.ts`, './backend/ports.ts'],
  [`${SRC}/gateway.ts`, './runtime/node/server.ts'],
  [`${SRC}/gateway.ts`, './backend/memory/backend.ts'],
  [`${SRC}/gateway.ts`, '@weir/protocol'],
  [`${SRC}/cli/start.ts`, '../gateway.ts'],
  ['packages/protocol/src/probe.ts', './version.ts'],
  ['packages/protocol/src/probe.test.ts', 'vitest'],
  ['apps/prices/app.ts', '@weir/gateway'],
  ['apps/prices/test/probe.test.ts', '@weir/simulators'],
]

/** Files that import each other. */
const CYCLES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'of values': {
    'cycles/values/a.ts': "import { b } from './b.ts'\nexport const a = () => b\n",
    'cycles/values/b.ts': "import { a } from './a.ts'\nexport const b = () => a\n",
  },
  'of types alone': {
    'cycles/types/a.ts': "import type { B } from './b.ts'\nexport interface A {\n  readonly b: B\n}\n",
    'cycles/types/b.ts': "import type { A } from './a.ts'\nexport interface B {\n  readonly a: A\n}\n",
  },
}

/** The report of Biome. */
interface Report {
  readonly diagnostics: readonly { readonly category: string; readonly location: { readonly path: string } }[]
}

describe.each(Object.entries(REFUSED))('%s', (_rule, imports) => {
  test.each(imports)('%s may not import %s', (from, module) => {
    expect(violation(from, module)).toMatchObject({ file: from, imported: module })
  })
})

test.each(ALLOWED)('%s may import %s', (from, module) => {
  expect(violation(from, module)).toBeUndefined()
})

test('every source file belongs to a group', () => {
  expect(sourceFiles().filter((file) => groupOf(file) === undefined)).toEqual([])
})

test('every group has files', () => {
  const used = new Set(sourceFiles().map(groupOf))
  expect(GROUPS.filter((group) => !used.has(group)).map(({ name }) => name)).toEqual([])
})

test('no file of the gateway but a test may import a simulator, a page or the client', () => {
  const files = sourceFiles().filter((file) => file.startsWith(SRC) && !file.includes('.test.'))
  for (const module of ['@weir/simulators', '@weir/ui', '@weir/client'])
    expect(files.filter((file) => violation(file, module) === undefined)).toEqual([])
})

test('no file of a stage, a topic, a transport, a runtime or an observer may import a backend, the command or the gateway', () => {
  const files = sourceFiles().filter((file) => {
    const name = groupOf(file)?.name ?? ''
    return name.startsWith('stage') || ['topics', 'transports', 'runtimes', 'observers', 'vocabulary'].includes(name)
  })
  expect(files.length).toBeGreaterThan(100)
  for (const target of ['backend/memory/backend.ts', 'cli/start.ts', 'gateway.ts', 'pipeline.ts', 'site/site.ts']) {
    const module = (file: string) => `${'../'.repeat(file.split('/').length - 4) || './'}${target}`
    expect(files.filter((file) => violation(file, module(file)) === undefined)).toEqual([])
  }
})

test('the rules hold', () => {
  expect(violations(sourceFiles())).toEqual([])
})

test.each(Object.entries(CYCLES))('a cycle %s is refused by the linter', async (_what, files) => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-rules-'))
  try {
    await copyFile(join(ROOT, 'biome.json'), join(folder, 'biome.json'))
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    }
    const args = ['lint', '--vcs-enabled=false', '--reporter=json', '.']
    const { stdout } = spawnSync(process.execPath, [join(ROOT, 'node_modules/@biomejs/biome/bin/biome'), ...args], {
      cwd: folder,
      encoding: 'utf8',
    })
    const { diagnostics }: Report = JSON.parse(stdout)
    expect(diagnostics.map(({ category, location }) => `${location.path} ${category}`).toSorted()).toEqual(
      Object.keys(files).map((path) => `${path} lint/suspicious/noImportCycles`),
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
