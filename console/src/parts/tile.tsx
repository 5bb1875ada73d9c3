import type { JSX } from 'preact'

interface TileProps {
  readonly label: string
  readonly value: string
  /** One more fact, in small. */
  readonly note?: string
}

/** One number that matters. */
export function Tile({ label, value, note }: TileProps): JSX.Element {
  return (
    <div class="tile">
      <dt>{label}</dt>
      <dd>
        {value}
        {note !== undefined && <small>{note}</small>}
      </dd>
    </div>
  )
}
