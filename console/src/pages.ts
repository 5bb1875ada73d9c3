import type { ComponentType } from 'preact'
import { Access } from './pages/access.tsx'
import { ConnectionPage } from './pages/connection.tsx'
import { Connections } from './pages/connections.tsx'
import { Destination } from './pages/destination.tsx'
import { Destinations } from './pages/destinations.tsx'
import { Exchanges } from './pages/exchanges.tsx'
import { LogTail } from './pages/log.tsx'
import { Overview } from './pages/overview.tsx'
import { Policies } from './pages/policies.tsx'
import { Service } from './pages/service.tsx'
import { Services } from './pages/services.tsx'
import { Subscriptions } from './pages/subscriptions.tsx'
import { Schedules } from './pages/schedules.tsx'
import { Traces } from './pages/traces.tsx'
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
  {
    name: 'destination',
    title: 'nav.destinations',
    isListed: false,
    under: 'destinations',
    View: Destination,
  },
  { name: 'subscriptions', title: 'nav.subscriptions', isListed: true, View: Subscriptions },
  { name: 'exchanges', title: 'nav.exchanges', isListed: true, View: Exchanges },
  { name: 'connections', title: 'nav.connections', isListed: true, View: Connections },
  {
    name: 'connection',
    title: 'nav.connections',
    isListed: false,
    under: 'connections',
    View: ConnectionPage,
  },
  { name: 'services', title: 'nav.services', isListed: true, View: Services },
  {
    name: 'service',
    title: 'nav.services',
    isListed: false,
    under: 'services',
    View: Service,
  },
  { name: 'traces', title: 'nav.traces', isListed: true, View: Traces },
  { name: 'schedules', title: 'nav.schedules', isListed: true, View: Schedules },
  { name: 'policies', title: 'nav.policies', isListed: true, View: Policies },
  { name: 'access', title: 'nav.access', isListed: true, View: Access },
  { name: 'log', title: 'nav.log', isListed: true, View: LogTail },
]
