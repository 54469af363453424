/** A tick of an axis, with just enough decimals to differ from its neighbours. */
export interface AxisTick {
  readonly value: number
  readonly text: string
}

/** Returns up to `most` round values between two bounds, in steps of 1, 2 or 5 times a power of ten. */
export function axisTicks(low: number, high: number, most: number): readonly AxisTick[] {
  const rough = (high - low) / most
  if (!(rough > 0) || !Number.isFinite(rough)) return []
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10)
  const decimals = Math.min(20, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))
  const ticks: AxisTick[] = []
  for (let index = Math.ceil(low / step); index * step <= high; index += 1) {
    const value = index * step
    ticks.push({ value, text: value.toFixed(decimals) })
  }
  return ticks
}
