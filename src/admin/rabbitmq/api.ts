import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { DEFINITIONS_BYTES_MAX } from '../limits.ts'
import { recordChange } from '../audit.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { AmqpTerms } from './amqp-terms.ts'
import { addBindings } from './bindings.ts'
import { addConnections } from './connections.ts'
import { addDefinitions } from './definitions.ts'
import { addHealthChecks } from './health.ts'
import { addMessages } from './messages.ts'
import { type RabbitContext, rabbitLogin } from './operator.ts'
import { addOverview } from './overview.ts'
import type { RabbitParts } from './parts.ts'
import { addPolicies } from './policies.ts'
import { RateBook } from './rate-book.ts'
import { notFound, Refusal, refusalOf } from './refusal.ts'
import { Routes } from './routes.ts'
import { addTopology } from './topology.ts'
import { addUsers } from './users.ts'
import { addVhosts } from './vhosts.ts'

const CHANGING: readonly string[] = ['PUT', 'POST', 'DELETE']

/**
 * RabbitMQ's management API, for its users' tools: the same paths, fields and status codes, over
 * what this broker has. What it lacks is answered as one RabbitMQ node would that has none of it.
 */
export function rabbitApi(admin: AdminParts, terms: AmqpTerms): Hono<RabbitContext> {
  const parts: RabbitParts = { ...admin, terms, rates: new RateBook(admin.broker.clock) }
  // Clients of it write some paths with a slash behind.
  const app = new Hono<RabbitContext>({ strict: false })
  const routes = new Routes(app)
  // Whoever has not logged in may ask how to.
  app.get('/auth', (context) => context.json({ oauth_enabled: false }))
  app.use(rabbitLogin(parts))
  app.use(
    bodyLimit({
      maxSize: DEFINITIONS_BYTES_MAX,
      onError: () => {
        const text = `the body is larger than ${DEFINITIONS_BYTES_MAX} bytes`
        throw new Refusal(413, 'payload_too_large', text)
      },
    }),
  )
  app.use(async (context, next) => {
    await next()
    const { method, path } = context.req
    if (!CHANGING.includes(method) || !context.res.ok) return
    const user = context.get('operator').name
    recordChange(admin, user, { method, path: `/api${path}`, peer: context.env.peer.address })
  })
  addOverview(routes, parts)
  addConnections(routes, parts)
  addTopology(routes, parts)
  addBindings(routes, parts)
  addMessages(routes, parts)
  addVhosts(routes, parts)
  addUsers(routes, parts)
  addPolicies(routes, parts)
  addDefinitions(routes, parts)
  addHealthChecks(routes, parts)
  routes.finish()
  app.all('/*', () => {
    throw notFound()
  })
  app.onError((error, context) => {
    const refusal = refusalOf(error)
    if (refusal !== null) {
      return context.json({ error: refusal.error, reason: refusal.message }, refusal.status)
    }
    admin.log.error({ err: error, path: `/api${context.req.path}` }, 'an HTTP request failed')
    return context.json({ error: 'internal_server_error', reason: 'the log says why' }, 500)
  })
  return app
}
