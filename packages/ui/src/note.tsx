import type { ReactNode } from 'react'

interface NoteProps {
  /** A summary of the state. */
  readonly title: string
  /** An explanation, with the possible action. */
  readonly children?: ReactNode
  /** `lost` for errors; `calm` for empty states. */
  readonly tone?: 'calm' | 'lost'
  /** Buttons or links. */
  readonly actions?: ReactNode
}

/** A message for an empty or failed state. */
export function Note({ title, children, tone = 'calm', actions }: NoteProps) {
  return (
    <div className="note" data-tone={tone}>
      <p className="note-title">{title}</p>
      {children !== undefined && <p className="note-text">{children}</p>}
      {actions !== undefined && <div className="note-actions">{actions}</div>}
    </div>
  )
}
