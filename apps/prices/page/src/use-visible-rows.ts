import { type RefObject, useLayoutEffect, useState } from 'react'
import { flushSync } from 'react-dom'

const OVERSCAN = 8
// Up to so many rows all are there, so that printing and searching in the page see them; the browser skips drawing those out of sight.
const ALL = 250

/** Which of a long list's rows are in or near the window: the first, and the one after the last. */
export function useVisibleRows(body: RefObject<HTMLElement | null>, count: number, height: number): [number, number] {
  const [range, setRange] = useState<[number, number]>([0, 40])
  useLayoutEffect(() => {
    const measure = () => {
      const top = body.current?.getBoundingClientRect().top ?? 0
      const start = Math.max(0, Math.floor(-top / height) - OVERSCAN)
      const end = Math.ceil((innerHeight - top) / height) + OVERSCAN
      setRange((old) => (old[0] === start && old[1] === end ? old : [start, end]))
    }
    // Before a longer list is printed, or searched by the browser's own search, all of it is put there.
    const all = () => flushSync(() => setRange([0, Number.MAX_SAFE_INTEGER]))
    const searches = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key === 'f') all()
    }
    measure()
    addEventListener('scroll', measure, { passive: true })
    addEventListener('resize', measure)
    addEventListener('beforeprint', all)
    addEventListener('afterprint', measure)
    addEventListener('keydown', searches)
    return () => {
      removeEventListener('beforeprint', all)
      removeEventListener('afterprint', measure)
      removeEventListener('keydown', searches)
      removeEventListener('scroll', measure)
      removeEventListener('resize', measure)
    }
  }, [body, height])
  if (count <= ALL) return [0, count]
  const start = Math.min(range[0], Math.max(0, count - 1))
  return [start, Math.min(count, Math.max(range[1], start + 1))]
}
