import type { Ask } from '../src/call.ts'

/** An ask in which only what a test is about needs to be said. */
export function ask(given: Partial<Ask> = {}): Ask {
  return {
    topic: '/prices/SOL',
    key: { mint: 'SOL' },
    priority: 'interactive',
    client: 'test',
    deadline: Number.MAX_SAFE_INTEGER,
    signal: undefined,
    refresh: false,
    ...given,
  }
}
