import { createPublicKey, type KeyObject } from 'node:crypto'
import { type Address, getAddressDecoder, getAddressEncoder, type ReadonlyUint8Array } from '@solana/kit'

/** Most keys that are remembered in each form. */
const MOST = 20_000

/** The 32 bytes of an address. Base58 is slow, and the same few keys are in nearly every transaction. */
export const toKey: (address: Address) => ReadonlyUint8Array = remembering(
  (address) => address,
  (address) => getAddressEncoder().encode(address),
)

/** The address that 32 bytes are. */
export const toAddress: (key: Uint8Array) => Address = remembering(
  (key) => Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1'),
  (key) => getAddressDecoder().decode(key),
)

/** What verifies the signatures of an address. */
export const toVerifier: (address: Address) => KeyObject = remembering(
  (address) => address,
  (address) => {
    const x = Buffer.from(toKey(address)).toString('base64url')
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  },
)

/** Works something out once for each name, until there are too many: then it begins anew. */
function remembering<From, To>(name: (from: From) => string, work: (from: From) => To): (from: From) => To {
  const known = new Map<string, To>()
  return (from) => {
    const key = name(from)
    const found = known.get(key)
    if (found !== undefined) return found
    const made = work(from)
    if (known.size >= MOST) known.clear()
    known.set(key, made)
    return made
  }
}
