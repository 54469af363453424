import type { SeriesPoint } from '@weir/ui'

const MOST_POINTS = 600

/**
 * The points of one token since the page was opened, oldest first. Once there are too many, every second one of the
 * older half goes: the beginning stays, at a coarser grain, and memory does not grow with the hours. A new array each
 * time there is news, so that a change can be told by identity.
 */
export function addPoint(
  points: readonly SeriesPoint[],
  point: SeriesPoint,
  most = MOST_POINTS,
): readonly SeriesPoint[] {
  const last = points.at(-1)
  if (last !== undefined && point.at <= last.at) return points
  if (points.length < most) return [...points, point]
  const half = most / 2
  return [...points.filter((_, index) => index >= half || index % 2 === 0), point]
}

/** The same with an end to the last value: from this moment on nothing confirmed it. */
export function endLast(points: readonly SeriesPoint[], heldUntil: number): readonly SeriesPoint[] {
  const last = points.at(-1)
  if (last === undefined || last.heldUntil !== undefined) return points
  return [...points.slice(0, -1), { ...last, heldUntil: Math.max(last.at, heldUntil) }]
}
