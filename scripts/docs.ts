/** Generates the references in docs/ from the code's tables. With `--check`, reports whether they are up to date. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS } from '../packages/gateway/src/errors.ts'
import { APP_OPTIONS, GRAPHQL_OPTIONS } from '../packages/gateway/src/options/app.ts'
import * as gateway from '../packages/gateway/src/options/gateway.ts'
import * as standalone from '../packages/gateway/src/options/standalone.ts'
import * as topic from '../packages/gateway/src/options/topic.ts'
import * as upstream from '../packages/gateway/src/options/upstream.ts'
import { describe, type OptionTable } from '../packages/gateway/src/options.ts'

const ROOT = join(import.meta.dirname, '..')

const SECTIONS: readonly (readonly [title: string, table: OptionTable])[] = [
  ['`createGateway()`, and `weir start --NAME`', gateway.GATEWAY_OPTIONS],
  ['`weir start`, beside these', gateway.START_OPTIONS],
  ['`defineApp()`', APP_OPTIONS],
  ['`graphql` of an app', GRAPHQL_OPTIONS],
  ['`http()`', upstream.HTTP_OPTIONS],
  ['`http()` and `jsonRpc()`: each of `limits`', upstream.LIMIT_OPTIONS],
  ['`jsonRpc()`', upstream.JSON_RPC_OPTIONS],
  ['`weir()`', upstream.WEIR_OPTIONS],
  ['`anyOf()`', upstream.ANY_OF_OPTIONS],
  ['`feed()`', topic.FEED_OPTIONS],
  ['`feed()`: `load` of many', topic.LOAD_OPTIONS],
  ['`feed()`: `live`', topic.LIVE_OPTIONS],
  ['`push()`, for `live`', topic.PUSH_OPTIONS],
  ['`jsonRpcPush()`, for `live`', topic.JSON_RPC_PUSH_OPTIONS],
  ['`log()`', topic.LOG_OPTIONS],
  ['`log()`: `history`', topic.HISTORY_OPTIONS],
  ['`stream()`', topic.STREAM_OPTIONS],
  ['`socket()`', topic.SOCKET_OPTIONS],
  ['`proxy()`', topic.PROXY_OPTIONS],
  ['`rpc()`', topic.RPC_OPTIONS],
  ['`rpc()`: each of `methods`', topic.RPC_METHOD_OPTIONS],
  ['`createBudget()`', standalone.BUDGET_OPTIONS],
  ['`createFlight()`', standalone.FLIGHT_OPTIONS],
  ['`createCache()`', standalone.CACHE_OPTIONS],
  ['`createBatch()`', topic.BATCH_OPTIONS],
  ['`createHub()`', standalone.HUB_OPTIONS],
]

const pages: Readonly<Record<string, string>> = {
  'docs/ERRORS.md': errorsPage(),
  'docs/OPTIONS.md': optionsPage(),
}

const stale = Object.entries(pages).filter(([path, text]) => read(path) !== text)
if (process.argv.includes('--check')) {
  for (const [path] of stale) process.stderr.write(`${path} is out of date; run "npm run fix"\n`)
  process.exitCode = stale.length === 0 ? 0 : 1
} else {
  mkdirSync(join(ROOT, 'docs'), { recursive: true })
  for (const [path, text] of stale) writeFileSync(join(ROOT, path), text)
}

function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([code, { status, retry, title }]) =>
    row([`\`${code}\``, String(status), retry ? 'yes' : 'no', title]),
  )
  return page(
    'Errors',
    'What clients get when something goes wrong: `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `code`, `detail`, `retry`, and `retryAfter` in seconds where it is known. `retry` says whether the same request may succeed later.',
    table(['code', 'status', 'retry', 'what it means'], rows),
  )
}

function optionsPage(): string {
  const sections = SECTIONS.map(([title, options]) => {
    const rows = Object.entries(options).map(([name, option]) =>
      row([`\`${name}\``, describe(option), fallback(option), option.help]),
    )
    return `## ${title}\n\n${table(['option', 'takes', 'default', 'what it does'], rows)}`
  })
  return page(
    'Options',
    'Durations and sizes are texts with their unit. Unknown names are refused with a suggestion.',
    sections.join('\n'),
  )
}

function fallback({ default: value, optional }: OptionTable[string]): string {
  if (value !== undefined) return `\`${value}\``
  return optional === true ? '' : 'required'
}

function page(title: string, lead: string, body: string): string {
  return `# ${title}\n\n<!-- Made from the tables in packages/gateway/src by \`npm run fix\`; edit those. -->\n\n${lead}\n\n${body}`
}

function table(head: readonly string[], rows: readonly string[]): string {
  return `${row(head)}${row(head.map(() => '---'))}${rows.join('')}`
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(ROOT, path), 'utf8')
  } catch {
    return undefined
  }
}
