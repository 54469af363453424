export type Theme = 'light' | 'dark'

const KEY = 'weir.theme'

/** The theme that the system prefers. */
export function systemTheme(): Theme {
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}

/** The active theme: the user's choice, or the system's. */
export function currentTheme(): Theme {
  return chosenTheme() ?? systemTheme()
}

/** Applies the chosen theme to the page. Call it before the first render. */
export function applyTheme(): void {
  const chosen = chosenTheme()
  if (chosen === undefined) delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = chosen
}

/** Chooses a theme. The system's theme clears the choice, so that the page follows the system again. */
export function chooseTheme(theme: Theme): void {
  try {
    if (theme === systemTheme()) localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, theme)
  } catch {
    // Storage is blocked, so the choice applies only to this page.
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
