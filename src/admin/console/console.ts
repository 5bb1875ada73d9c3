import type { Hono } from 'hono'
import type { AdminParts } from '../admin-parts.ts'
import type { AdminContext } from '../authentication.ts'
import { addConnectionPages } from './connection-pages.ts'
import { addDestinationDetails } from './destination-details.ts'
import { addDestinationPages } from './destination-pages.ts'
import { addEvents } from './events.ts'
import { addLogTail } from './log-tails.ts'
import { addLogins } from './logins.ts'
import { addPageFiles } from './page-files.ts'
import { addPictures } from './pictures.ts'
import { addPublishing } from './publishing.ts'
import { Sampler } from './sampler.ts'
import { ConsoleSessions } from './sessions.ts'
import { addSubscriptionPages } from './subscription-pages.ts'

/** The web page for operators, and what it asks beyond the rest of the API. */
export interface Console {
  readonly sessions: ConsoleSessions
  /** What anybody may ask; before whoever asks is known. */
  addPublic(app: Hono<AdminContext>): void
  addPrivate(app: Hono<AdminContext>): void
  /** Ends what every open page is told. */
  readonly close: () => void
}

export function openConsole(parts: AdminParts): Console {
  const { users, random, broker, pageFiles } = parts
  const sessions = new ConsoleSessions({ users, random, clock: broker.clock })
  const sampler = new Sampler(parts)
  return {
    sessions,
    addPublic: (app) => {
      if (pageFiles !== null) addPageFiles(app, pageFiles)
      addLogins(app, parts, sessions)
    },
    addPrivate: (app) => {
      addEvents(app, parts, { sampler, sessions })
      addDestinationPages(app, parts)
      addDestinationDetails(app, parts)
      addConnectionPages(app, parts)
      addSubscriptionPages(app, parts)
      addPictures(app, parts)
      addPublishing(app, parts)
      addLogTail(app, parts)
    },
    close: () => sampler.close(),
  }
}
