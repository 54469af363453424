import { type ReactNode, useEffect, useState } from 'react'
import { Icon, type IconName } from './icon.tsx'

interface CopyButtonProps {
  /** What goes to the clipboard, asked for at the press. */
  readonly text: () => string
  /** The button's name: `Copy mint`. */
  readonly label: string
  readonly icon?: IconName
  readonly children?: ReactNode
}

/** Copies a text and says so for two seconds, in place, without changing its size. */
export function CopyButton({ text, label, icon = 'copy', children }: CopyButtonProps) {
  const [state, setState] = useState<'ready' | 'copied' | 'refused'>('ready')
  useEffect(() => {
    if (state === 'ready') return
    const timer = setTimeout(() => setState('ready'), 2_000)
    return () => clearTimeout(timer)
  }, [state])
  const copy = () => {
    // Without a secure context there is no clipboard; the button then says so rather than pretending.
    const written: Promise<void> | undefined = navigator.clipboard?.writeText(text())
    if (written === undefined) setState('refused')
    else
      written.then(
        () => setState('copied'),
        () => setState('refused'),
      )
  }
  const said = state === 'copied' ? 'Copied' : state === 'refused' ? 'Copying was refused' : label
  return (
    <button type="button" className={children === undefined ? 'icon-button' : 'button'} title={said} onClick={copy}>
      <Icon name={state === 'copied' ? 'check' : state === 'refused' ? 'close' : icon} />
      {children}
      <span className="hidden" aria-live="polite">
        {children === undefined || state !== 'ready' ? said : ''}
      </span>
    </button>
  )
}
