import { useLayoutEffect, useRef } from 'react'

interface CountingNumberProps {
  readonly value: number
  readonly format: (value: number) => string
}

/** Duration of the animation, in milliseconds. */
const DURATION = 900

/** A number that counts up to its new value. A lower value, or reduced motion, skips the animation. Screen readers get the final value. */
export function CountingNumber({ value, format }: CountingNumberProps) {
  const element = useRef<HTMLSpanElement>(null)
  const shown = useRef(value)
  useLayoutEffect(() => {
    const from = shown.current
    const show = (number: number) => {
      shown.current = number
      if (element.current !== null) element.current.textContent = format(number)
    }
    if (value <= from || matchMedia('(prefers-reduced-motion: reduce)').matches) {
      show(value)
      return
    }
    show(from)
    const start = performance.now()
    let frame = requestAnimationFrame(function step(now) {
      const rest = 1 - Math.min(1, Math.max(0, (now - start) / DURATION))
      // Whole numbers count in whole steps.
      const reached = value - (value - from) * rest ** 3
      show(rest === 0 ? value : Number.isInteger(value) ? Math.floor(reached) : reached)
      if (rest > 0) frame = requestAnimationFrame(step)
    })
    return () => cancelAnimationFrame(frame)
  }, [value, format])
  return (
    <>
      <span className="hidden">{format(value)}</span>
      <span ref={element} aria-hidden="true" />
    </>
  )
}
