/** A 32-bit hash of whole numbers, well mixed (the finish of MurmurHash3): the source of everything seeded here. */
export function hash(...parts: readonly number[]): number {
  let mixed = 0x9e3779b9
  for (const part of parts) {
    mixed = Math.imul(mixed ^ part, 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    mixed ^= mixed >>> 16
  }
  return mixed >>> 0
}

/** 0 up to, but not, 1: the same for the same parts. */
export function fraction(...parts: readonly number[]): number {
  return hash(...parts) / 0x1_0000_0000
}

/** A repeatable sequence of fractions. */
export function sequence(seed: number): () => number {
  let step = 0
  return () => fraction(seed, step++)
}
