import type { ComponentChildren, JSX } from 'preact'
import { say } from '../words.ts'

/** What went wrong, read out as soon as it is there. */
export function Failure({ reason }: { readonly reason: string | null }): JSX.Element | null {
  if (reason === null) return null
  return (
    <p class="notice bad" role="alert">
      {say('app.failed', { reason })}
    </p>
  )
}

export function Notice({
  kind = 'good',
  children,
}: {
  readonly kind?: 'good' | 'bad' | 'warning'
  readonly children: ComponentChildren
}): JSX.Element {
  return (
    <p class={`notice ${kind}`} role="status">
      {children}
    </p>
  )
}
