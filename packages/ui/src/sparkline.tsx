/** A value at a point in time. */
export interface SeriesPoint {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly value: number
  /** End of the confirmed period, if the value was unconfirmed before the next point. */
  readonly heldUntil?: number
}

interface SparklineProps {
  readonly points: readonly SeriesPoint[]
  /** Description for screen readers. */
  readonly label: string
}

const WIDTH = 120
const HEIGHT = 32
const EDGE = 3
// The shortest time span of the line, since two points a second apart are no trend. New points enter from the right.
const SHORTEST_SPAN = 30_000
// The smallest scale, as a share of the price, so that the last digit of a stablecoin does not look like a crash.
const SMALLEST_SPAN = 0.002
// A longer pause is drawn as a step, because a slope would show prices that never existed.
const LONGEST_SLOPE = 2_000

/** A small line chart, newest point on the right, dotted before the first point. */
export function Sparkline({ points, label }: SparklineProps) {
  const line = trace(points)
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <title>{label}</title>
      {line === undefined ? (
        <path className="sparkline-empty" d={`M0 ${HEIGHT / 2}H${WIDTH}`} />
      ) : (
        <>
          <path className="sparkline-empty" d={line.before} />
          <path className="sparkline-line" d={line.path} />
          <path className="sparkline-end" d={line.end} />
        </>
      )}
    </svg>
  )
}

function trace(points: readonly SeriesPoint[]): { before: string; path: string; end: string } | undefined {
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || last === undefined || first === last) return undefined
  let low = first.value
  let high = first.value
  for (const { value } of points) {
    if (value < low) low = value
    if (value > high) high = value
  }
  const middle = (low + high) / 2
  const span = Math.max(high - low, Math.abs(middle) * SMALLEST_SPAN, Number.MIN_VALUE)
  const time = Math.max(SHORTEST_SPAN, last.at - first.at)
  const x = (at: number) => (1 - (last.at - at) / time) * (WIDTH - EDGE)
  const y = (value: number) => HEIGHT / 2 - ((value - middle) / span) * (HEIGHT - 2 * EDGE)
  const path = points.map((p, index) => {
    if (index === 0) return `M${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`
    const before = points[index - 1] ?? p
    if (before.heldUntil !== undefined)
      return `H${x(before.heldUntil).toFixed(1)}M${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`
    const hold = p.at - before.at > LONGEST_SLOPE ? `H${x(p.at - LONGEST_SLOPE).toFixed(1)}` : ''
    return `${hold}L${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`
  })
  const before = `M0 ${y(first.value).toFixed(1)}H${x(first.at).toFixed(1)}`
  // A line of zero length with round caps, which stays round at any width, unlike a circle.
  return { before, path: path.join(''), end: `M${x(last.at).toFixed(1)} ${y(last.value).toFixed(1)}h0` }
}
