import {
  type PermissionKind,
  principalOf,
  requirePermission,
  requireTopicPermission,
} from '../../auth/index.ts'
import { type BindingSpec, type Destination, Queue, vhostNotes } from '../../broker/index.ts'
import type { FieldTable, Method, MethodInput, MethodOf } from '../../codec/amqp091/index.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { auditChange } from './audit.ts'
import { AMQP091_ARGUMENTS } from './argument-dialect.ts'
import { readableDestination } from './basic-methods.ts'
import type { Channel } from './channel.ts'
import { REPLY_TO_NAME } from './direct-reply-to.ts'
import { requireEquivalentExchange, requireEquivalentQueue } from './equivalence.ts'
import { AmqpError, notFound, preconditionFailed, resourceLocked } from './errors.ts'
import { exchangeSpecOf, isExchangeType, unknownExchangeArguments } from './exchange-arguments.ts'
import { headerMapOf } from './mapping.ts'
import {
  destinationSpecOf,
  FIXED_ARGUMENTS,
  type QueueRequest,
  typeOfDestination,
  unknownArguments,
  withDefaultType,
} from './queue-arguments.ts'

type BindingMethod =
  | MethodOf<'exchange.bind'>
  | MethodOf<'exchange.unbind'>
  | MethodOf<'queue.bind'>
  | MethodOf<'queue.unbind'>

const BINDING_ANSWERS: Readonly<Record<BindingMethod['name'], MethodInput>> = {
  'exchange.bind': { name: 'exchange.bind-ok' },
  'exchange.unbind': { name: 'exchange.unbind-ok' },
  'queue.bind': { name: 'queue.bind-ok' },
  'queue.unbind': { name: 'queue.unbind-ok' },
}

export function changesBinding({ name }: Method): boolean {
  return name in BINDING_ANSWERS
}

/** The methods of the exchange and queue classes; false for a method that is neither. */
export function handleTopology(channel: Channel, method: Method): boolean {
  switch (method.name) {
    case 'exchange.declare':
      declareExchange(channel, method)
      return true
    case 'exchange.delete':
      deleteExchange(channel, method)
      return true
    case 'exchange.bind':
    case 'exchange.unbind':
      bindExchange(channel, method)
      return true
    case 'queue.declare':
      declareQueue(channel, method)
      return true
    case 'queue.bind':
      bindQueue(channel, method)
      return true
    case 'queue.unbind':
      bindQueue(channel, method)
      return true
    case 'queue.purge':
      purgeQueue(channel, method)
      return true
    case 'queue.delete':
      deleteQueue(channel, method)
      return true
    default:
      return false
  }
}

function declareExchange(channel: Channel, method: MethodOf<'exchange.declare'>): void {
  const { vhost } = channel
  const name = method.exchange
  refuseDefaultExchange(name)
  const reply = (): void => {
    if (!method.nowait) channel.send({ name: 'exchange.declare-ok' })
  }
  if (method.passive) {
    if (vhost.exchange(name) === undefined) throw notFound('exchange', name, vhost.name)
    reply()
    return
  }
  if (!isExchangeType(method.type)) {
    throw preconditionFailed(`invalid exchange type '${method.type}'`)
  }
  requireFor(channel, 'exchange', name, 'configure')
  const request = { ...method, name, vhost: vhost.name }
  const existing = vhost.exchange(name)
  if (existing !== undefined) {
    requireEquivalentExchange(existing.spec, request)
    reply()
    return
  }
  refuseReservedName('exchange', name)
  const spec = exchangeSpecOf(request)
  if (spec.alternateExchange !== null) {
    requireFor(channel, 'exchange', name, 'read')
    requireFor(channel, 'exchange', spec.alternateExchange, 'write')
  }
  warn(channel, `exchange '${name}'`, unknownExchangeArguments(method.arguments))
  channel.await(vhost.declareExchange(spec), () => {
    auditChange(channel, method.name, `exchange '${name}'`)
    reply()
  })
}

function deleteExchange(channel: Channel, method: MethodOf<'exchange.delete'>): void {
  const { vhost } = channel
  const name = method.exchange
  refuseDefaultExchange(name)
  if (name.startsWith('amq.')) {
    const text = `deletion of system exchange '${name}' in vhost '${vhost.name}' not allowed`
    throw new AmqpError('ACCESS_REFUSED', text)
  }
  requireFor(channel, 'exchange', name, 'configure')
  channel.await(vhost.deleteExchange(name, { ifUnused: method.ifUnused }), () => {
    auditChange(channel, method.name, `exchange '${name}'`)
    if (!method.nowait) channel.send({ name: 'exchange.delete-ok' })
  })
}

function bindExchange(
  channel: Channel,
  method: MethodOf<'exchange.bind'> | MethodOf<'exchange.unbind'>,
): void {
  const { source, destination } = method
  refuseDefaultExchange(destination)
  refuseDefaultExchange(source)
  requireFor(channel, 'exchange', destination, 'write')
  requireFor(channel, 'exchange', source, 'read')
  requireTopicRead(channel, source, method.routingKey)
  const binding: BindingSpec = {
    source,
    target: destination,
    targetKind: 'exchange',
    key: method.routingKey,
    arguments: headerMapOf(method.arguments),
  }
  changeBinding(channel, method, { binding, isPrivate: false })
}

function declareQueue(channel: Channel, method: MethodOf<'queue.declare'>): void {
  const { vhost, connection } = channel
  // RabbitMQ takes line ends out of queue names, and clients may rely on it.
  const asked = method.queue.replace(/[\r\n]/g, '')
  if (asked.startsWith(REPLY_TO_NAME)) {
    declareReplyName(channel, asked, method.nowait)
    return
  }
  if (method.passive) {
    const destination = vhost.destination(asked)
    if (destination === undefined) throw notFound('queue', asked, vhost.name)
    requireOwn(channel, destination)
    destination.touch()
    declared(channel, destination, method.nowait)
    return
  }
  if (asked !== '') refuseReservedUnlessThere(channel, asked)
  const name = asked === '' ? `amq.gen-${connection.random.id()}` : asked
  requireFor(channel, 'queue', name, 'configure')
  const request = {
    name,
    vhost: vhost.name,
    durable: method.durable,
    autoDelete: method.autoDelete,
    exclusiveOwner: method.exclusive ? connection : null,
    arguments: withDefaultType(method, vhostNotes(connection.broker, vhost.name).defaultQueueType),
  }
  const existing = vhost.destination(name)
  if (existing !== undefined) {
    if (existing.exclusiveOwner !== request.exclusiveOwner) {
      throw resourceLocked(name, vhost.name)
    }
    redeclareQueue(channel, existing, { request, nowait: method.nowait })
    return
  }
  requireDeadLetterPermissions(channel, name, request.arguments)
  const spec = destinationSpecOf(request)
  warn(channel, `queue '${name}'`, unknownArguments(method.arguments))
  channel.await(vhost.declareQueue(spec), (queue) => {
    // An exclusive one is the connection's own affair, and goes with it.
    if (!method.exclusive) auditChange(channel, method.name, `queue '${name}'`)
    declared(channel, queue, method.nowait)
  })
}

/** The queue stands: its settings must agree, or the virtual host says what happens. */
function redeclareQueue(
  channel: Channel,
  existing: Destination,
  { request, nowait }: { readonly request: QueueRequest; readonly nowait: boolean },
): void {
  const { vhost, connection } = channel
  const mode = vhost.declareMismatch
  if (mode !== 'fail') requireEquivalentQueue(existing.spec, request, FIXED_ARGUMENTS)
  try {
    requireEquivalentQueue(existing.spec, request)
  } catch (error) {
    if (mode === 'fail' || !(error instanceof AmqpError)) throw error
    connection.log.warn({ vhost: vhost.name, mode }, error.message)
    if (mode === 'adopt') {
      requireDeadLetterPermissions(channel, request.name, request.arguments)
      channel.await(adopt(channel, existing, request), () => {
        auditChange(channel, 'queue.declare', `queue '${request.name}'`)
        declared(channel, existing, nowait)
      })
      return
    }
  }
  existing.touch()
  declared(channel, existing, nowait)
}

/** A topic may have arguments of other protocols beside, which stay. */
async function adopt(
  { vhost, connection }: Channel,
  existing: Destination,
  request: QueueRequest,
): Promise<void> {
  const spec = destinationSpecOf(request)
  if (existing instanceof Queue) {
    await vhost.adopt(existing, spec)
    return
  }
  const changes = new Map<string, HeaderValue>()
  for (const key of existing.spec.arguments.keys()) changes.set(key, null)
  for (const [key, value] of spec.arguments) changes.set(key, value)
  for (const key of changes.keys()) {
    if (!AMQP091_ARGUMENTS.takes(spec, key) || FIXED_ARGUMENTS.has(key)) changes.delete(key)
  }
  await connection.broker.alter(vhost, existing.name, { arguments: changes })
}

function declared(channel: Channel, destination: Destination, nowait: boolean): void {
  const { name, readyCount, consumerCount } = destination
  channel.lastQueue = name
  if (nowait) return
  channel.send({
    name: 'queue.declare-ok',
    queue: name,
    messageCount: destination.profile === 'topic' ? 0 : readyCount,
    consumerCount,
  })
}

/** Says whether whoever asked for a direct reply is still there to read it. */
function declareReplyName(channel: Channel, name: string, nowait: boolean): void {
  const { vhost } = channel
  const isThere = name === REPLY_TO_NAME || vhost.inbox(name) !== undefined
  if (!isThere) throw notFound('queue', name, vhost.name)
  channel.lastQueue = name
  if (nowait) return
  channel.send({ name: 'queue.declare-ok', queue: name, messageCount: 0, consumerCount: 1 })
}

function bindQueue(
  channel: Channel,
  method: MethodOf<'queue.bind'> | MethodOf<'queue.unbind'>,
): void {
  const { vhost } = channel
  const name = channel.queueName(method.queue)
  // Both empty: the queue's own name is the key, as the specification has it.
  const key = method.queue === '' && method.routingKey === '' ? name : method.routingKey
  refuseDefaultExchange(method.exchange)
  requireFor(channel, 'queue', name, 'write')
  const destination = vhost.destination(name)
  if (destination !== undefined) requireOwn(channel, destination)
  requireFor(channel, 'exchange', method.exchange, 'read')
  requireTopicRead(channel, method.exchange, key)
  const binding: BindingSpec = {
    source: method.exchange,
    target: name,
    targetKind: 'destination',
    key,
    arguments: headerMapOf(method.arguments),
  }
  if (method.name === 'queue.bind' && destination === undefined) {
    throw notFound('queue', name, vhost.name)
  }
  const isPrivate = destination?.exclusiveOwner === channel.connection
  changeBinding(channel, method, { binding, isPrivate })
}

/** In force at once; answered when it is stored, with all others of this turn. */
function changeBinding(
  channel: Channel,
  method: BindingMethod,
  { binding, isPrivate }: { readonly binding: BindingSpec; readonly isPrivate: boolean },
): void {
  const { bindingSet } = channel.vhost
  const isBind = method.name === 'queue.bind' || method.name === 'exchange.bind'
  const stored = isBind ? bindingSet.bind(binding) : bindingSet.unbind(binding)
  const isSilent = method.name !== 'queue.unbind' && method.nowait
  channel.connection.answers.whenStored(stored, {
    channel,
    methodId: channel.methodId,
    answer: isSilent ? null : BINDING_ANSWERS[method.name],
    action: method.name,
    source: binding.source,
    target: binding.target,
    targetKind: binding.targetKind === 'exchange' ? 'exchange' : 'queue',
    isPrivate,
  })
}

function purgeQueue(channel: Channel, method: MethodOf<'queue.purge'>): void {
  const destination = readableDestination(channel, channel.queueName(method.queue))
  const messageCount = destination.purge()
  auditChange(channel, method.name, `queue '${destination.name}'`)
  if (!method.nowait) channel.send({ name: 'queue.purge-ok', messageCount })
}

function deleteQueue(channel: Channel, method: MethodOf<'queue.delete'>): void {
  const { vhost } = channel
  const name = channel.queueName(method.queue)
  requireFor(channel, 'queue', name, 'configure')
  const destination = vhost.destination(name)
  if (destination !== undefined) {
    requireOwn(channel, destination)
    checkDelete(channel, destination, method)
  }
  const options = { ifUnused: method.ifUnused, ifEmpty: false }
  channel.await(vhost.deleteDestination(name, options), (count) => {
    if (destination !== undefined && destination.exclusiveOwner === null) {
      auditChange(channel, method.name, `queue '${name}'`)
    }
    if (method.nowait) return
    const messageCount = destination?.profile === 'topic' ? 0 : count
    channel.send({ name: 'queue.delete-ok', messageCount })
  })
}

function checkDelete(
  channel: Channel,
  destination: Destination,
  method: MethodOf<'queue.delete'>,
): void {
  const where = `queue '${destination.name}' in vhost '${channel.vhost.name}'`
  if (typeOfDestination(destination.spec) === 'quorum' && (method.ifUnused || method.ifEmpty)) {
    const flag = method.ifUnused ? 'if-unused' : 'if-empty'
    throw new AmqpError(
      'NOT_IMPLEMENTED',
      `cannot delete ${where}. queue.delete operations with ${flag} flag set are not supported by quorum queues`,
    )
  }
  const isFilled = destination.profile === 'queue' && destination.readyCount > 0
  if (method.ifEmpty && isFilled) throw preconditionFailed(`${where} not empty`)
}

function refuseDefaultExchange(name: string): void {
  if (name === '') {
    throw new AmqpError('ACCESS_REFUSED', 'operation not permitted on the default exchange')
  }
}

function refuseReservedName(kind: 'queue' | 'exchange', name: string): void {
  if (!name.startsWith('amq.')) return
  const text = `${kind} name '${name}' contains reserved prefix 'amq.*'`
  throw new AmqpError('ACCESS_REFUSED', text)
}

/** A server-named queue may be declared again by the name it got. */
function refuseReservedUnlessThere(channel: Channel, name: string): void {
  const there = channel.vhost.destination(name)
  if (there?.exclusiveOwner !== channel.connection) refuseReservedName('queue', name)
}

function requireOwn(channel: Channel, destination: Destination): void {
  const owner = destination.exclusiveOwner
  if (owner === null || owner === channel.connection) return
  throw resourceLocked(destination.name, channel.vhost.name)
}

function requireFor(
  channel: Channel,
  resource: 'queue' | 'exchange',
  name: string,
  kind: PermissionKind,
): void {
  const { connection, vhost } = channel
  const user = principalOf(connection.user)
  requirePermission(connection.users, { user, vhost: vhost.name, resource, name, kind })
}

function requireTopicRead(channel: Channel, exchange: string, routingKey: string): void {
  const { connection, vhost } = channel
  if (vhost.exchange(exchange)?.spec.type !== 'topic') return
  const user = principalOf(connection.user)
  const topic = { user, vhost: vhost.name, exchange, routingKey }
  requireTopicPermission(connection.users, { ...topic, kind: 'read' })
}

/** Whoever lets messages flow from a queue into an exchange must be allowed to do it by hand. */
function requireDeadLetterPermissions(channel: Channel, queue: string, args: FieldTable): void {
  const exchange = args.get('x-dead-letter-exchange')
  if (typeof exchange !== 'string') return
  requireFor(channel, 'queue', queue, 'read')
  requireFor(channel, 'exchange', exchange, 'write')
}

function warn(channel: Channel, what: string, unknown: readonly string[]): void {
  if (unknown.length > 0) channel.connection.warnOfArguments(what, unknown)
}
