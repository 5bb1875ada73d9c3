import type { JSX } from 'preact'
import { countText } from '../numbers.ts'
import { say } from '../words.ts'

interface PagerProps {
  readonly total: number
  readonly offset: number
  readonly limit: number
  readonly onOffset: (offset: number) => void
}

export function Pager({ total, offset, limit, onOffset }: PagerProps): JSX.Element {
  const to = Math.min(offset + limit, total)
  return (
    <nav class="pager" aria-label={say('table.range', { from: offset + 1, to, total })}>
      <button
        type="button"
        disabled={offset === 0}
        onClick={() => onOffset(Math.max(0, offset - limit))}
      >
        {say('table.previous')}
      </button>
      <span aria-live="polite">
        {say('table.range', {
          from: countText(total === 0 ? 0 : offset + 1),
          to: countText(to),
          total: countText(total),
        })}
      </span>
      <button type="button" disabled={to >= total} onClick={() => onOffset(offset + limit)}>
        {say('table.next')}
      </button>
    </nav>
  )
}
