import type { JSX } from 'preact'
import { useCell } from '../cell.ts'
import { language, setLanguage, setTheme, theme, type Language, type Theme } from '../settings.ts'
import { say } from '../words.ts'

/** How the page looks and what it speaks. */
export function Choices(): JSX.Element {
  const chosenTheme = useCell(theme)
  const chosenLanguage = useCell(language)
  return (
    <div class="choices">
      <label>
        <span>{say('app.theme')}</span>
        <select
          value={chosenTheme}
          onChange={(event) => setTheme(event.currentTarget.value as Theme)}
        >
          <option value="auto">{say('app.theme.auto')}</option>
          <option value="light">{say('app.theme.light')}</option>
          <option value="dark">{say('app.theme.dark')}</option>
        </select>
      </label>
      <label>
        <span>{say('app.language')}</span>
        <select
          value={chosenLanguage}
          onChange={(event) => setLanguage(event.currentTarget.value as Language)}
        >
          <option value="en">English</option>
          <option value="zh">中文</option>
        </select>
      </label>
    </div>
  )
}
