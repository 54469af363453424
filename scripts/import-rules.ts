/** The import rules: one table, and its check, which is part of `npm run check`. */
import { globSync, readFileSync } from 'node:fs'
import { join, matchesGlob, posix } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript5'

const ROOT = join(import.meta.dirname, '..')
const SRC = 'packages/gateway/src'

/** Files with the same import rules. A file belongs to the first group whose globs match. */
interface Group {
  readonly name: string
  /** Globs of its files, from the root of the repository. */
  readonly files: readonly string[]
  /** Globs of the files that they may import, in addition to their own group. */
  readonly imports: readonly string[]
  /** Exceptions to `imports`. */
  readonly except?: readonly string[]
  /** Packages that they may import. Default: all packages. */
  readonly packages?: readonly string[]
  readonly rule: string
}

const VOCABULARY = `${SRC}/{call,clock,errors,events,entry,json,options,compress,chunk,buffer,rate-limit-wait,rate-limit-signal,options/*}.ts`
const PORTS = `${SRC}/backend/ports.ts`
const STAGES = [
  'admission',
  'route',
  'cache',
  'flight',
  'batch',
  'attempt',
  'budget',
  'pool',
  'hub',
  'upstream',
  'http-cache',
]
const OUTSIDE = ['!@weir/simulators', '!@weir/ui', '!@weir/client']
const EVERYTHING = [`${SRC}/**`]

export const GROUPS: readonly Group[] = [
  {
    name: 'tests',
    files: ['packages/**/*.test.{ts,tsx}', 'packages/*/{test,contract}/**', 'packages/*/*.config.ts'],
    imports: ['**'],
    rule: 'Tests may import anything.',
  },
  {
    name: 'vocabulary',
    files: [VOCABULARY],
    imports: [],
    except: [`${SRC}/**`, `!${VOCABULARY}`],
    packages: OUTSIDE,
    rule: 'The vocabulary knows only itself.',
  },
  ...STAGES.map((stage) => ({
    name: `stage ${stage}`,
    files: [`${SRC}/${stage}/**`],
    imports: [VOCABULARY, PORTS],
    packages: OUTSIDE,
    rule: 'A stage knows the vocabulary and the ports; no stage knows another.',
  })),
  {
    name: 'topics',
    files: [`${SRC}/topic/**`],
    imports: [
      ...[VOCABULARY, PORTS, `${SRC}/hub/hub.ts`, `${SRC}/http-cache/**`, `${SRC}/topic/**`],
      ...[`${SRC}/upstream/{upstream,push/push,json-rpc/json-rpc,json-rpc/answer,weir/origin-value}.ts`],
    ],
    packages: OUTSIDE,
    rule: 'Topics are given the pipeline; they know the hub, the rules of HTTP caching and what upstreams are.',
  },
  {
    name: 'transports',
    files: [`${SRC}/transport/**`],
    imports: [VOCABULARY, PORTS, `${SRC}/hub/hub.ts`, `${SRC}/topic/**`, `${SRC}/transport/**`],
    packages: OUTSIDE,
    rule: 'Transports know topics and the hub.',
  },
  {
    name: 'backends',
    files: [`${SRC}/backend/**`],
    imports: [VOCABULARY, `${SRC}/backend/**`],
    packages: OUTSIDE,
    rule: 'Backends know the ports and the vocabulary.',
  },
  {
    name: 'runtimes',
    files: [`${SRC}/runtime/**`],
    imports: [VOCABULARY, PORTS, `${SRC}/runtime/**`, `${SRC}/transport/problem.ts`],
    packages: OUTSIDE,
    rule: 'A runtime turns bytes into calls; it knows no stage.',
  },
  {
    name: 'observers',
    files: [`${SRC}/observe/**`],
    imports: [VOCABULARY, PORTS, `${SRC}/route/router.ts`],
    packages: OUTSIDE,
    rule: 'Metrics, health and logs are made from events.',
  },
  {
    name: 'composition',
    files: [`${SRC}/{app,pipeline,upstreams}.ts`, `${SRC}/site/**`],
    imports: EVERYTHING,
    except: [`${SRC}/{gateway,gateway-api,index}.ts`, `${SRC}/backend/*/**`, `${SRC}/{runtime,cli,standalone}/**`],
    packages: OUTSIDE,
    rule: 'Composition files build the site; only gateway.ts picks the backend and the runtime.',
  },
  {
    name: 'gateway',
    files: [`${SRC}/{gateway,gateway-api}.ts`],
    imports: [...EVERYTHING, 'packages/gateway/package.json'],
    except: [`${SRC}/index.ts`, `${SRC}/{cli,standalone}/**`],
    packages: OUTSIDE,
    rule: 'The gateway builds everything except the command.',
  },
  {
    name: 'single parts',
    files: [`${SRC}/standalone/**`],
    imports: EVERYTHING,
    except: [`${SRC}/{gateway,gateway-api,index,app,pipeline,upstreams}.ts`, `${SRC}/{cli,site}/**`],
    packages: OUTSIDE,
    rule: 'A part that is used on its own brings no gateway.',
  },
  {
    name: 'command and index',
    files: [`${SRC}/index.ts`, `${SRC}/cli/**`],
    imports: EVERYTHING,
    packages: OUTSIDE,
    rule: 'The product never imports simulators or pages.',
  },
  {
    name: 'protocol',
    files: ['packages/protocol/src/**'],
    imports: [],
    packages: [],
    rule: 'The protocol depends on nothing.',
  },
  {
    name: 'react',
    files: ['packages/client/src/react.ts'],
    imports: ['packages/client/src/**'],
    packages: ['@weir/protocol', 'react'],
    rule: 'The hooks bring React, the protocol and the client.',
  },
  {
    name: 'client',
    files: ['packages/client/src/**'],
    imports: [],
    packages: ['@weir/protocol'],
    rule: 'The client brings nothing but the protocol.',
  },
  {
    name: 'simulators and pages',
    files: ['packages/{simulators,ui}/**'],
    imports: [],
    packages: ['!@weir/gateway'],
    rule: 'Simulators know only the services that they stand for.',
  },
  {
    name: 'apps',
    files: ['apps/**'],
    imports: ['**'],
    except: ['packages/**'],
    rule: 'Apps use public names; what these cannot do is a gap in the API.',
  },
]

/** A forbidden import. */
export interface Violation {
  readonly file: string
  readonly imported: string
  readonly rule: string
}

function matches(file: string, globs: readonly string[]): boolean {
  const positive = globs.filter((glob) => !glob.startsWith('!'))
  const negative = globs.filter((glob) => glob.startsWith('!')).map((glob) => glob.slice(1))
  return positive.some((glob) => matchesGlob(file, glob)) && !negative.some((glob) => matchesGlob(file, glob))
}

/** The group of a file, by its path relative to the repository. */
export function groupOf(file: string): Group | undefined {
  return GROUPS.find(({ files }) => matches(file, files))
}

/**
 * Checks one import.
 *
 * @param file path relative to the repository
 * @param imported specifier as written: `./other.ts`, `@weir/protocol`, `node:fs`
 */
export function violation(file: string, imported: string): Violation | undefined {
  const group = groupOf(file)
  if (group === undefined) return { file, imported, rule: 'Every file belongs to a group of scripts/import-rules.ts.' }
  const allowed = imported.startsWith('.') ? mayImportFile(group, file, imported) : mayImportPackage(group, imported)
  return allowed ? undefined : { file, imported, rule: group.rule }
}

function mayImportFile({ files, imports, except = [] }: Group, file: string, imported: string): boolean {
  const target = posix.normalize(posix.join(posix.dirname(file), imported))
  return !matches(target, except) && (matches(target, imports) || matches(target, files))
}

function mayImportPackage({ packages }: Group, imported: string): boolean {
  if (packages === undefined) return true
  const name = imported.split('/', imported.startsWith('@') ? 2 : 1).join('/')
  const refused = packages.filter((one) => one.startsWith('!'))
  return refused.length > 0 ? !refused.includes(`!${name}`) : packages.includes(name)
}

/** All imports of a file: values, types and dynamic imports. */
function importsOf(file: string): readonly string[] {
  return ts
    .preProcessFile(readFileSync(join(ROOT, file), 'utf8'), true, true)
    .importedFiles.map(({ fileName }) => fileName)
}

/** The files that the rules cover. */
export function sourceFiles(): readonly string[] {
  return globSync('{packages,apps}/**/*.{ts,tsx}', { cwd: ROOT, exclude: ['**/node_modules', '**/dist'] }).toSorted()
}

export function violations(files: readonly string[]): readonly Violation[] {
  return files.flatMap((file) => importsOf(file).flatMap((imported) => violation(file, imported) ?? []))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const found = violations(sourceFiles())
  for (const { file, imported, rule } of found) process.stderr.write(`${file}: may not import ${imported}. ${rule}\n`)
  process.exitCode = found.length === 0 ? 0 : 1
}
