import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { say } from '../words.ts'

/** Nobody types faster than this and wants an answer for each letter. */
const TYPING_MS = 200

/** Tells what is looked for once whoever types pauses. */
export function SearchInput({
  onSearch,
}: {
  readonly onSearch: (text: string) => void
}): JSX.Element {
  const [typed, setTyped] = useState('')
  useEffect(() => {
    const timer = window.setTimeout(() => onSearch(typed), TYPING_MS)
    return () => window.clearTimeout(timer)
  }, [typed])
  return (
    <label>
      {say('table.search')}
      <input type="search" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
    </label>
  )
}
