const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const SHAPE = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/

/** Bytes as base58, each leading zero byte a `1`. */
export function toBase58(bytes: Uint8Array): string {
  let rest = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
  let text = ''
  for (; rest > 0n; rest /= 58n) text = ALPHABET.charAt(Number(rest % 58n)) + text
  const zeros = bytes.findIndex((byte) => byte !== 0)
  return '1'.repeat(zeros === -1 ? bytes.length : zeros) + text
}

/** Whether a text has the shape of a Solana address: the alphabet and a length that 32 bytes can have. */
export function looksLikeAddress(text: string): boolean {
  return SHAPE.test(text)
}
