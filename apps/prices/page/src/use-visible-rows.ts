import { type RefObject, useLayoutEffect, useState } from 'react'
import { flushSync } from 'react-dom'

const OVERSCAN = 8
// A list of up to this many rows is rendered completely, for printing and in-page search. The browser skips drawing hidden rows.
const FULL_LIST = 250

/** Returns the range of rows in or near the viewport: the first index, and the index after the last. */
export function useVisibleRows(body: RefObject<HTMLElement | null>, count: number, height: number): [number, number] {
  const [range, setRange] = useState<[number, number]>([0, 40])
  useLayoutEffect(() => {
    const measure = () => {
      const top = body.current?.getBoundingClientRect().top ?? 0
      const start = Math.max(0, Math.floor(-top / height) - OVERSCAN)
      const end = Math.ceil((innerHeight - top) / height) + OVERSCAN
      setRange((old) => (old[0] === start && old[1] === end ? old : [start, end]))
    }
    // Render a longer list completely before printing and before the browser's in-page search.
    const showAll = () => flushSync(() => setRange([0, Number.MAX_SAFE_INTEGER]))
    const searches = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key === 'f') showAll()
    }
    measure()
    addEventListener('scroll', measure, { passive: true })
    addEventListener('resize', measure)
    addEventListener('beforeprint', showAll)
    addEventListener('afterprint', measure)
    addEventListener('keydown', searches)
    return () => {
      removeEventListener('beforeprint', showAll)
      removeEventListener('afterprint', measure)
      removeEventListener('keydown', searches)
      removeEventListener('scroll', measure)
      removeEventListener('resize', measure)
    }
  }, [body, height])
  if (count <= FULL_LIST) return [0, count]
  const start = Math.min(range[0], Math.max(0, count - 1))
  return [start, Math.min(count, Math.max(range[1], start + 1))]
}
