import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { BrokerError } from '../model/errors.ts'
import type { AdminEnvironment, AdminParts } from './admin-parts.ts'
import { authentication, type AdminContext } from './authentication.ts'
import { addBackups } from './backups.ts'
import { addChanges } from './changes.ts'
import { errorBody, STATUSES } from './errors.ts'
import { BODY_BYTES_MAX } from './limits.ts'
import { openConsole } from './console/index.ts'
import { openDeliveries } from './deliveries.ts'
import { addHealth } from './health.ts'
import { addListings } from './listings.ts'
import { addMetrics } from './metrics/metrics.ts'
import { addOpenApi } from './openapi/index.ts'
import { rabbitApi } from './rabbitmq/api.ts'
import { addRedrives } from './redrives.ts'
import { addSchedules } from './schedules.ts'
import { addCalls } from './services/calls.ts'
import { addInstances } from './services/instances.ts'
import { addServicePages } from './services/service-pages.ts'
import { addTraces } from './traces.ts'
import { InvalidRequest } from './validation.ts'
import { addWhereabouts } from './whereabouts.ts'

/** Who may see what is counted. */
const MONITORS: readonly string[] = ['administrator', 'monitoring']

/** The HTTP API without a socket: a request in, a response out. */
export interface AdminApp {
  fetch(request: Request, environment: AdminEnvironment): Response | Promise<Response>
  /** Ends the answers that would go on for ever. */
  close(): void
}

/**
 * Our own API is below `/v1`, RabbitMQ's below `/api`; names in paths are percent-encoded, so `/` is
 * `%2F`.
 */
export function createAdminApp(parts: AdminParts): AdminApp {
  const app = new Hono<AdminContext>()
  if (parts.terms !== undefined) app.mount('/api', rabbitApi(parts, parts.terms).fetch)
  const console = openConsole(parts)
  const deliveries = openDeliveries(parts)
  addHealth(app, parts)
  addMetrics(app, parts, authentication(parts, console.sessions, MONITORS))
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (context) => {
        const message = `the body is larger than ${BODY_BYTES_MAX} bytes`
        return context.json(errorBody('INVALID', message), 413)
      },
    }),
  )
  const ofConsole = new Set<string>()
  noteRoutes(app, ofConsole, () => console.addPublic(app))
  addOpenApi(app, parts, ofConsole)
  app.use(authentication(parts, console.sessions))
  noteRoutes(app, ofConsole, () => console.addPrivate(app))
  // Before what notes each request as a change: consumers settle and instances renew all the time.
  deliveries.add(app)
  addInstances(app, parts)
  addListings(app, parts)
  addChanges(app, parts)
  addRedrives(app, parts)
  addBackups(app, parts)
  addSchedules(app, parts)
  addServicePages(app, parts)
  addCalls(app, parts)
  addTraces(app, parts)
  addWhereabouts(app, parts)
  app.notFound((context) => {
    const message = `there is no ${context.req.method} ${context.req.path}`
    return context.json(errorBody('NOT_FOUND', message), 404)
  })
  app.onError((error, context) => {
    if (error instanceof BrokerError) {
      return context.json(errorBody(error.code, error.message), STATUSES[error.code])
    }
    if (error instanceof InvalidRequest) {
      return context.json(errorBody('INVALID', error.message), STATUSES.INVALID)
    }
    parts.log.error({ err: error, path: context.req.path }, 'an HTTP request failed')
    return context.json(errorBody('FAILED', 'the request failed, the log says why'), 500)
  })
  return {
    fetch: (request, environment) => app.fetch(request, environment),
    close: () => {
      deliveries.close()
      console.close()
    },
  }
}

/** Adds what `add` registers to `noted`, as method and path. */
function noteRoutes(app: Hono<AdminContext>, noted: Set<string>, add: () => void): void {
  const before = app.routes.length
  add()
  for (const { method, path } of app.routes.slice(before)) noted.add(`${method} ${path}`)
}
