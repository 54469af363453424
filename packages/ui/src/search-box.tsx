import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react'
import { Icon } from './icon.tsx'

/** An option in the list of a search box. */
export interface SearchOption {
  readonly id: string
  readonly content: ReactNode
}

interface SearchBoxProps {
  readonly label: string
  readonly placeholder: string
  readonly text: string
  readonly options: readonly SearchOption[]
  /** Shown instead of the list while there are no options: progress, no results, or an error. */
  readonly note?: ReactNode
  /** Whether the list or the note is visible. */
  readonly open: boolean
  onText(text: string): void
  /** Called on Enter or on a click on an option. */
  onChoose(id: string): void
}

/** A search box with a listbox: `/` focuses it, arrow keys move, Enter chooses, Escape closes and clears. */
export function SearchBox({ label, placeholder, text, options, note, open, onText, onChoose }: SearchBoxProps) {
  const id = useId()
  const input = useRef<HTMLInputElement>(null)
  const box = useRef<HTMLElement>(null)
  const [active, setActive] = useState(0)
  const [focused, setFocused] = useState(false)
  useEffect(() => focusOnSlash(input), [])
  const count = options.length
  const chosen = options[Math.min(active, count - 1)]
  const expanded = open && focused
  useEffect(() => {
    if (expanded && chosen !== undefined) {
      document.getElementById(`${id}-${chosen.id}`)?.scrollIntoView({ block: 'nearest' })
    }
  }, [expanded, chosen, id])

  const move = (step: number) => setActive(count === 0 ? 0 : (Math.min(active, count - 1) + step + count) % count)
  const keys: Record<string, () => void> = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => {
      if (expanded && chosen !== undefined) onChoose(chosen.id)
    },
    Escape: () => {
      if (text === '') input.current?.blur()
      else onText('')
    },
  }
  const press = (event: KeyboardEvent) => {
    const act = keys[event.key]
    // During composition, the input method handles Enter and the arrow keys.
    if (act === undefined || event.nativeEvent.isComposing) return
    event.preventDefault()
    act()
  }
  return (
    <search
      className="search"
      ref={box}
      onBlur={(event) => {
        if (!box.current?.contains(event.relatedTarget)) setFocused(false)
      }}
    >
      <Icon name="search" />
      <input
        ref={input}
        className="search-input"
        type="text"
        inputMode="search"
        role="combobox"
        aria-label={label}
        aria-autocomplete="list"
        aria-expanded={expanded}
        aria-controls={`${id}-list`}
        aria-activedescendant={expanded && chosen !== undefined ? `${id}-${chosen.id}` : undefined}
        aria-keyshortcuts="/"
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        placeholder={placeholder}
        value={text}
        onFocus={() => setFocused(true)}
        onChange={(event) => {
          setActive(0)
          setFocused(true)
          onText(event.target.value)
        }}
        onKeyDown={press}
      />
      {text === '' ? (
        <span className="search-key" aria-hidden="true">
          /
        </span>
      ) : (
        <button type="button" className="icon-button" aria-label="Clear search" onClick={() => onText('')}>
          <Icon name="close" />
        </button>
      )}
      <div className="search-panel" hidden={!expanded}>
        <div className="search-list" id={`${id}-list`} role="listbox" aria-label={label}>
          {options.map((option, index) => (
            <div
              key={option.id}
              id={`${id}-${option.id}`}
              className="search-option"
              role="option"
              tabIndex={-1}
              aria-selected={option === chosen}
              // The input keeps the focus, so that the user can type on after a click.
              onPointerDown={(event) => event.preventDefault()}
              onPointerMove={() => setActive(index)}
              onClick={() => onChoose(option.id)}
              onKeyDown={press}
            >
              {option.content}
            </div>
          ))}
        </div>
        {note}
      </div>
    </search>
  )
}

function focusOnSlash(input: { readonly current: HTMLInputElement | null }): () => void {
  const press = (event: globalThis.KeyboardEvent) => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.target instanceof Element && event.target.closest('input, textarea, select, [contenteditable]')) return
    event.preventDefault()
    input.current?.focus()
    input.current?.select()
  }
  document.addEventListener('keydown', press)
  return () => document.removeEventListener('keydown', press)
}
