import type { Hono } from 'hono'
import { whyQueue, whyTopic } from '../../broker/tracing/why.ts'
import { Queue } from '../../broker/queue.ts'
import { BrokerError } from '../../model/errors.ts'
import type { AdminParts } from '../admin-parts.ts'
import type { ConnectionView } from '../../model/shapes/connections.ts'
import type { AdminContext } from '../authentication.ts'
import { numberedParams } from '../schemas.ts'
import { params, query } from '../validation.ts'
import { type ConnectionOrder, connectionPageQuery } from './schemas.ts'

const PAGE_ROWS = 50

/** Connections in pages, and one of them with why its consumers get nothing. */
export function addConnectionPages(app: Hono<AdminContext>, parts: AdminParts): void {
  const all = (): ConnectionView[] => parts.protocols.flatMap((each) => [...each.connections()])
  app.get('/v1/pages/connections', (context) => {
    const asked = query(context, connectionPageQuery)
    const { sort = 'name', descending = false, offset = 0, limit = PAGE_ROWS } = asked
    const search = asked.search?.toLowerCase() ?? ''
    const found = all().filter((each) => search === '' || textOf(each).includes(search))
    const sign = descending ? -1 : 1
    found.sort((a, b) => sign * compare(a[sort], b[sort]) || a.id - b.id)
    const rows = found.slice(offset, offset + limit)
    return context.json({ total: found.length, offset, rows })
  })
  app.get('/v1/connections/:id', (context) => {
    const { id } = params(context, numberedParams)
    const connection = all().find((each) => each.id === id)
    if (connection === undefined) throw new BrokerError('NOT_FOUND', `no connection ${id}`)
    return context.json({ ...connection, consumerList: consumersOf(parts, connection) })
  })
}

/** Looked for in all destinations: asked by hand, for one connection at a time. */
function consumersOf({ broker }: AdminParts, { id, vhost }: ConnectionView): object[] {
  const found: object[] = []
  const host = vhost === null ? undefined : broker.vhost(vhost)
  for (const destination of host?.destinations() ?? []) {
    let isHere = false
    for (const { actor } of destination.consumers()) isHere ||= actor?.connectionId === id
    if (!isHere) continue
    const { consumers } =
      destination instanceof Queue ? whyQueue(destination) : whyTopic(destination)
    for (const consumer of consumers) {
      if (consumer.connectionId !== id) continue
      found.push({ destination: destination.name, ...consumer })
    }
  }
  return found
}

function textOf({
  name,
  user,
  vhost,
  protocol,
  clientName,
  clientProduct,
}: ConnectionView): string {
  return [name, user, vhost, protocol, clientName, clientProduct].join(' ').toLowerCase()
}

function compare(a: ConnectionView[ConnectionOrder], b: ConnectionView[ConnectionOrder]): number {
  if (a === b) return 0
  if (a === null || b === null) return a === null ? -1 : 1
  return a < b ? -1 : 1
}
