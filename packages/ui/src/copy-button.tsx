import { type ReactNode, useEffect, useState } from 'react'
import { Icon, type IconName } from './icon.tsx'

interface CopyButtonProps {
  /** Returns the text to copy, called on each click. */
  readonly text: () => string
  /** Accessible name of the button: `Copy mint`. */
  readonly label: string
  readonly icon?: IconName
  readonly children?: ReactNode
}

/** Copies a text and confirms it in place for two seconds, without a change of size. */
export function CopyButton({ text, label, icon = 'copy', children }: CopyButtonProps) {
  const [state, setState] = useState<'ready' | 'copied' | 'refused'>('ready')
  useEffect(() => {
    if (state === 'ready') return
    const timer = setTimeout(() => setState('ready'), 2_000)
    return () => clearTimeout(timer)
  }, [state])
  const copy = () => {
    // Without a secure context there is no clipboard. The button then shows the failure.
    const written: Promise<void> | undefined = navigator.clipboard?.writeText(text())
    if (written === undefined) setState('refused')
    else
      written.then(
        () => setState('copied'),
        () => setState('refused'),
      )
  }
  const message = state === 'copied' ? 'Copied' : state === 'refused' ? 'Copying is blocked' : label
  return (
    <button type="button" className={children === undefined ? 'icon-button' : 'button'} title={message} onClick={copy}>
      <Icon name={state === 'copied' ? 'check' : state === 'refused' ? 'close' : icon} />
      {children}
      <span className="hidden" aria-live="polite">
        {children === undefined || state !== 'ready' ? message : ''}
      </span>
    </button>
  )
}
