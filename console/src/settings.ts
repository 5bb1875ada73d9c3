import { Cell } from './cell.ts'

export type Theme = 'auto' | 'light' | 'dark'
export type Language = 'en' | 'zh'

/** Kept by the browser; nothing else is. */
const THEME_KEY = 'waystation-theme'
const LANGUAGE_KEY = 'waystation-language'

export const theme = new Cell<Theme>(readTheme())
export const language = new Cell<Language>(readLanguage())
/** Grows when colours change, so that what is painted by hand is painted again. */
export const paint = new Cell(0)

const prefersDark = window.matchMedia('(prefers-color-scheme: dark)')
prefersDark.addEventListener('change', applyTheme)
applyTheme()
document.documentElement.lang = language.value

export function setTheme(chosen: Theme): void {
  theme.set(chosen)
  keep(THEME_KEY, chosen)
  applyTheme()
}

export function setLanguage(chosen: Language): void {
  keep(LANGUAGE_KEY, chosen)
  document.documentElement.lang = chosen
  language.set(chosen)
}

function applyTheme(): void {
  const isDark = theme.value === 'dark' || (theme.value === 'auto' && prefersDark.matches)
  document.documentElement.dataset['theme'] = isDark ? 'dark' : 'light'
  paint.set(paint.value + 1)
}

function readTheme(): Theme {
  const kept = read(THEME_KEY)
  return kept === 'light' || kept === 'dark' ? kept : 'auto'
}

function readLanguage(): Language {
  const kept = read(LANGUAGE_KEY)
  if (kept === 'en' || kept === 'zh') return kept
  return navigator.language.startsWith('zh') ? 'zh' : 'en'
}

function read(key: string): string | null {
  try {
    return window.localStorage.getItem(key)
  } catch {
    // The browser keeps nothing for this page: the defaults it is.
    return null
  }
}

function keep(key: string, value: string): void {
  try {
    window.localStorage.setItem(key, value)
  } catch {
    // As above: it holds until the page is loaded again.
  }
}
