import type { CSSProperties } from 'react'

interface MonogramProps {
  /** Source of the letters: a symbol. */
  readonly label: string
  /** Source of the colour: an address, so that tokens with the same symbol look different. */
  readonly seed: string
}

/** A circle with the first letters of a name, because pages never load remote images. */
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
