import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const SRC = 'packages/gateway/src'

/** An import that a file would like to make. */
type Import = readonly [from: string, module: string]

const REFUSED: Readonly<Record<string, readonly Import[]>> = {
  'a stage knows no other stage': [
    [`${SRC}/cache/probe.ts`, '../budget/budget.ts'],
    [`${SRC}/budget/probe.ts`, '../pool/pool.ts'],
    [`${SRC}/hub/probe.ts`, '../topic/live-feed.ts'],
    [`${SRC}/pool/probe.ts`, '../backend/memory/meters.ts'],
    [`${SRC}/flight/probe.ts`, '../pipeline.ts'],
    [`${SRC}/batch/probe.ts`, '@weir/simulators'],
    [`${SRC}/attempt/deep/probe.ts`, '../../budget/budget.ts'],
  ],
  'tables know nothing but each other': [
    [`${SRC}/errors.ts`, './hub/hub.ts'],
    [`${SRC}/clock.ts`, './gateway.ts'],
    [`${SRC}/call.ts`, '@weir/ui'],
  ],
  'topics are handed the pipeline': [
    [`${SRC}/topic/probe.ts`, '../cache/cache.ts'],
    [`${SRC}/topic/probe.ts`, '../pipeline.ts'],
    [`${SRC}/topic/probe.ts`, '../transport/sse.ts'],
    [`${SRC}/topic/probe.ts`, '../backend/memory/backend.ts'],
  ],
  'transports see topics and the hub': [
    [`${SRC}/transport/probe.ts`, '../cache/cache.ts'],
    [`${SRC}/transport/probe.ts`, '../admission/admission.ts'],
    [`${SRC}/transport/probe.ts`, '../runtime/node.ts'],
  ],
  'backends know the ports': [
    [`${SRC}/backend/memory/probe.ts`, '../../cache/cache.ts'],
    [`${SRC}/backend/probe.ts`, '../hub/hub.ts'],
  ],
  'a runtime knows no stage': [
    [`${SRC}/runtime/probe.ts`, '../hub/hub.ts'],
    [`${SRC}/runtime/probe.ts`, '../topic/feed.ts'],
    [`${SRC}/runtime/probe.ts`, '../site.ts'],
  ],
  'what is observed is made from events': [
    [`${SRC}/observe/probe.ts`, '../hub/hub.ts'],
    [`${SRC}/observe/probe.ts`, '../budget/budget.ts'],
  ],
  'only gateway.ts picks backend and runtime': [
    [`${SRC}/site.ts`, './backend/memory/backend.ts'],
    [`${SRC}/site.ts`, './runtime/node.ts'],
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
    ['apps/prices/app.ts', '@weir/gateway/src/cache/cache.ts'],
  ],
}

const ALLOWED: readonly Import[] = [
  [`${SRC}/cache/probe.ts`, '../errors.ts'],
  [`${SRC}/cache/probe.ts`, '../backend/ports.ts'],
  [`${SRC}/cache/probe.ts`, './other.ts'],
  [`${SRC}/cache/probe.ts`, '@weir/protocol'],
  [`${SRC}/cache/probe.ts`, 'lru-cache'],
  // Tests of a stage may bring the real thing behind a port.
  [`${SRC}/cache/probe.test.ts`, '../backend/memory/backend.ts'],
  [`${SRC}/errors.ts`, './clock.ts'],
  [`${SRC}/topic/probe.ts`, '../hub/hub.ts'],
  [`${SRC}/topic/probe.ts`, '../upstream/upstream.ts'],
  [`${SRC}/transport/probe.ts`, '../topic/live-feed.ts'],
  [`${SRC}/transport/probe.ts`, '../hub/hub.ts'],
  [`${SRC}/backend/memory/probe.ts`, '../ports.ts'],
  [`${SRC}/runtime/probe.ts`, '../call.ts'],
  [`${SRC}/runtime/probe.ts`, '../transport/problem.ts'],
  [`${SRC}/observe/probe.ts`, '../events.ts'],
  [`${SRC}/site.ts`, './transport/sse.ts'],
  [`${SRC}/pipeline.ts`, './cache/cache.ts'],
  [`${SRC}/pipeline.ts`, './backend/ports.ts'],
  [`${SRC}/gateway.ts`, './runtime/node.ts'],
  [`${SRC}/gateway.ts`, './backend/memory/backend.ts'],
  [`${SRC}/gateway.ts`, '@weir/protocol'],
  [`${SRC}/cli/start.ts`, '../gateway.ts'],
  ['packages/protocol/src/probe.ts', './version.ts'],
  ['packages/protocol/src/probe.test.ts', 'vitest'],
  ['apps/prices/app.ts', '@weir/gateway'],
  ['apps/prices/test/probe.test.ts', '@weir/simulators'],
]

/** Each goes round in a circle. */
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

/** What Biome reports. */
interface Report {
  readonly diagnostics: readonly {
    readonly category: string
    readonly location: { readonly path: string; readonly start: { readonly line: number } }
  }[]
}

let folder: string
/** What was complained of, as `file:line rule`. */
let complaints: readonly string[]

const REFUSED_ALL = Object.values(REFUSED).flat()
/** What each file imports, one module a line. */
const probes = Map.groupBy([...REFUSED_ALL, ...ALLOWED], ([from]) => from)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-rules-'))
  await copyFile(join(ROOT, 'biome.json'), join(folder, 'biome.json'))
  for (const [from, imports] of probes) await write(from, imports.map(([, module]) => `import '${module}'\n`).join(''))
  for (const [path, text] of Object.values(CYCLES).flatMap((files) => Object.entries(files))) await write(path, text)
  // All of them: it shows 20 unless told.
  const args = ['lint', '--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none', '.']
  const { stdout } = spawnSync(process.execPath, [join(ROOT, 'node_modules/@biomejs/biome/bin/biome'), ...args], {
    cwd: folder,
    encoding: 'utf8',
  })
  const report: Report = JSON.parse(stdout)
  complaints = report.diagnostics.map(({ category, location: { path, start } }) => `${path}:${start.line} ${category}`)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), text)
}

/** Whether the lint complains of this import. */
function isRefused(from: string, module: string): boolean {
  const line = (probes.get(from)?.findIndex(([, other]) => other === module) ?? -1) + 1
  return complaints.includes(`${from}:${line} lint/style/noRestrictedImports`)
}

describe.each(Object.entries(REFUSED))('%s', (_rule, imports) => {
  test.each(imports)('%s may not import %s', (from, module) => {
    expect(isRefused(from, module)).toBe(true)
  })
})

test.each(ALLOWED)('%s may import %s', (from, module) => {
  expect(isRefused(from, module)).toBe(false)
})

test.each(Object.entries(CYCLES))('a cycle %s is refused', (_what, files) => {
  for (const path of Object.keys(files)) expect(complaints).toContain(`${path}:1 lint/suspicious/noImportCycles`)
})

test('nothing else is complained of: every probe is the file it was meant to be', () => {
  expect(complaints).toHaveLength(REFUSED_ALL.length + Object.values(CYCLES).flatMap(Object.keys).length)
})
