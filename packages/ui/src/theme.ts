export type Theme = 'light' | 'dark'

const KEY = 'weir.theme'

/** What the system prefers. */
export function systemTheme(): Theme {
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}

/** The theme in force: the chosen one, or the system's. */
export function currentTheme(): Theme {
  return chosenTheme() ?? systemTheme()
}

/** Puts the chosen theme on the page; to be called before the first render. */
export function applyTheme(): void {
  const chosen = chosenTheme()
  if (chosen === undefined) delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = chosen
}

/** Chooses a theme. Choosing what the system prefers gives the page back to the system. */
export function chooseTheme(theme: Theme): void {
  try {
    if (theme === systemTheme()) localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, theme)
  } catch {
    // Storage is blocked: the choice holds for this page alone.
    document.documentElement.dataset.theme = theme
    return
  }
  applyTheme()
}

function chosenTheme(): Theme | undefined {
  try {
    const chosen = localStorage.getItem(KEY)
    return chosen === 'light' || chosen === 'dark' ? chosen : undefined
  } catch {
    const shown = document.documentElement.dataset.theme
    return shown === 'light' || shown === 'dark' ? shown : undefined
  }
}
