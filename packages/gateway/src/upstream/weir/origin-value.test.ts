import { expect, test } from 'vitest'
import { errorOf } from './origin-value.ts'

test.each([
  ['bad_key', 'bad_key'],
  ['upstream_timeout', 'upstream_timeout'],
  // Of the origin alone: how it failed inside, and that it is of a version without this address.
  ['internal', 'upstream_failed'],
  ['not_found', 'upstream_failed'],
  ['a code of a later version', 'upstream_failed'],
])('an origin that says %s is an upstream that says %s', (said, code) => {
  expect(errorOf({ code: said, detail: 'why', retryAfter: 2 })).toMatchObject({
    code,
    message: 'why',
    retryAfter: 2000,
  })
})
