import { useEffect, useState } from 'react'
import { Icon } from './icon.tsx'
import { chooseTheme, currentTheme, type Theme } from './theme.ts'

/** Switches between the light and the dark theme, and stores the choice. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(currentTheme)
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)')
    const follow = () => setTheme(currentTheme())
    query.addEventListener('change', follow)
    return () => query.removeEventListener('change', follow)
  }, [])
  const other: Theme = theme === 'dark' ? 'light' : 'dark'
  const label = `Switch to ${other} theme`
  const turn = () => {
    chooseTheme(other)
    setTheme(other)
  }
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} onClick={turn}>
      <Icon name={theme === 'dark' ? 'sun' : 'moon'} />
    </button>
  )
}
