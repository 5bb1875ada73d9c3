import { z } from 'zod'
import type { Exchange } from '../../broker/exchange.ts'
import type { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'
import { vhostNotes } from '../../broker/vhost-notes.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { BrokerError } from '../../model/errors.ts'
import { NAME_LENGTH_MAX } from '../limits.ts'
import { consumerView } from './connection-view.ts'
import { checked, type Fields, fieldsOf, flag, headersOf } from './input.ts'
import { answerList, answerOne, type Listed } from './listing.ts'
import { type Asked, requireFor, visibleVhosts, vhostOf } from './operator.ts'
import type { RabbitParts } from './parts.ts'
import { exchangeView, queueView } from './queue-view.ts'
import { badRequest, notAuthorised, notFound } from './refusal.ts'
import type { Routes } from './routes.ts'

/** Exchanges and queues. */
export function addTopology(routes: Routes, parts: RabbitParts): void {
  addExchanges(routes, parts)
  addQueues(routes, parts)
}

function addExchanges(routes: Routes, parts: RabbitParts): void {
  const listed = (exchange: Exchange): Listed => {
    const { name, vhost } = exchange
    return { vhost: vhost.name, name, view: () => exchangeView(parts, exchange) }
  }
  routes.add('GET', '/exchanges', (asked) => {
    const hosts = visibleVhosts(parts, asked.get('operator'))
    return answerList(
      asked,
      hosts.flatMap((host) => Array.from(host.exchanges(), listed)),
    )
  })
  routes.add('GET', '/exchanges/:vhost', (asked) => {
    return answerList(asked, Array.from(vhostOf(parts, asked, false).exchanges(), listed))
  })
  routes.add('GET', '/exchanges/:vhost/:name', (asked) => {
    const view = exchangeView(parts, exchangeOf(vhostOf(parts, asked, false), asked))
    return answerOne(asked, { ...view, incoming: [], outgoing: [] })
  })
  routes.add('PUT', '/exchanges/:vhost/:name', async (asked) => {
    const vhost = vhostOf(parts, asked, true)
    const name = asked.req.param('name') ?? ''
    const fields = checked(exchangeFields, await fieldsOf(asked))
    refuseReserved(name, vhost.exchange(name) !== undefined)
    requireFor(parts, asked, { vhost, resource: 'exchange', name, kind: 'configure' })
    const isNew = vhost.exchange(name) === undefined
    await declareExchange(parts, vhost, { ...fields, name })
    return asked.body(null, isNew ? 201 : 204)
  })
  routes.add('DELETE', '/exchanges/:vhost/:name', async (asked) => {
    const vhost = vhostOf(parts, asked, true)
    const { name } = exchangeOf(vhost, asked)
    if (name === '' || name.startsWith('amq.')) throw notAuthorised('Access refused.')
    requireFor(parts, asked, { vhost, resource: 'exchange', name, kind: 'configure' })
    await vhost.deleteExchange(name, { ifUnused: asked.req.query('if-unused') === 'true' })
    return asked.body(null, 204)
  })
}

const exchangeFields = z.object({
  type: z.string().default('direct'),
  durable: flag.default(false),
  auto_delete: flag.default(false),
  internal: flag.default(false),
  arguments: z.unknown().optional(),
})

export async function declareExchange(
  { terms }: RabbitParts,
  vhost: VirtualHost,
  fields: Fields,
): Promise<void> {
  const {
    type,
    durable,
    auto_delete: autoDelete,
    internal,
    ...rest
  } = checked(exchangeFields, fields)
  const name = nameOf(fields)
  const args = headersOf(rest.arguments)
  await terms.declareExchange(vhost, { name, type, durable, autoDelete, internal, arguments: args })
}

function addQueues(routes: Routes, parts: RabbitParts): void {
  const listed = (queue: Queue | Topic): Listed => {
    const { name, vhost } = queue
    return { vhost: vhost.name, name, view: () => queueView(parts, queue) }
  }
  const all = (asked: Asked): Response => {
    const hosts = visibleVhosts(parts, asked.get('operator'))
    return answerList(
      asked,
      hosts.flatMap((host) => Array.from(host.destinations(), listed)),
    )
  }
  const ofVhost = (asked: Asked): Response => {
    return answerList(asked, Array.from(vhostOf(parts, asked, false).destinations(), listed))
  }
  routes.add('GET', '/queues', all)
  routes.add('GET', '/queues/detailed', all)
  routes.add('GET', '/queues/:vhost', ofVhost)
  routes.add('GET', '/queues/:vhost/:name', (asked) => {
    const queue = queueOf(vhostOf(parts, asked, false), asked)
    const consumers = Array.from(queue.consumers(), (each) => consumerView(queue, each))
    const details = { consumer_details: consumers, deliveries: [], incoming: [] }
    return answerOne(asked, { ...queueView(parts, queue), ...details })
  })
  routes.add('PUT', '/queues/:vhost/:name', async (asked) => {
    const vhost = vhostOf(parts, asked, true)
    const name = asked.req.param('name') ?? ''
    const fields = await fieldsOf(asked)
    refuseReserved(name, false)
    requireFor(parts, asked, { vhost, resource: 'queue', name, kind: 'configure' })
    requireDeadLetterRights(parts, asked, { vhost, name, fields })
    const isNew = vhost.destination(name) === undefined
    const { defaultQueueType } = vhostNotes(parts.broker, vhost.name)
    await declareQueue(parts, vhost, { ...fields, name }, defaultQueueType)
    return asked.body(null, isNew ? 201 : 204)
  })
  routes.add('DELETE', '/queues/:vhost/:name', async (asked) => {
    const vhost = vhostOf(parts, asked, true)
    const { name } = queueOf(vhost, asked)
    requireFor(parts, asked, { vhost, resource: 'queue', name, kind: 'configure' })
    const ifUnused = asked.req.query('if-unused') === 'true'
    const ifEmpty = asked.req.query('if-empty') === 'true'
    await vhost.deleteDestination(name, { ifUnused, ifEmpty })
    return asked.body(null, 204)
  })
  routes.add('DELETE', '/queues/:vhost/:name/contents', (asked) => {
    const vhost = vhostOf(parts, asked, true)
    const queue = queueOf(vhost, asked)
    requireFor(parts, asked, { vhost, resource: 'queue', name: queue.name, kind: 'read' })
    refuseOwned(queue)
    queue.purge()
    return asked.body(null, 204)
  })
  // Copies of queues on other nodes, which there are none of.
  routes.add('POST', '/queues/:vhost/:name/actions', async (asked) => {
    queueOf(vhostOf(parts, asked, true), asked)
    const { action } = await fieldsOf(asked)
    throw badRequest(`unknown action: ${String(action)}`)
  })
}

const queueFields = z.object({
  durable: flag.default(false),
  auto_delete: flag.default(false),
  arguments: z.unknown().optional(),
})

export async function declareQueue(
  { terms }: RabbitParts,
  vhost: VirtualHost,
  fields: Fields,
  defaultType: string | null = null,
): Promise<void> {
  const { durable, auto_delete: autoDelete, ...rest } = checked(queueFields, fields)
  const args = headersOf(rest.arguments)
  const name = nameOf(fields)
  await terms.declareQueue(vhost, { name, durable, autoDelete, arguments: args, defaultType })
}

function nameOf({ name }: Fields): string {
  if (typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= NAME_LENGTH_MAX) {
    return name
  }
  throw badRequest(`a name has 1 to ${NAME_LENGTH_MAX} octets`)
}

/** Whoever lets messages flow into an exchange must be allowed to do it by hand. */
function requireDeadLetterRights(
  parts: RabbitParts,
  asked: Asked,
  declared: { readonly vhost: VirtualHost; readonly name: string; readonly fields: Fields },
): void {
  const { vhost, name, fields } = declared
  const exchange = headersOf(fields['arguments']).get('x-dead-letter-exchange')
  if (typeof exchange !== 'string') return
  requireFor(parts, asked, { vhost, resource: 'queue', name, kind: 'read' })
  requireFor(parts, asked, { vhost, resource: 'exchange', name: exchange, kind: 'write' })
}

function refuseReserved(name: string, isThere: boolean): void {
  if (name.startsWith('amq.') && !isThere) throw notAuthorised('Access refused.')
}

/** The exchange of the path; `amq.default` is the one without a name. */
export function exchangeOf(vhost: VirtualHost, asked: Asked): Exchange {
  const name = asked.req.param('name') ?? ''
  const exchange = vhost.exchange(name === 'amq.default' ? '' : name)
  if (exchange === undefined) throw notFound()
  return exchange
}

export function queueOf(vhost: VirtualHost, asked: Asked): Queue | Topic {
  const queue = vhost.destination(asked.req.param('name') ?? '')
  if (queue === undefined) throw notFound()
  return queue
}

/** What is exclusive to a connection is not to be looked into by others. */
export function refuseOwned(queue: Queue | Topic): void {
  if (queue.exclusiveOwner === null) return
  const where = `queue '${queue.name}' in vhost '${queue.vhost.name}'`
  throw new BrokerError('RESOURCE_LOCKED', `cannot obtain exclusive access to locked ${where}`)
}
