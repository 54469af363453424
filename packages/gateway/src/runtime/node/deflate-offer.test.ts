import { describe, expect, test } from 'vitest'
import { acceptableOffer, areExtensions } from './deflate-offer.ts'

describe('an offer of permessage-deflate', () => {
  test.each([
    ['permessage-deflate', 'permessage-deflate'],
    ['permessage-deflate; client_max_window_bits', 'permessage-deflate; client_max_window_bits'],
    ['permessage-deflate; client_max_window_bits=10', 'permessage-deflate; client_max_window_bits=10'],
    ['permessage-deflate; server_max_window_bits=15', 'permessage-deflate; server_max_window_bits=15'],
    ['permessage-deflate; server_max_window_bits="15"', 'permessage-deflate; server_max_window_bits=15'],
    [
      'permessage-deflate;server_no_context_takeover ; client_no_context_takeover',
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
    ],
    ['x-other; a=b, permessage-deflate', 'permessage-deflate'],
    // Several offers: the first acceptable one wins.
    ['permessage-deflate; server_max_window_bits=10, permessage-deflate', 'permessage-deflate'],
  ])('is accepted: %s', (offered, accepted) => {
    expect(acceptableOffer(offered)).toBe(accepted)
  })

  test.each([
    [''],
    ['x-webkit-deflate-frame'],
    ['permessage-deflate; unknown'],
    ['permessage-deflate; unknown=1'],
    ['permessage-deflate; client_max_window_bits; client_max_window_bits'],
    ['permessage-deflate; client_max_window_bits=10; client_max_window_bits=11'],
    ['permessage-deflate; server_no_context_takeover; server_no_context_takeover'],
    ['permessage-deflate; server_no_context_takeover=1'],
    ['permessage-deflate; server_max_window_bits'],
    ['permessage-deflate; server_max_window_bits=10'],
    ['permessage-deflate; server_max_window_bits=16'],
    ['permessage-deflate; client_max_window_bits=7'],
    ['permessage-deflate; client_max_window_bits=015'],
  ])('is declined: %s', (offered) => {
    expect(areExtensions(offered)).toBe(true)
    expect(acceptableOffer(offered)).toBeUndefined()
  })
})

test.each([
  'permessage-deflate;;',
  'permessage-deflate; client_max_window_bits=',
  'permessage-deflate; a="1',
  'a b',
  '; a',
  '=',
])('is not a list of extensions: %s', (field) => {
  expect(areExtensions(field)).toBe(false)
})
