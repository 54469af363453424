import type { ReactNode } from 'react'

interface NoteProps {
  /** What happened. */
  readonly title: string
  /** What it means and what one can do. */
  readonly children?: ReactNode
  /** `lost` for errors; `calm` for what is merely empty. */
  readonly tone?: 'calm' | 'lost'
  /** Buttons or links. */
  readonly actions?: ReactNode
}

/** An empty or failed state in words, with what one can do about it. */
export function Note({ title, children, tone = 'calm', actions }: NoteProps) {
  return (
    <div className="note" data-tone={tone}>
      <p className="note-title">{title}</p>
      {children !== undefined && <p className="note-text">{children}</p>}
      {actions !== undefined && <div className="note-actions">{actions}</div>}
    </div>
  )
}
