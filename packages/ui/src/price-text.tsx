import { useLayoutEffect, useRef } from 'react'
import { formatPrice, splitPrice } from './number-format.ts'

interface PriceTextProps {
  /** US dollars. */
  readonly price: number
  /** Direction of the last change, shown as an arrow in addition to the colour of the flash. */
  readonly direction: -1 | 0 | 1
}

/** A price aligned on the decimal point. It flashes for 300 ms when it changes. */
export function PriceText({ price, direction }: PriceTextProps) {
  const element = useRef<HTMLSpanElement>(null)
  const shown = useRef(price)
  useLayoutEffect(() => {
    const before = shown.current
    shown.current = price
    if (before === price || matchMedia('(prefers-reduced-motion: reduce)').matches) return
    const tint = price > before ? 'var(--up)' : 'var(--down)'
    const flash = element.current?.animate(
      [{ backgroundColor: `color-mix(in srgb, ${tint} 24%, transparent)` }, { backgroundColor: 'transparent' }],
      { duration: 300, easing: 'ease-out' },
    )
    return () => flash?.cancel()
  }, [price])
  const { whole, zeros, digits } = splitPrice(price)
  return (
    <span className="price" ref={element}>
      <span className="price-move" data-direction={direction} aria-hidden="true">
        {direction > 0 ? '▴' : direction < 0 ? '▾' : ''}
      </span>
      <span className="hidden">{formatPrice(price)} US dollars</span>
      <span className="price-whole" aria-hidden="true">
        {whole}
      </span>
      <span className="price-fraction" aria-hidden="true">
        {zeros !== '' && <span className="price-zeros">{zeros}</span>}
        {digits}
      </span>
    </span>
  )
}
