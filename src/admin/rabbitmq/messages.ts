import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { Queue } from '../../broker/queue.ts'
import type { StoredMessage } from '../../broker/stored-message.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { exchangeOf as exchangeIn, routingKeyOf } from '../../model/address.ts'
import { BrokerError } from '../../model/errors.ts'
import { MESSAGES_GOT_BYTES_MAX, MESSAGES_GOT_MAX } from '../limits.ts'
import { stored } from '../stored.ts'
import { headerToShow } from '../views.ts'
import { checked, fieldsOf, headersOf, integer, requireFields } from './input.ts'
import { type Asked, requireFor, vhostOf } from './operator.ts'
import type { RabbitParts } from './parts.ts'
import { badRequest, Refusal } from './refusal.ts'
import type { Routes } from './routes.ts'
import { refuseOwned } from './topology.ts'

/** Single messages, for people who try something out. */
export function addMessages(routes: Routes, parts: RabbitParts): void {
  routes.add('POST', '/exchanges/:vhost/:name/publish', async (asked) => publish(parts, asked))
  routes.add('POST', '/queues/:vhost/:name/get', async (asked) => get(parts, asked))
  routes.add('GET', '/aliveness-test/:vhost', async (asked) => {
    const vhost = vhostOf(parts, asked, true)
    await livens(parts, vhost)
    return asked.json({ status: 'ok' })
  })
}

const ALIVENESS_QUEUE = 'aliveness-test'

/** Declares a queue, publishes to it and takes the message out, as RabbitMQ's check does. */
async function livens({ terms }: RabbitParts, vhost: VirtualHost): Promise<void> {
  const terms0 = { name: ALIVENESS_QUEUE, durable: false, autoDelete: false, arguments: new Map() }
  const queue = await terms.declareQueue(vhost, terms0)
  const isRouted = terms.publish(vhost, {
    exchange: vhost.exchange('')!,
    routingKey: ALIVENESS_QUEUE,
    properties: new Map(),
    body: Buffer.from('test_message'),
    user: { name: '', tags: [] },
  })
  const { promise, resolve } = Promise.withResolvers<boolean>()
  queue.get(true, (message) => resolve(message !== null))
  if (!isRouted || !(await promise)) throw new BrokerError('UNAVAILABLE', 'no message came out')
}

const publishFields = z.object({
  routing_key: z.string(),
  payload: z.string(),
  payload_encoding: z.string(),
  properties: z.unknown().optional(),
})

async function publish(parts: RabbitParts, asked: Asked): Promise<Response> {
  const { terms, broker } = parts
  const vhost = vhostOf(parts, asked, true)
  const fields = await fieldsOf(asked)
  requireFields(fields, ['properties', 'routing_key', 'payload', 'payload_encoding'])
  const given = checked(publishFields, fields)
  const name = asked.req.param('name') ?? ''
  const exchange = vhost.exchange(name === 'amq.default' ? '' : name)
  if (exchange === undefined) throw new Refusal(404, 'not_found', 'exchange_not_found')
  requireFor(parts, asked, { vhost, resource: 'exchange', name: exchange.name, kind: 'write' })
  const { alarm } = broker.pressure
  if (alarm !== null) throw new BrokerError('UNAVAILABLE', `publishers are blocked: ${alarm}`)
  const routed = terms.publish(vhost, {
    exchange,
    routingKey: given.routing_key,
    properties: headersOf(given.properties),
    body: bodyOf(given.payload, given.payload_encoding),
    user: asked.get('operator'),
  })
  await stored(broker)
  return asked.json({ routed })
}

function bodyOf(payload: string, encoding: string): Buffer {
  if (encoding === 'string') return Buffer.from(payload, 'utf8')
  if (encoding !== 'base64') throw badRequest(`unsupported_encoding: ${encoding}`)
  const body = Buffer.from(payload, 'base64')
  const isWhole = body.toString('base64').replaceAll('=', '') === payload.replaceAll('=', '')
  if (!isWhole) throw badRequest('the payload is not base64')
  return body
}

const ACK_MODES = [
  'ack_requeue_true',
  'ack_requeue_false',
  'reject_requeue_true',
  'reject_requeue_false',
] as const

const getFields = z.object({
  count: integer.refine((count) => count >= 0, 'expected 0 or more'),
  ackmode: z.enum(ACK_MODES),
  encoding: z.enum(['auto', 'base64']),
  truncate: integer.optional(),
})

type GetFields = z.infer<typeof getFields>

async function get(parts: RabbitParts, asked: Asked): Promise<Response> {
  const vhost = vhostOf(parts, asked, true)
  const fields = await fieldsOf(asked)
  requireFields(fields, ['count', 'ackmode', 'encoding'])
  const given = checked(getFields, fields)
  const queue = vhost.destination(asked.req.param('name') ?? '')
  if (queue === undefined) throw new Refusal(404, 'not_found', 'queue_not_found')
  requireFor(parts, asked, { vhost, resource: 'queue', name: queue.name, kind: 'read' })
  refuseOwned(queue)
  if (!(queue instanceof Queue)) {
    throw new BrokerError('NOT_IMPLEMENTED', 'basic.get not supported by stream queues')
  }
  const taken: number[] = []
  const views: object[] = []
  let bytes = 0
  try {
    while (views.length < Math.min(given.count, MESSAGES_GOT_MAX)) {
      const view = await taken1(parts, queue, given, taken)
      if (view === null) break
      views.push(view)
      bytes += view.payload_bytes
      if (bytes >= MESSAGES_GOT_BYTES_MAX) break
    }
  } finally {
    for (const offset of taken) settle(queue, offset, given.ackmode)
  }
  // What was taken for good must be gone for good when the answer says so.
  if (!given.ackmode.endsWith('true')) await stored(parts.broker)
  return asked.json(views)
}

interface GotView {
  readonly payload_bytes: number
}

/** Takes one message out; null: there is none. */
async function taken1(
  parts: RabbitParts,
  queue: Queue,
  given: GetFields,
  taken: number[],
): Promise<GotView | null> {
  const { promise, resolve } = Promise.withResolvers<GotView | null>()
  queue.get(false, (message, offset, redelivered, attempts) => {
    if (message === null) {
      resolve(null)
      return
    }
    taken.push(offset)
    resolve({
      ...messageView(message, given),
      redelivered,
      message_count: queue.readyCount,
      properties: shownProperties(parts, queue, message, attempts),
    } as GotView)
  })
  return promise
}

function settle(queue: Queue, offset: number, ackmode: GetFields['ackmode']): void {
  if (ackmode === 'ack_requeue_false') queue.accept(offset)
  else if (ackmode === 'reject_requeue_false') queue.reject(offset)
  else queue.fail(offset)
}

function messageView(message: StoredMessage, { encoding, truncate }: GetFields): GotView {
  const { data, addressStart, addressEnd, bodyStart, bodyEnd } = message
  const shownEnd = truncate === undefined ? bodyEnd : Math.min(bodyEnd, bodyStart + truncate)
  const body = data.subarray(bodyStart, shownEnd)
  const isText = encoding === 'auto' && isUtf8(body)
  const view = {
    payload_bytes: bodyEnd - bodyStart,
    exchange: exchangeIn(data, addressStart),
    routing_key: routingKeyOf(data, addressStart, addressEnd),
    payload: body.toString(isText ? 'utf8' : 'base64'),
    payload_encoding: isText ? 'string' : 'base64',
  }
  return view
}

/** An empty list where there are none, as Erlang writes an empty map. */
function shownProperties(
  { terms }: RabbitParts,
  queue: Queue,
  message: StoredMessage,
  attempts: number,
): unknown {
  const properties = terms.properties(queue.vhost, message, attempts)
  return properties.size === 0 ? [] : headerToShow(properties)
}
