import type { CSSProperties } from 'react'

interface MonogramProps {
  /** What the letters come from: a symbol. */
  readonly label: string
  /** What the colour comes from: an address, so that two tokens of one symbol look different. */
  readonly seed: string
}

/** A quiet circle with the first letters of a name. It stands in for remote images, which a page never asks for. */
export function Monogram({ label, seed }: MonogramProps) {
  const style: CSSProperties & Record<'--hue', number> = { '--hue': hue(seed) }
  return (
    <span className="monogram" style={style} aria-hidden="true">
      {[...label.replace(/^\$/, '')].slice(0, 2).join('') || '?'}
    </span>
  )
}

function hue(seed: string): number {
  let hash = 0
  for (let index = 0; index < seed.length; index += 1) hash = (hash * 31 + seed.charCodeAt(index)) >>> 0
  return hash % 360
}
