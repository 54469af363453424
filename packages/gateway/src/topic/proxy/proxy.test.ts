import { describe, expect, test } from 'vitest'
import { defineApp } from '../../app.ts'
import { http } from '../../upstream/http.ts'
import { type ProxyOptions, proxy } from './proxy.ts'

const to = http({ name: 'jupiter', url: 'http://jupiter.test' })

describe('a proxy', () => {
  test('has its defaults', () => {
    expect(proxy('/api/jupiter/*', { to })).toMatchObject({
      kind: 'proxy',
      path: '/api/jupiter/**',
      name: '/api/jupiter/*',
      plan: {
        mount: '/api/jupiter',
        methods: ['GET', 'HEAD'],
        paths: ['/**'],
        forward: [],
        cdn: undefined,
        fresh: undefined,
        stale: 30_000,
        maxCached: 1024 ** 2,
        maxBody: 1024 ** 2,
        deadline: 10_000,
        cost: 1,
        reload: false,
      },
    })
  })

  test('may be of everything; HEAD goes with GET, and names are read in any case', () => {
    const { plan, path } = proxy('/*', { to, methods: ['get', 'Post'], forward: ['X-A'] })
    expect([path, plan.mount, plan.methods, plan.forward]).toEqual(['/**', '', ['GET', 'POST', 'HEAD'], ['x-a']])
  })

  test.each([
    ['a path without its star', '/api', {}, 'path'],
    ['a path with a parameter', '/api/:a/*', {}, 'path'],
    ['no upstream', '/api/*', { to: undefined }, 'to'],
    ['what is no upstream', '/api/*', { to: {} }, 'to'],
    ['a method that echoes what is sent', '/api/*', { methods: ['TRACE'] }, 'methods'],
    ['a method that is none', '/api/*', { methods: ['GET IT'] }, 'methods'],
    ['a path that does not begin', '/api/*', { paths: ['price'] }, 'paths'],
    ['a header that is none', '/api/*', { forward: ['x a'] }, 'forward'],
    ['a header of the connection', '/api/*', { forward: ['TE'] }, 'forward'],
    ['the host of the client', '/api/*', { forward: ['host'] }, 'forward'],
    ['a hook that is none', '/api/*', { failed: true }, 'failed'],
    ['an unknown option', '/api/*', { path: ['/a'] }, 'path'],
  ])('refuses %s', (_, path, given, key) => {
    const options = { to, ...given } as unknown as ProxyOptions
    expect(() => proxy(path, options)).toThrow(expect.objectContaining({ name: 'ConfigError', key }))
  })

  test('has a name of its own in its app', () => {
    const twice = [proxy('/a/*', { to, name: 'same' }), proxy('/b/*', { to, name: 'same' })]
    expect(() => defineApp({ name: 'app', use: twice })).toThrow(/parts with different names, got "same"/)
  })
})
