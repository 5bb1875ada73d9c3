import { shortAddressEnd } from '../../model/address.ts'
import {
  type ConsumeOptions,
  type Destination,
  FILTER_ARGUMENTS,
  MessageFilter,
  type StoredMessage,
} from '../../broker/index.ts'
import { principalOf, requirePermission } from '../../auth/index.ts'
import { HOLD } from '../../net/index.ts'
import {
  fieldInteger,
  fieldNumber,
  type FieldTable,
  fieldTypeName,
  type MethodOf,
} from '../../codec/amqp091/index.ts'
import type { Channel } from './channel.ts'
import { AmqpConsumer, headerFor, needsOwnHeader } from './consumer.ts'
import { REPLY_TO_NAME, ReplyConsumer } from './direct-reply-to.ts'
import { AmqpError, notFound, preconditionFailed, resourceLocked } from './errors.ts'
import { headerMapOf } from './mapping.ts'
import { keySharingAsked, typeOfDestination } from './queue-arguments.ts'
import { streamStartOf } from './stream-start.ts'

const KNOWN_CONSUME_ARGUMENTS: ReadonlySet<string> = new Set([
  'x-priority',
  'x-key-shared',
  'x-key-header',
  'x-stream-offset',
  'x-cancel-on-ha-failover',
  ...Object.values(FILTER_ARGUMENTS),
  'x-consume-rate',
  'x-consume-rate-bytes',
])

export function qos(channel: Channel, method: MethodOf<'basic.qos'>): void {
  if (method.prefetchSize !== 0) {
    throw new AmqpError('NOT_IMPLEMENTED', `prefetch_size!=0 (${method.prefetchSize})`)
  }
  // RabbitMQ's meaning: for each consumer to come, or shared by all consumers of the channel.
  if (method.global) channel.consumers.setSharedPrefetch(method.prefetchCount)
  else channel.prefetch = method.prefetchCount
  channel.send({ name: 'basic.qos-ok' })
}

export function consume(channel: Channel, method: MethodOf<'basic.consume'>): void {
  const { connection, consumers } = channel
  if (consumers.byTag(method.consumerTag) !== undefined || channel.isReplyTag(method.consumerTag)) {
    const text = `attempt to reuse consumer tag '${method.consumerTag}'`
    throw new AmqpError('NOT_ALLOWED', text)
  }
  if (consumers.count >= connection.limits.consumersMax) {
    throw preconditionFailed(`more than ${connection.limits.consumersMax} consumers in a channel`)
  }
  const tag = method.consumerTag === '' ? `amq.ctag-${connection.random.id()}` : method.consumerTag
  const name = channel.queueName(method.queue)
  if (name === REPLY_TO_NAME) {
    consumeReplies(channel, method, tag)
    return
  }
  const destination = readableDestination(channel, name)
  checkUse(channel, method, destination)
  const args = method.arguments
  const place = `for queue '${name}' in vhost '${channel.vhost.name}'`
  const priority = args.get('x-priority')
  const priorityLevel = priority === undefined ? 0 : fieldInteger(priority)
  if (priorityLevel === null) {
    const why = `"expected integer, got ${fieldTypeName(priority!)}"`
    throw preconditionFailed(`invalid arg 'x-priority' ${place}: ${why}`)
  }
  const keyShared = keySharingAsked(args, place)
  if (keyShared !== undefined && destination.profile === 'topic') {
    throw preconditionFailed(
      `invalid arg 'x-key-shared' ${place} of queue type rabbit_stream_queue`,
    )
  }
  warnOfUnknown(channel, method)
  const consumer = new AmqpConsumer(channel, destination, {
    tag,
    noAck: method.noAck,
    prefetch: channel.prefetch,
  })
  consumer.handle = destination.consume({
    sink: consumer,
    tag,
    noAck: method.noAck,
    exclusive: method.exclusive && destination.profile === 'queue',
    priority: Number(priorityLevel),
    owner: connection,
    actor: connection.actor,
    arguments: headerMapOf(args),
    ...(keyShared === undefined ? {} : { keyShared }),
    flow: connection.flow,
    ...ratesOf(args, place),
    ...filterOf(args),
    ...(destination.profile === 'topic'
      ? { startAt: streamStartOf(args.get('x-stream-offset'), connection.clock.now(), place) }
      : {}),
  })
  consumers.add(consumer)
  if (!method.nowait) channel.send({ name: 'basic.consume-ok', consumerTag: tag })
  // Only now: consume-ok comes before the first delivery.
  consumers.refresh(consumer)
}

/** What the consumer wants of what is there. */
function filterOf(args: FieldTable): Pick<ConsumeOptions, 'filter'> {
  const filter = MessageFilter.of(headerMapOf(args))
  return filter === null ? {} : { filter }
}

/** How much the consumer wants to be given in a second. */
function ratesOf(args: FieldTable, place: string): Pick<ConsumeOptions, 'rates'> {
  const rate = (name: string): number | undefined => {
    const value = args.get(name)
    if (value === undefined) return undefined
    const number = fieldNumber(value)
    if (number !== null && number >= 1) return number
    throw preconditionFailed(`invalid arg '${name}' ${place}: expected a number of 1 or more`)
  }
  const rates = { messages: rate('x-consume-rate'), bytes: rate('x-consume-rate-bytes') }
  return rates.messages === undefined && rates.bytes === undefined ? {} : { rates }
}

export function cancel(channel: Channel, method: MethodOf<'basic.cancel'>): void {
  const { consumerTag } = method
  if (!channel.consumers.cancel(consumerTag)) channel.closeReplies(consumerTag)
  if (!method.nowait) channel.send({ name: 'basic.cancel-ok', consumerTag })
}

export function get(channel: Channel, method: MethodOf<'basic.get'>): void {
  const destination = readableDestination(channel, channel.queueName(method.queue))
  let isPending = false
  let isAnswered = false
  destination.get(method.noAck, (message, offset, redelivered, attempts) => {
    isAnswered = true
    if (!channel.isOpen) {
      if (message !== null && !method.noAck) destination.release(offset)
      return
    }
    const answer = { destination, offset, redelivered, attempts, noAck: method.noAck }
    if (message === null) channel.send({ name: 'basic.get-empty' })
    else sendGetOk(channel, message, answer)
    channel.connection.checkOutput()
    if (isPending) channel.connection.proceed(HOLD.ANSWER)
  })
  // The message is being read from disk: whatever the client sends next waits for it.
  if (!isAnswered) {
    isPending = true
    channel.connection.hold(HOLD.ANSWER)
  }
}

interface GetAnswer {
  readonly destination: Destination
  readonly offset: number
  readonly redelivered: boolean
  readonly attempts: number
  readonly noAck: boolean
}

function sendGetOk(channel: Channel, message: StoredMessage, answer: GetAnswer): void {
  const { connection, writer, consumers } = channel
  const { content, output } = connection
  const { data } = message
  content.setAddress(data, message.addressStart, shortAddressEnd(data, message.addressStart))
  content.setHeader(data, message.headerStart, message.headerEnd)
  content.setBody(data, message.bodyStart, message.bodyEnd)
  if (answer.attempts > 0 || needsOwnHeader(message)) {
    const header = headerFor(channel, message, { attempts: answer.attempts, streamOffset: -1 })
    content.setHeader(header, 0, header.length)
  }
  const tag = channel.nextDeliveryTag()
  const left = answer.destination.readyCount
  const at = output.reserve(writer.getOkBytes(content))
  output.at = writer.getOk(output.buffer, at, tag, answer.redelivered, left, content)
  connection.deliveredCount++
  connection.requestOutput()
  if (!answer.noAck) consumers.gotten(consumers.getterOf(answer.destination), tag, answer.offset)
}

export function recover(channel: Channel, requeue: boolean): void {
  if (!requeue) throw new AmqpError('NOT_IMPLEMENTED', 'requeue=false')
  channel.consumers.requeueAll()
}

/** The queue of that name, which this user may read and nobody else owns. */
export function readableDestination(channel: Channel, name: string): Destination {
  const { vhost, connection } = channel
  requirePermission(connection.users, {
    user: principalOf(connection.user),
    vhost: vhost.name,
    resource: 'queue',
    name,
    kind: 'read',
  })
  return ownDestination(channel, name)
}

function ownDestination(channel: Channel, name: string): Destination {
  const { vhost, connection } = channel
  const destination = vhost.destination(name)
  if (destination === undefined) throw notFound('queue', name, vhost.name)
  const owner = destination.exclusiveOwner
  if (owner !== null && owner !== connection) throw resourceLocked(name, vhost.name)
  return destination
}

function consumeReplies(channel: Channel, method: MethodOf<'basic.consume'>, tag: string): void {
  if (!method.noAck) throw preconditionFailed('reply consumer cannot acknowledge')
  if (channel.replies !== null) throw preconditionFailed('reply consumer already set')
  channel.replies = new ReplyConsumer(channel, tag)
  if (!method.nowait) channel.send({ name: 'basic.consume-ok', consumerTag: tag })
}

/** What RabbitMQ asks of consumers by queue type. */
function checkUse(
  channel: Channel,
  method: MethodOf<'basic.consume'>,
  destination: Destination,
): void {
  const type = typeOfDestination(destination.spec)
  const where = `queue '${destination.name}' in vhost '${channel.vhost.name}'`
  if (type === 'quorum' && channel.consumers.sharedPrefetch > 0) {
    throw new AmqpError('NOT_IMPLEMENTED', `${where} does not support global qos`)
  }
  if (method.exclusive && destination.spec.singleActive) {
    throw new AmqpError('ACCESS_REFUSED', `${where} in exclusive use`)
  }
  if (type !== 'stream') return
  if (method.noAck) {
    const text = `automatic acknowledgement not supported by stream ${where}`
    throw new AmqpError('NOT_IMPLEMENTED', text)
  }
  if (channel.prefetch === 0) {
    throw preconditionFailed(`consumer prefetch count is not set for stream ${where}`)
  }
}

function warnOfUnknown(channel: Channel, method: MethodOf<'basic.consume'>): void {
  const unknown = [...method.arguments.keys()].filter(
    (key) => key.startsWith('x-') && !KNOWN_CONSUME_ARGUMENTS.has(key),
  )
  if (unknown.length > 0)
    channel.connection.warnOfArguments(`consume of '${method.queue}'`, unknown)
}
