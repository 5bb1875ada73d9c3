import type { Hono } from 'hono'
import { BrokerError } from '../model/errors.ts'
import type { AdminParts } from './admin-parts.ts'
import type { AdminContext } from './authentication.ts'
import { requireVhost } from './listings.ts'
import { numberedParams } from './schemas.ts'
import { traceMessagesQuery, traceRuleBody } from './trace-schemas.ts'
import { body, params, query } from './validation.ts'

const SHOWN_BY_DEFAULT = 20

/** Which messages are followed, and what became of them. */
export function addTraces(app: Hono<AdminContext>, parts: AdminParts): void {
  const { tracer } = parts.broker
  app.post('/v1/traces', async (context) => {
    const { vhost, sample = 1, forMs, countMax, ...filters } = await body(context, traceRuleBody)
    if (vhost !== undefined) requireVhost(parts, vhost)
    const rule = tracer.start({
      vhost: vhost ?? null,
      sample,
      ...filters,
      forMs: forMs ?? Infinity,
      countMax: countMax ?? Infinity,
    })
    return context.json(rule, 201)
  })
  app.get('/v1/traces', (context) => {
    return context.json({ rules: tracer.rules(), ...tracer.counts })
  })
  app.get('/v1/traces/messages', (context) => {
    const { id, limit = SHOWN_BY_DEFAULT } = query(context, traceMessagesQuery)
    return context.json(id === undefined ? tracer.latest(limit) : tracer.find(id, limit))
  })
  app.delete('/v1/traces/:id', (context) => {
    const { id } = params(context, numberedParams)
    if (!tracer.stop(id)) throw new BrokerError('NOT_FOUND', `no trace ${id}`)
    return context.body(null, 204)
  })
}
