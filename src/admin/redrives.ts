import type { Hono } from 'hono'
import { Queue } from '../broker/queue.ts'
import { BrokerError } from '../model/errors.ts'
import type { AdminParts } from './admin-parts.ts'
import type { AdminContext } from './authentication.ts'
import { requireVhost } from './listings.ts'
import { destinationParams, redriveBody, numberedParams } from './schemas.ts'
import { body, params } from './validation.ts'

/** Moving messages back to where they died, or elsewhere: start, watch, cancel. */
export function addRedrives(app: Hono<AdminContext>, parts: AdminParts): void {
  const { redrives } = parts.broker
  app.post('/v1/destinations/:vhost/:destination/redrive', async (context) => {
    const { vhost, destination: name } = params(context, destinationParams)
    const asked = await body(context, redriveBody)
    const queue = requireVhost(parts, vhost).destination(name)
    if (!(queue instanceof Queue)) {
      throw new BrokerError('NOT_FOUND', `no queue '${name}' in vhost '${vhost}'`)
    }
    const { to, filter = {}, dryRun = false, rate = Infinity, countMax = Infinity } = asked
    const started = redrives.start(queue, {
      to:
        to === undefined
          ? null
          : { exchange: to.exchange ?? '', routingKey: to.routingKey ?? null },
      filter,
      dryRun,
      rate,
      countMax,
      edit: {
        set: new Map(Object.entries(asked.setHeaders ?? {})),
        remove: asked.removeHeaders ?? [],
      },
      body: asked.bodyBase64 === undefined ? null : Buffer.from(asked.bodyBase64, 'base64'),
    })
    return context.json(started, 202)
  })
  app.get('/v1/redrives', (context) => context.json(redrives.list()))
  app.get('/v1/redrives/:id', (context) => {
    const { id } = params(context, numberedParams)
    const view = redrives.get(id)
    if (view === null) throw new BrokerError('NOT_FOUND', `no redrive ${id}`)
    return context.json(view)
  })
  app.post('/v1/redrives/:id/resume', (context) => {
    const { id } = params(context, numberedParams)
    return context.json(redrives.resume(id), 202)
  })
  app.delete('/v1/redrives/:id', (context) => {
    const { id } = params(context, numberedParams)
    if (!redrives.cancel(id)) throw new BrokerError('NOT_FOUND', `no redrive ${id}`)
    return context.body(null, 204)
  })
}
