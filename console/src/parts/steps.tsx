import type { JSX } from 'preact'
import { say } from '../words.ts'

interface StepsProps {
  /** Where this page and those before it begin. */
  readonly starts: readonly number[]
  /** Where the next one does; null: this is the last. */
  readonly next: number | null
  readonly onStarts: (starts: readonly number[]) => void
}

/** Buttons for a list whose pages are found one from the other. */
export function Steps({ starts, next, onStarts }: StepsProps): JSX.Element {
  return (
    <>
      <button
        type="button"
        disabled={starts.length === 1}
        onClick={() => onStarts(starts.slice(0, -1))}
      >
        {say('table.previous')}
      </button>
      <button
        type="button"
        disabled={next === null}
        onClick={() => next !== null && onStarts([...starts, next])}
      >
        {say('table.next')}
      </button>
    </>
  )
}
