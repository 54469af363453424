import { describe, expect, test } from 'vitest'
import { call } from '../../test/call.ts'
import { createRoutes, type Route } from './router.ts'

function route(path: string, given: Partial<Route> = {}): Route {
  const handle: Route['handle'] = () => ({ kind: 'whole', status: 200, headers: {}, body: path })
  return { path, owner: `feed "${path}"`, methods: ['GET', 'HEAD'], operator: false, handle, ...given }
}

const router = createRoutes(
  'prices',
  [route('/weir/health', { operator: true })],
  [route('/prices/:mint'), route('/prices/all'), route('/books/:venue/:pair')],
)

describe('a router', () => {
  test.each([
    ['/prices/SOL', '/prices/:mint', { mint: 'SOL' }],
    ['/prices/SOL?x=1', '/prices/:mint', { mint: 'SOL' }],
    ['/prices/a%2Fb', '/prices/:mint', { mint: 'a%2Fb' }],
    ['/prices/all', '/prices/all', {}],
    ['/books/x/y', '/books/:venue/:pair', { venue: 'x', pair: 'y' }],
  ])('finds %s at %s', (url, path, parameters) => {
    const match = router.find(call(url))
    expect(match?.route.path).toBe(path)
    expect({ ...match?.parameters }).toEqual(parameters)
  })

  test.each(['/', '/prices', '/prices/a/b', '/Prices/SOL', '/books/x'])('finds nothing at %s', (url) => {
    expect(router.find(call(url))).toBeUndefined()
  })

  test('refuses a method that a route does not support, and lists those it does', () => {
    expect(() => router.find(call('/prices/SOL', { method: 'POST' }))).toThrow(
      expect.objectContaining({ code: 'method_not_allowed', headers: { allow: 'GET, HEAD' } }),
    )
  })

  test("does not let other routes take the gateway's own addresses", () => {
    expect(router.find(call('/weir/health'))?.route.operator).toBe(true)
    expect(() => router.find(call('/weir/other'))).toThrow(expect.objectContaining({ code: 'not_found' }))
    expect(() => createRoutes('prices', [], [route('/weir/mine', { operator: true })])).toThrow(
      /an address outside \/weir/,
    )
    expect(router.find(call('/weirdly'))).toBeUndefined()
    const everything = createRoutes('prices', [route('/weir/health', { operator: true })], [route('/**')])
    expect(everything.find(call('/weirdly'))?.route.path).toBe('/**')
    expect(() => everything.find(call('/weir/other'))).toThrow(expect.objectContaining({ code: 'not_found' }))
  })

  test.each([
    ['/a/b', '/a/b'],
    ['/a/:b', '/a/:c'],
    ['/a/:b/c', '/a/:c/c'],
  ])('refuses %s together with %s, and names both owners', (first, second) => {
    const both = [route(first, { owner: 'feed "first"' }), route(second, { owner: 'routes' })]
    expect(() => createRoutes('prices', [], both)).toThrow(/^app "prices": routes: .*since feed "first" has/)
  })
})
