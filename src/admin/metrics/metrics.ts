import type { Context, Hono, MiddlewareHandler } from 'hono'
import { z } from 'zod'
import type { AdminContext } from '../authentication.ts'
import type { AdminParts } from '../admin-parts.ts'
import { METRICS_PAGE_MAX, METRICS_PAGE_SIZE, NAME_LENGTH_MAX } from '../limits.ts'
import { requireVhost } from '../listings.ts'
import { query } from '../validation.ts'
import { CONTENT_TYPE, Exposition } from './exposition.ts'
import { writeObjects } from './object-metrics.ts'
import { writeMetrics } from './write-metrics.ts'

/** Metrics for Prometheus: counters are read when it asks, and nothing is counted for it. */
export function addMetrics(
  app: Hono<AdminContext>,
  parts: AdminParts,
  login: MiddlewareHandler<AdminContext>,
): void {
  // Names of virtual hosts and queues are for those who may see them, unless somebody opened them.
  if (parts.areMetricsPublic !== true) {
    app.use('/metrics', login)
    app.use('/metrics/*', login)
  }
  app.get('/metrics', (context) => answer(context, exposed(parts)))
  app.get('/metrics/per-object', (context) => {
    const { vhost, name = '', page = 1, limit = METRICS_PAGE_SIZE } = query(context, objectsQuery)
    const out = new Exposition()
    const vhosts = vhost === undefined ? [...parts.broker.vhosts()] : [requireVhost(parts, vhost)]
    writeObjects(out, { vhosts, name, page, pageSize: limit })
    return answer(context, out)
  })
}

interface ObjectsQuery {
  readonly vhost?: string | undefined
  readonly name?: string | undefined
  readonly page?: number | undefined
  readonly limit?: number | undefined
}
export const objectsQuery: z.ZodType<ObjectsQuery> = z.strictObject({
  vhost: z.string().min(1).max(NAME_LENGTH_MAX).optional(),
  name: z.string().max(NAME_LENGTH_MAX).optional(),
  page: z.coerce.number().int().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(METRICS_PAGE_MAX).optional(),
})

function answer(context: Context<AdminContext>, out: Exposition): Response {
  context.header('content-type', CONTENT_TYPE)
  return context.body(out.text())
}

function exposed(parts: AdminParts): Exposition {
  const out = new Exposition()
  writeMetrics(out, parts)
  return out
}
