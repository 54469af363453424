import { getAddressDecoder } from '@solana/kit'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readWallet } from '../page/src/wallet-address.ts'

test('32 bytes are a wallet, with blanks anywhere, and any other length is not', () => {
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 })
  fc.assert(
    fc.property(bytes, fc.nat(43), fc.constantFrom(' ', '\n', '\t\u00a0'), (bytes, place, blank) => {
      const wallet = getAddressDecoder().decode(bytes)
      expect(readWallet(`${blank}${wallet.slice(0, place)}${blank}${wallet.slice(place)}`)).toEqual({
        state: 'wallet',
        wallet,
      })
      expect(readWallet(`${wallet}11`).state).toBe('wrong')
      expect(readWallet(wallet.slice(0, 31)).state).toBe('short')
    }),
  )
})

test('an impossible address is reported immediately, and an incomplete one is not', () => {
  expect(readWallet(' ')).toEqual({ state: 'empty' })
  expect(readWallet('So1').state).toBe('short')
  for (const letter of '0OIl_é') expect(readWallet(`So${letter}`)).toMatchObject({ state: 'wrong' })
})
