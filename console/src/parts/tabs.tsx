import type { JSX } from 'preact'

export interface Tab {
  readonly name: string
  readonly title: string
  readonly href: string
}

/** Parts of one page, each with an address of its own. */
export function Tabs({
  label,
  tabs,
  here,
}: {
  readonly label: string
  readonly tabs: readonly Tab[]
  readonly here: string
}): JSX.Element {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(({ name, title, href }) => (
        <a key={name} href={href} {...(name === here ? { 'aria-current': 'page' } : {})}>
          {title}
        </a>
      ))}
    </nav>
  )
}
