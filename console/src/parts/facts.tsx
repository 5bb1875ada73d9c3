import type { JSX } from 'preact'
import { say } from '../words.ts'

/** Names with values, such as arguments; what is no text is shown as JSON. */
export function Facts({
  values,
}: {
  readonly values: Readonly<Record<string, unknown>>
}): JSX.Element {
  const entries = Object.entries(values)
  if (entries.length === 0) return <p class="soft">{say('app.nothing')}</p>
  return (
    <dl class="facts">
      {entries.map(([name, value]) => (
        <FactPair key={name} name={name} text={textOf(value)} />
      ))}
    </dl>
  )
}

function FactPair({ name, text }: { readonly name: string; readonly text: string }): JSX.Element {
  return (
    <>
      <dt>{name}</dt>
      <dd>{text}</dd>
    </>
  )
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
