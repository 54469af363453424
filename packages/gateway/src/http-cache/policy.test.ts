import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Exchanged, policyOf } from './policy.ts'
import { Received } from './received.ts'

const NOW = Date.UTC(2026, 0, 1)
const DATE = new Date(NOW).toUTCString()
const LATER = new Date(NOW + 60_000).toUTCString()
const LONG_AGO = new Date(NOW - 600_000).toUTCString()

function exchanged(fields: Record<string, string> = {}, given: Partial<Exchanged> = {}): Exchanged {
  const rest = { method: 'GET', asked: {}, status: 200, cookies: false, receivedAt: NOW, took: 0 }
  return { ...rest, fields: { date: DATE, ...fields }, ...given }
}

const cc = (value: string) => ({ 'cache-control': value })

describe('a shared cache may store', () => {
  test.each([
    ['an answer without directives, of a status that is cacheable by default', {}, {}, true],
    ['not of another status', {}, { status: 418 }, false],
    ['an answer of any status with a lifetime', cc('max-age=1'), { status: 418 }, true],
    ['an answer of any status that is public', cc('public'), { status: 418 }, true],
    ['no partial answer', cc('max-age=1'), { status: 206 }, false],
    ['no answer with no-store', cc('max-age=1, no-store'), {}, false],
    ['no answer with private, in part or as a whole', cc('max-age=1, private="x"'), {}, false],
    ['no answer to a request with no-store', cc('max-age=1'), { asked: cc('no-store') }, false],
    ['no answer that sets a cookie, even if public', cc('public, max-age=1'), { cookies: true }, false],
    ['no answer that varies by everything', { ...cc('max-age=1'), vary: 'a, *' }, {}, false],
    ['no answer to POST', cc('max-age=1'), { method: 'POST' }, false],
    ['no answer to a request with Authorization', cc('max-age=1'), { asked: { authorization: 'a' } }, false],
    ['except with public', cc('public'), { asked: { authorization: 'a' } }, true],
    ['except with s-maxage', cc('s-maxage=1'), { asked: { authorization: 'a' } }, true],
    ['except with must-revalidate', cc('must-revalidate'), { asked: { authorization: 'a' } }, true],
    ['no answer without directives to a request with a cookie', {}, { asked: { cookie: 'a' } }, false],
    ['an answer with no-store that must be understood and is', cc('max-age=1, no-store, must-understand'), {}, true],
    ['not if it is not understood', cc('max-age=1, must-understand'), { status: 299 }, false],
    [
      'an answer with directives for CDNs, whatever Cache-Control has',
      { ...cc('no-store'), 'cdn-cache-control': 'max-age=1' },
      {},
      true,
    ],
    ['not if CDNs may not', { ...cc('max-age=1'), 'cdn-cache-control': 'no-store' }, {}, false],
    [
      'by Cache-Control, if the directives for CDNs are unreadable',
      { ...cc('no-store'), 'cdn-cache-control': '&' },
      {},
      false,
    ],
  ] as const)('%s', (_, fields, given, storable) => {
    expect(policyOf(exchanged(fields, given), undefined).storable).toBe(storable)
  })
})

describe('an answer is fresh', () => {
  test.each([
    ['for s-maxage', { ...cc('max-age=9, s-maxage=5'), expires: LATER }, 5000, 'upstream'],
    ['for max-age', { ...cc('max-age=9'), expires: LATER }, 9000, 'upstream'],
    ['until Expires, counted from Date', { expires: LATER }, 60_000, 'upstream'],
    ['not at all with an invalid Expires', { expires: '0' }, 0, 'upstream'],
    ['not at all with an Expires before its Date', { expires: LONG_AGO }, 0, 'upstream'],
    ['for a tenth of the time since its last change', { 'last-modified': LONG_AGO }, 60_000, 'heuristic'],
    ['for a day at most', { 'last-modified': new Date(0).toUTCString() }, 86_400_000, 'heuristic'],
    ['not at all without any information', {}, 0, 'none'],
    ['as CDN-Cache-Control states, without Expires', { 'cdn-cache-control': 'public', expires: LATER }, 0, 'none'],
  ] as const)('%s', (_, fields, lifetime, by) => {
    expect(policyOf(exchanged(fields), undefined)).toMatchObject({ lifetime, by })
  })

  test('as the option states, if the upstream states nothing and the status is a success', () => {
    expect(policyOf(exchanged({ 'last-modified': LONG_AGO }), 5000)).toMatchObject({ lifetime: 5000, by: 'option' })
    expect(policyOf(exchanged(cc('max-age=1')), 5000)).toMatchObject({ lifetime: 1000, by: 'upstream' })
    expect(policyOf(exchanged(cc('max-age=0')), 5000)).toMatchObject({ lifetime: 0, by: 'upstream' })
    expect(policyOf(exchanged({}, { status: 404 }), 5000)).toMatchObject({ lifetime: 0, by: 'none' })
    expect(policyOf(exchanged({}, { status: 503 }), 5000)).toMatchObject({ lifetime: 0, storable: false })
  })

  test('minus its age: from Age and the time it took, or from Date if that gives more', () => {
    expect(policyOf(exchanged({ age: '7' }, { took: 500 }), undefined).age).toBe(7500)
    expect(policyOf(exchanged({ age: '7', date: LONG_AGO }), undefined).age).toBe(600_000)
    expect(policyOf(exchanged({ date: LATER }), undefined).age).toBe(0)
  })
})

const directive = fc.constantFrom(
  ...[
    'no-store',
    'private',
    'no-cache',
    'public',
    'must-revalidate',
    's-maxage=9',
    'max-age=9',
    'max-age=0',
    'x="private"',
  ],
)

describe('with any other directives', () => {
  const any = fc.record({
    directives: fc.array(directive, { maxLength: 5 }),
    fresh: fc.option(fc.integer({ min: 1, max: 10_000 }), { nil: undefined }),
    status: fc.constantFrom(200, 206, 302, 404, 500, 599),
    authorization: fc.boolean(),
    cookies: fc.boolean(),
    age: fc.integer({ min: 0, max: 20 }),
  })

  test('private answers are not shared, and stale or unconfirmed ones are not fresh', () => {
    fc.assert(
      fc.property(any, ({ directives, fresh, status, authorization, cookies, age }) => {
        const fields = { ...cc(directives.join(', ')), age: String(age) }
        const asked: Record<string, string> = authorization ? { authorization: 'a' } : {}
        const received = new Received(exchanged(fields, { status, asked, cookies }), Buffer.alloc(0), 0, fresh)
        const has = (name: string) => directives.some((one) => one.startsWith(name))
        const allowed = has('public') || has('s-maxage') || has('must-revalidate')
        if (has('no-store') || has('private') || cookies || status === 206 || (authorization && !allowed)) {
          expect([received.policy.storable, received.mayBeShared(0), received.isWorthKeeping(0)]).toEqual([
            false,
            false,
            false,
          ])
        }
        if (has('no-cache')) expect([received.isFresh(0), received.mayBeShared(0)]).toEqual([false, false])
        if (received.isFresh(0)) expect(received.policy.lifetime).toBeGreaterThan(received.age(0))
        expect(received.isFresh(received.policy.lifetime)).toBe(false)
      }),
      { numRuns: 500 },
    )
  })
})
