import type { JSX } from 'preact'
import type { Reason } from '../../../src/model/shapes/destinations.ts'

/** What is in the way of messages, one a line. */
export function Reasons({ reasons }: { readonly reasons: readonly Reason[] }): JSX.Element {
  return (
    <ul class="reasons">
      {reasons.map(({ code, text }) => (
        <li key={code + text}>{text}</li>
      ))}
    </ul>
  )
}
