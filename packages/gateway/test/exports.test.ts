import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'

const INDEX = join(import.meta.dirname, '../src/index.ts')

/** Changing these is changing what others build on. */
const VALUES = [
  'ConfigError',
  'ERRORS',
  'JsonRpcError',
  'WeirError',
  'absent',
  'anyOf',
  'at',
  'createBatch',
  'createBudget',
  'createCache',
  'createFlight',
  'createGateway',
  'createHub',
  'defineApp',
  'feed',
  'follow',
  'http',
  'jsonRpc',
  'jsonRpcPush',
  'log',
  'never',
  'proxy',
  'push',
  'rpc',
  'socket',
  'stream',
  'weir',
]
const TYPES = [
  'Absent',
  'AnyOfOptions',
  'App',
  'AppOptions',
  'At',
  'AppSocket',
  'Batch',
  'BatchOptions',
  'Budget',
  'BudgetOptions',
  'Bytes',
  'Cache',
  'CacheOptions',
  'CacheOutcome',
  'Caller',
  'Clock',
  'Duration',
  'Emit',
  'ErrorCode',
  'Feed',
  'FeedOptions',
  'Flight',
  'FlightOptions',
  'Follow',
  'Gateway',
  'GatewayOptions',
  'GraphqlOptions',
  'HistoryOptions',
  'HttpCall',
  'HttpGet',
  'HttpOptions',
  'HttpPost',
  'HttpProxy',
  'Hub',
  'HubOptions',
  'Identify',
  'Identity',
  'JsonRpcCall',
  'JsonRpcCallOptions',
  'JsonRpcOptions',
  'JsonRpcParams',
  'JsonRpcPushOptions',
  'Kept',
  'Limit',
  'LiveOptions',
  'LoadMany',
  'LoadMatched',
  'LoadOne',
  'Log',
  'LogOptions',
  'LogRange',
  'LogReading',
  'MayPublish',
  'Of',
  'OriginCall',
  'Part',
  'Priority',
  'ProxyOptions',
  'Push',
  'PushNews',
  'PushOptions',
  'PushToken',
  'RateLimitSignal',
  'Reading',
  'Routes',
  'RpcMethodOptions',
  'RpcOptions',
  'RpcRoute',
  'RunCall',
  'RunOptions',
  'Scope',
  'ServedFeed',
  'ServedLog',
  'Site',
  'SocketClient',
  'SocketOptions',
  'Stream',
  'StreamOptions',
  'Timer',
  'Upstream',
  'WeirEvent',
  'WeirOptions',
]

test('the package exports these names and no others', () => {
  const lists = readFileSync(INDEX, 'utf8').matchAll(/^export (type )?\{([^}]*)\}/gm)
  const names = [...lists].flatMap(([, type, list = '']) =>
    list
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => (type === undefined || name.startsWith('type ') ? name : `type ${name}`)),
  )
  expect(names.sort()).toEqual([...VALUES, ...TYPES.map((name) => `type ${name}`)].sort())
})

test('importing it gives its values, starts nothing and keeps no process alive', () => {
  const script = `
    const weir = await import(${JSON.stringify(pathToFileURL(INDEX).href)})
    const open = process.getActiveResourcesInfo().filter((name) => !/^(PipeWrap|TTYWrap|FSReqPromise|CloseReq)$/.test(name))
    console.log(JSON.stringify({ names: Object.keys(weir).sort(), open }))
  `
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    timeout: 45_000,
  })
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  expect(JSON.parse(stdout)).toEqual({ names: VALUES, open: [] })
})
