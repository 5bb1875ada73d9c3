import type { ComponentType } from 'preact'
import { Destinations } from './pages/destinations.tsx'
import { Overview } from './pages/overview.tsx'
import type { Word } from './words.ts'

export interface PageEntry {
  /** As the address has it. */
  readonly name: string
  readonly title: Word
  readonly isListed: boolean
  /** Which one of the listed it belongs to, if it is not itself. */
  readonly under?: string
  readonly View: ComponentType<{ readonly names: readonly string[] }>
}

/** Every page, in the order of the menu. */
export const PAGES: readonly PageEntry[] = [
  { name: 'overview', title: 'nav.overview', isListed: true, View: Overview },
  { name: 'destinations', title: 'nav.destinations', isListed: true, View: Destinations },
]
