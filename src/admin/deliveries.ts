import type { Hono } from 'hono'
import { BrokerError } from '../model/errors.ts'
import type { AdminParts } from './admin-parts.ts'
import { recordChange } from './audit.ts'
import type { AdminContext } from './authentication.ts'
import { DeliveryStream } from './delivery-stream.ts'
import { errorBody } from './errors.ts'
import { DELIVERY_STREAMS_MAX } from './limits.ts'
import { requireVhost } from './listings.ts'
import { deliveriesBody, destinationParams, numberedParams, settleBody } from './schemas.ts'
import { stored } from './stored.ts'
import { body, params } from './validation.ts'

/** Consuming over HTTP, whatever protocol put the messages there. */
export interface Deliveries {
  add(app: Hono<AdminContext>): void
  /** Ends every stream; what is not settled goes back. */
  close(): void
}

export function openDeliveries(parts: AdminParts): Deliveries {
  const streams = new Map<number, DeliveryStream>()
  let lastId = 0
  return {
    add: (app) => {
      app.post('/v1/destinations/:vhost/:destination/deliveries', async (context) => {
        const { vhost, destination: name } = params(context, destinationParams)
        const asked = await body(context, deliveriesBody)
        const destination = requireVhost(parts, vhost).destination(name)
        if (destination === undefined) {
          throw new BrokerError('NOT_FOUND', `no queue or topic '${name}' in vhost '${vhost}'`)
        }
        if (streams.size >= DELIVERY_STREAMS_MAX) {
          const message = `${DELIVERY_STREAMS_MAX} clients consume over HTTP, which is the most there can be`
          return context.json(errorBody('UNAVAILABLE', message), 503)
        }
        const id = ++lastId
        const { peer } = context.env
        const user = context.get('user')
        const stream = new DeliveryStream({
          id,
          destination,
          asked,
          clock: parts.broker.clock,
          actor: {
            protocol: 'HTTP',
            connectionId: -1,
            connection: peer.address,
            user,
            clientId: context.req.header('user-agent') ?? null,
          },
          onEnd: () => streams.delete(id),
        })
        streams.set(id, stream)
        const { method, path } = context.req
        recordChange(parts, user, { method, path, peer: peer.address })
        return new Response(stream.body, {
          headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
        })
      })
      app.post('/v1/deliveries/:id/settle', async (context) => {
        const { id } = params(context, numberedParams)
        const asked = await body(context, settleBody)
        const stream = streams.get(id)
        if (stream === undefined) throw new BrokerError('NOT_FOUND', `no stream ${id} is open`)
        stream.settle(asked)
        await stored(parts.broker)
        return context.body(null, 204)
      })
    },
    close: () => {
      for (const stream of [...streams.values()]) stream.close()
    },
  }
}
