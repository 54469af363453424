import type { SeriesPoint } from '@weir/ui'

const MOST_POINTS = 600

/**
 * Adds a point to the history of a token, oldest first. A full history drops every second point of its older half, which bounds
 * memory and keeps the beginning at a lower resolution. Returns a new array after each change, so that identity reveals a change.
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

/** Marks the last value as unconfirmed from `heldUntil` on. */
export function endLast(points: readonly SeriesPoint[], heldUntil: number): readonly SeriesPoint[] {
  const last = points.at(-1)
  if (last === undefined || last.heldUntil !== undefined) return points
  return [...points.slice(0, -1), { ...last, heldUntil: Math.max(last.at, heldUntil) }]
}
