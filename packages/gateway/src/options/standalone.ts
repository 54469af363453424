import type { OptionTable } from '../options.ts'
import { FEED_OPTIONS } from './topic.ts'
import { HTTP_OPTIONS } from './upstream.ts'

/** The options of `createBudget()`. */
export const BUDGET_OPTIONS = {
  name: { kind: 'text', default: 'budget', help: 'The name in errors and events.' },
  limits: { kind: 'any', takes: 'a list of objects', help: 'Rate limits, as for `http()`.' },
  keys: { kind: 'integer', default: 1, min: 1, max: 10_000, help: 'Number of API keys over which calls are spread.' },
  reserve: HTTP_OPTIONS.reserve,
  pastUsage: HTTP_OPTIONS.pastUsage,
  pace: HTTP_OPTIONS.pace,
  concurrency: { ...HTTP_OPTIONS.concurrency, default: 1000, help: 'Concurrent calls.' },
  clock: { kind: 'any', takes: 'a clock', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', takes: 'a function', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** The options of `createFlight()`. */
export const FLIGHT_OPTIONS = {
  name: { kind: 'text', default: 'flight', help: 'The name in errors and events.' },
  load: { kind: 'any', takes: 'a function', help: '`(key, signal) => value`: makes the call, once for all waiters.' },
  clock: { kind: 'any', takes: 'a clock', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', takes: 'a function', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** The options of `createCache()`. */
export const CACHE_OPTIONS = {
  name: { kind: 'text', default: 'cache', help: 'The name in errors and events.' },
  load: {
    kind: 'any',
    takes: 'a function',
    help: '`(key, signal) => value`: loads a missing value, once for all waiters.',
  },
  fresh: FEED_OPTIONS.fresh,
  stale: FEED_OPTIONS.stale,
  deadline: FEED_OPTIONS.deadline,
  memory: { kind: 'bytes', default: '64mb', min: 1024, help: 'Maximum memory for cached values.' },
  clock: { kind: 'any', takes: 'a clock', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', takes: 'a function', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** The options of `createHub()`. */
export const HUB_OPTIONS = {
  heartbeat: {
    kind: 'duration',
    default: '10s',
    min: 10,
    help: 'Maximum silence of a live connection; a heartbeat is sent before.',
  },
  memory: { kind: 'bytes', default: '64mb', min: 1024, help: 'Maximum memory for the latest values.' },
  clock: { kind: 'any', takes: 'a clock', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', takes: 'a function', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable
