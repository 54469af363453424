/**
 * Runs the cache tests of the HTTP Working Group against a proxy as a shared cache, and prints the results:
 *
 *   node scripts/cache-tests.ts DIR [test-id]
 *
 * DIR is a checkout of https://github.com/http-tests/cache-tests after `npm install`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { createGateway, defineApp, http, proxy } from '../packages/gateway/src/index.ts'

interface Test {
  readonly id: string
  readonly kind?: 'required' | 'optimal' | 'check'
  readonly browser_only?: boolean
  dump?: boolean
  readonly requests: readonly {
    readonly request_headers?: readonly (readonly [string, string])[]
    readonly response_status?: readonly [number, string]
    readonly disconnect?: boolean
  }[]
}

interface Suite {
  readonly name: string
  tests: readonly Test[]
}

/** Labels of results, as in the legend of the suite. */
type Result = readonly [icon: string, colour: string, sign: string]

const [directory, only] = process.argv.slice(2)
if (directory === undefined) {
  process.stderr.write('expected the directory of the cache tests as an argument, got nothing\n')
  process.exit(1)
}
const engine = join(resolve(directory), 'test-engine')
const all: { default: readonly Suite[] } = await import(join(resolve(directory), 'tests/index.mjs'))
const { runTests, getResults } = await import(join(engine, 'client/runner.mjs'))
const { determineTestResult } = await import(join(engine, 'lib/results.mjs'))

const origin = spawn(process.execPath, [join(engine, 'server/server.mjs')], {
  env: { ...process.env, npm_config_protocol: 'http', npm_config_port: '0', npm_config_pidfile: '/dev/null' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const [greeting] = await once(origin.stdout, 'data')
const port = /:(\d+)\/\s*$/.exec(String(greeting))?.[1]
if (only !== undefined) origin.stdout.on('data', (text) => process.stdout.write(text))
else origin.stdout.resume()

const suites = all.default.map((suite) => ({
  ...suite,
  tests: suite.tests.filter(({ id, browser_only }) => browser_only !== true && (only === undefined || id === only)),
}))
for (const { tests } of suites) for (const test of tests) test.dump = only !== undefined

// Headers of the tests must reach their origin, without duplicates.
const sent = suites.flatMap(({ tests }) => tests.flatMap(({ requests }) => requests))
const named = sent.flatMap(({ request_headers = [] }) => request_headers.map(([name]) => name.toLowerCase()))
const judged = /^(if-|range$|cache-control$|pragma$|cookie$|connection$)/
const to = http({ name: 'origin', url: `http://127.0.0.1:${port}`, pastUsage: 'none', retries: 0, concurrency: 100 })
const everything = proxy('/*', {
  to,
  methods: ['GET', 'POST', 'PUT', 'DELETE', 'M-SEARCH'],
  forward: ['test-id', 'test-name', 'req-num', ...new Set(named.filter((name) => !judged.test(name)))],
  reload: true,
})

async function run(tests: readonly Test[]): Promise<void> {
  const gateway = createGateway({ apps: [defineApp({ name: 'cache-tests', use: [everything] })] })
  const [base] = await gateway.listen({ port: 0 })
  await runTests([{ tests }], false, base)
  await gateway.close(0)
}

// Some origins fail on purpose. Each pair has a new gateway, because five failures in a row would open its breaker.
const FEW = 2
const fails = ({ requests }: Test) =>
  requests.some(({ response_status: [status] = [200], disconnect }) => status >= 500 || disconnect === true)
const tests = suites.flatMap(({ tests }) => tests)
await run(tests.filter((test) => !fails(test)))
const failing = tests.filter(fails)
for (let at = 0; at < failing.length; at += FEW) await run(failing.slice(at, at + FEW))
const results = getResults()
const counts: Record<string, Record<string, number>> = {}
for (const { name, tests } of suites) {
  for (const { id, kind = 'required' } of tests) {
    const [, , sign]: Result = determineTestResult(all.default, id, results, only === undefined)
    counts[kind] ??= {}
    counts[kind][sign] = (counts[kind][sign] ?? 0) + 1
    const detail: readonly string[] | true = results[id]
    if (sign !== '✅' && sign !== 'Y')
      console.log(`${sign} ${kind} ${name}: ${id}: ${detail === true ? '' : detail[1]}`)
  }
}
console.table(counts)
origin.kill()
