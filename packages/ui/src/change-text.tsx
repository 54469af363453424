import { formatPercent } from './number-format.ts'

interface ChangeTextProps {
  /** Percent; null if unknown. */
  readonly percent: number | null
}

/** A signed, coloured change in percent, or a dash. */
export function ChangeText({ percent }: ChangeTextProps) {
  if (percent === null) {
    return (
      <span className="change" title="No 24 h change is known">
        –
      </span>
    )
  }
  const text = formatPercent(percent)
  const direction = text.startsWith('+') ? 1 : text.startsWith('−') ? -1 : 0
  return (
    <span className="change" data-direction={direction}>
      {text}
    </span>
  )
}
