import { type Clock, formatExactTime, formatPrice, type SeriesPoint } from '@weir/ui'
import { type PointerEvent, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react'
import { axisTicks } from './axis-ticks.ts'

interface PriceChartProps {
  readonly points: readonly SeriesPoint[]
  /** When the last price was last confirmed, if that is no longer current; milliseconds since 1970. */
  readonly heldUntil: number | undefined
  readonly clock: Clock
  /** The token's symbol. */
  readonly label: string
}

const HEIGHT = 192
const AXIS = 80
// A page that has just opened has no history, so the axis starts with this span and grows.
const SHORTEST_SPAN = 60_000

/**
 * A step chart of the prices since the page was opened, dashed while a price was unconfirmed. The pointer or the arrow keys select
 * single points.
 */
export function PriceChart({ points, heldUntil, clock, label }: PriceChartProps) {
  const frame = useRef<HTMLDivElement>(null)
  const width = useWidth(frame) - AXIS
  const now = useSyncExternalStore(clock.subscribe, () => Math.floor(clock.now() / 1_000) * 1_000)
  const [picked, setPicked] = useState<number>()
  const first = points[0]
  const last = points.at(-1)
  const ready = first !== undefined && last !== undefined && width > 0
  const start = first?.at ?? now
  const span = Math.max(SHORTEST_SPAN, now - start, (last?.at ?? now) - start)
  const { low, high } = bounds(points)
  const pad = Math.max((high - low) * 0.08, Math.abs(high) * 0.0002, Number.MIN_VALUE)
  const x = (at: number) => ((at - start) / span) * width
  const y = (value: number) => HEIGHT - ((value - low + pad) / (high - low + 2 * pad)) * HEIGHT
  const end = Math.max(now, last?.at ?? now)
  const held = Math.min(end, Math.max(last?.at ?? end, last?.heldUntil ?? heldUntil ?? end))
  const line = steps(points, x, y, held, end)
  const index = picked === undefined ? undefined : Math.min(picked, points.length - 1)
  const point = index === undefined ? undefined : points[index]
  const pick = (event: PointerEvent) => {
    const at = start + ((event.clientX - event.currentTarget.getBoundingClientRect().left) / width) * span
    const after = points.findIndex((each) => each.at > at)
    setPicked(after < 0 ? points.length - 1 : Math.max(0, after - 1))
  }
  return (
    <figure className="chart">
      <figcaption className="chart-caption">
        {point === undefined ? (
          <>
            <span>Since opening</span>
            <span>{ready ? `low ${formatPrice(low)} · high ${formatPrice(high)}` : 'no prices yet'}</span>
          </>
        ) : (
          <>
            <span>{formatExactTime(point.at, now)}</span>
            <span className="chart-value">{formatPrice(point.value)}</span>
          </>
        )}
      </figcaption>
      <div className="chart-frame" ref={frame} onPointerMove={pick} onPointerLeave={() => setPicked(undefined)}>
        {ready && (
          <>
            <svg className="chart-plot" width={width + AXIS} height={HEIGHT} aria-hidden="true">
              {axisTicks(low - pad, high + pad, 4).map((tick) => (
                <g key={tick.text} transform={`translate(0 ${y(tick.value).toFixed(1)})`}>
                  <path className="chart-grid" d={`M0 0H${width}`} />
                  <text className="chart-tick" x={width + 8} dy="0.35em">
                    {tick.text}
                  </text>
                </g>
              ))}
              <path className="chart-line" d={line.confirmed} />
              <path className="chart-unsure" d={line.unsure} />
              {point === undefined ? (
                <circle className="chart-dot" cx={x(held)} cy={y(last.value)} r="3" />
              ) : (
                <>
                  <path className="chart-cross" d={`M${x(point.at)} 0V${HEIGHT}`} />
                  <circle className="chart-dot" cx={x(point.at)} cy={y(point.value)} r="3" />
                </>
              )}
            </svg>
            <input
              type="range"
              className="chart-keys"
              aria-label={`${label} prices since opening`}
              aria-valuetext={`${formatPrice((point ?? last).value)} at ${formatExactTime((point ?? last).at, now)}`}
              min={0}
              max={points.length - 1}
              value={index ?? points.length - 1}
              onChange={(event) => setPicked(Number(event.target.value))}
              onBlur={() => setPicked(undefined)}
            />
          </>
        )}
      </div>
      <div className="chart-times">
        <span>{formatExactTime(start, now)}</span>
        <span>{formatExactTime(start + span, now)}</span>
      </div>
    </figure>
  )
}

function bounds(points: readonly SeriesPoint[]): { readonly low: number; readonly high: number } {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const { value } of points) {
    if (value < low) low = value
    if (value > high) high = value
  }
  return { low, high }
}

/** Returns SVG paths for confirmed and unconfirmed prices. `held`: when the last price was last confirmed; `end`: now. */
function steps(
  points: readonly SeriesPoint[],
  x: (at: number) => number,
  y: (value: number) => number,
  held: number,
  end: number,
): { readonly confirmed: string; readonly unsure: string } {
  let confirmed = ''
  let unsure = ''
  points.forEach(({ at, value, heldUntil }, index) => {
    const next = points[index + 1]?.at
    const until = next === undefined ? held : Math.min(next, heldUntil ?? next)
    const follows = index > 0 && points[index - 1]?.heldUntil === undefined
    const height = y(value).toFixed(1)
    confirmed += `${follows ? 'V' : `M${x(at).toFixed(1)} `}${height}H${x(until).toFixed(1)}`
    if (until < (next ?? end)) unsure += `M${x(until).toFixed(1)} ${height}H${x(next ?? end).toFixed(1)}`
  })
  return { confirmed, unsure }
}

function useWidth(element: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const { current } = element
    if (current === null) return
    setWidth(current.clientWidth)
    const observer = new ResizeObserver(() => setWidth(current.clientWidth))
    observer.observe(current)
    return () => observer.disconnect()
  }, [element])
  return width
}
