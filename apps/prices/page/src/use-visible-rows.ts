import { type RefObject, useLayoutEffect, useState } from 'react'

const OVERSCAN = 8

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
    measure()
    addEventListener('scroll', measure, { passive: true })
    addEventListener('resize', measure)
    return () => {
      removeEventListener('scroll', measure)
      removeEventListener('resize', measure)
    }
  }, [body, height])
  const start = Math.min(range[0], Math.max(0, count - 1))
  return [start, Math.min(count, Math.max(range[1], start + 1))]
}
