import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineApp } from '../../app.ts'
import { createGateway } from '../../gateway.ts'
import { type LogOptions, log } from './log.ts'

const base = { name: 'trades', key: { mint: z.string() }, event: z.number() }

describe('a log', () => {
  test('has its defaults', () => {
    expect(log('/trades/:mint', base)).toMatchObject({
      kind: 'log',
      path: '/trades/:mint',
      name: 'trades',
      plan: { scope: 'public', history: { events: 1000, age: 3_600_000 } },
    })
  })

  test.each([
    ['a path that is none', 'trades', {}, 'path'],
    ['a path with a parameter of which it has no schema', '/trades/:venue', {}, 'key.venue'],
    ['what is no schema of events', '/trades/:mint', { event: 'number' }, 'event'],
    ['a scope that is none', '/trades/:mint', { scope: 'team' }, 'scope'],
    ['a history of nothing', '/trades/:mint', { history: { events: 0 } }, 'events'],
    ['a history without bounds', '/trades/:mint', { history: { events: 100_001 } }, 'events'],
    ['an age that is none', '/trades/:mint', { history: { age: 'long' } }, 'age'],
    ['an unknown option', '/trades/:mint', { fresh: '1s' }, 'fresh'],
  ])('refuses %s', (_, path, given, key) => {
    const options = { ...base, ...given } as unknown as LogOptions<{ mint: z.ZodString }, z.ZodNumber>
    expect(() => log(path, options)).toThrow(expect.objectContaining({ name: 'ConfigError', key }))
  })

  test.each(['as', 'after', 'most', 'since', 'wait'])('refuses a key that is named as the parameter %s', (name) => {
    const refused = () => log('/trades', { ...base, key: { [name]: z.string() } })
    expect(refused).toThrow(expect.objectContaining({ name: 'ConfigError', key: `key.${name}` }))
  })

  test('has a name of its own in its app, which says who calls where that matters', () => {
    const twice = [log('/a/:mint', base), log('/b/:mint', base)]
    expect(() => defineApp({ name: 'app', use: twice })).toThrow('parts with different names, got "trades"')
    const mine = log('/mine/:mint', { ...base, scope: 'user' })
    expect(() => defineApp({ name: 'app', use: [mine] })).toThrow('since the log at /mine/:mint is not public')
  })

  test('that no gateway serves can be neither published to nor read', async () => {
    const trades = log('/trades/:mint', base)
    await expect(trades.publish({ mint: 'SOL' }, 1)).rejects.toThrow('log "/trades/:mint": expected a running gateway')
    const gateway = createGateway({ apps: [defineApp({ name: 'app', use: [trades] })] })
    await trades.publish({ mint: 'SOL' }, 1)
    await gateway.close()
    await expect(trades.read({ mint: 'SOL' })).rejects.toThrow('expected a running gateway')
  })
})
