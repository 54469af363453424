import { fraction } from '../random.ts'

/** So many octaves reach back a day and a half of one-second steps: the 24 h change has something to differ by. */
const OCTAVES = 17

/** √2 would be a free walk; less keeps the price around where it is listed: a few percent in a day, not half. */
const GROWTH = 1.28

/**
 * How far a price has wandered by a step, where 1 is what a single step may do: a pure function, so that any instant can be read
 * without walking there. Each octave is noise between fixed points twice as far apart as those of the last.
 */
export function walk(seed: number, step: number): number {
  let sum = 0
  let amplitude = 1
  for (let octave = 0; octave < OCTAVES; octave++) {
    const place = step / 2 ** octave
    const left = Math.floor(place)
    const from = fraction(seed, octave, left)
    const to = fraction(seed, octave, left + 1)
    sum += amplitude * ((from + (to - from) * (place - left)) * 2 - 1)
    amplitude *= GROWTH
  }
  return sum
}
