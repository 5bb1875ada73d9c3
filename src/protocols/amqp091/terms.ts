/** AMQP 0-9-1 for those who speak of it and not in it: administrators over HTTP. */
import type {
  Destination,
  DestinationSpec,
  Exchange,
  ExchangeSpec,
  StoredMessage,
  VirtualHost,
} from '../../broker/index.ts'
import { PUBLISH } from '../../broker/index.ts'
import {
  type BasicProperties,
  decodeContentHeader,
  encodeContentHeader,
  type FieldTable,
  type FieldValue,
} from '../../codec/amqp091/index.ts'
import { encodeAddress } from '../../model/address.ts'
import { BrokerError, type BrokerErrorCode } from '../../model/errors.ts'
import { type HeaderMap, type HeaderValue, NO_HEADERS } from '../../model/header-value.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import { delayMsOf, SCHEDULE_HEADER, scheduleOrderOf } from '../../model/schedule-order.ts'
import { RABBITMQ_VERSION } from './amqp091.ts'
import { requireEquivalentExchange, requireEquivalentQueue } from './equivalence.ts'
import { AmqpError } from './errors.ts'
import {
  EXCHANGE_TYPE_NAMES,
  exchangeSpecOf,
  exchangeTypeName,
  isExchangeType,
} from './exchange-arguments.ts'
import { expirationMsOf } from './expiration.ts'
import { fieldValueOf, foreignHeader } from './foreign-header.ts'
import { decoratedHeader, headerValueOf, keysOf } from './mapping.ts'
import { destinationSpecOf, typeOfDestination, withDefaultType } from './queue-arguments.ts'

/** Names of the properties, as RabbitMQ's management API has them, and their kinds. */
const PROPERTY_NAMES: readonly (readonly [string, keyof BasicProperties, 'text' | 'number'])[] = [
  ['app_id', 'appId', 'text'],
  ['user_id', 'userId', 'text'],
  ['type', 'type', 'text'],
  ['timestamp', 'timestamp', 'number'],
  ['message_id', 'messageId', 'text'],
  ['expiration', 'expiration', 'text'],
  ['reply_to', 'replyTo', 'text'],
  ['correlation_id', 'correlationId', 'text'],
  ['priority', 'priority', 'number'],
  ['delivery_mode', 'deliveryMode', 'number'],
  ['content_encoding', 'contentEncoding', 'text'],
  ['content_type', 'contentType', 'text'],
]

/** An answer over HTTP is no frame: properties of foreign messages are shown whole. */
const HEADER_BYTES_MAX = 1024 * 1024

interface NamedTerms {
  readonly name: string
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly arguments: HeaderMap
}

interface PublishTerms {
  readonly exchange: Exchange
  readonly routingKey: string
  readonly properties: HeaderMap
  readonly body: Buffer
  readonly user: { readonly name: string; readonly tags: readonly string[] }
}

export interface Amqp091Terms {
  readonly version: string
  readonly exchangeTypes: readonly string[]
  declareQueue(
    vhost: VirtualHost,
    terms: NamedTerms & { readonly defaultType?: string | null },
  ): Promise<Destination>
  declareExchange(
    vhost: VirtualHost,
    terms: NamedTerms & { readonly type: string; readonly internal: boolean },
  ): Promise<Exchange>
  queueType(spec: DestinationSpec): string
  exchangeType(spec: ExchangeSpec): string
  publish(vhost: VirtualHost, terms: PublishTerms): boolean
  properties(vhost: VirtualHost, message: StoredMessage, attempts: number): HeaderMap
}

export const AMQP091_TERMS: Amqp091Terms = {
  version: RABBITMQ_VERSION,
  exchangeTypes: EXCHANGE_TYPE_NAMES,
  declareQueue: async (vhost, { defaultType = null, ...terms }) => {
    const asked = { ...terms, arguments: fieldTableOf(terms.arguments) }
    const request = {
      ...asked,
      vhost: vhost.name,
      exclusiveOwner: null,
      arguments: withDefaultType(asked, defaultType),
    }
    const existing = vhost.destination(terms.name)
    return neutrally(async () => {
      if (existing === undefined) return vhost.declareQueue(destinationSpecOf(request))
      requireEquivalentQueue(existing.spec, request)
      existing.touch()
      return existing
    })
  },
  declareExchange: async (vhost, terms) => {
    const request = { ...terms, vhost: vhost.name, arguments: fieldTableOf(terms.arguments) }
    const existing = vhost.exchange(terms.name)
    if (!isExchangeType(terms.type)) {
      throw new BrokerError('PRECONDITION_FAILED', `unknown exchange type '${terms.type}'`)
    }
    return neutrally(async () => {
      if (existing === undefined) return vhost.declareExchange(exchangeSpecOf(request))
      requireEquivalentExchange(existing.spec, request)
      return existing
    })
  },
  queueType: typeOfDestination,
  exchangeType: exchangeTypeName,
  publish,
  properties: propertiesOf,
}

/** The refusals of AMQP as the broker's own. */
async function neutrally<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    throw neutralError(error)
  }
}

const CODES: Readonly<Partial<Record<AmqpError['reply'], BrokerErrorCode>>> = {
  NOT_FOUND: 'NOT_FOUND',
  ACCESS_REFUSED: 'ACCESS_REFUSED',
  RESOURCE_LOCKED: 'RESOURCE_LOCKED',
  NOT_ALLOWED: 'NOT_ALLOWED',
  NOT_IMPLEMENTED: 'NOT_IMPLEMENTED',
}

function neutralError(error: unknown): unknown {
  if (!(error instanceof AmqpError)) return error
  const code = CODES[error.reply] ?? 'PRECONDITION_FAILED'
  return new BrokerError(code, error.message, { cause: error })
}

function fieldTableOf(headers: HeaderMap): FieldTable {
  return new Map(Array.from(headers, ([name, value]) => [name, fieldValueOf(value)]))
}

function publish(vhost: VirtualHost, terms: PublishTerms): boolean {
  try {
    return published(vhost, terms)
  } catch (error) {
    throw neutralError(error)
  }
}

function published(vhost: VirtualHost, terms: PublishTerms): boolean {
  const { exchange, routingKey, body, user } = terms
  const properties = basicPropertiesOf(terms.properties)
  const { userId, expiration, priority = 0, deliveryMode = 1 } = properties
  if (userId !== undefined && userId !== user.name && !user.tags.includes('impersonator')) {
    const text = `user_id property set to '${userId}' but authenticated user was '${user.name}'`
    throw new BrokerError('PRECONDITION_FAILED', text)
  }
  if (exchange.spec.internal) {
    const where = `exchange '${exchange.name}' in vhost '${vhost.name}'`
    throw new BrokerError('ACCESS_REFUSED', `cannot publish to internal ${where}`)
  }
  const { headers: given } = Object.fromEntries(terms.properties)
  const headers = given instanceof Map ? (given as HeaderMap) : NO_HEADERS
  const extraKeys = ['CC', 'BCC'].flatMap((name) => {
    return keysOf(fieldValueOf(headers.get(name) ?? null)) ?? []
  })
  const draft = new MessageDraft()
  draft.form = NATIVE_FORM.AMQP091
  draft.persistent = deliveryMode === 2
  draft.priority = priority
  if (expiration !== undefined) {
    const bytes = Buffer.from(expiration)
    draft.ttlMs = expirationMsOf(bytes, 0, bytes.length)
  }
  const headerOf = (name: string): HeaderValue | undefined => headers.get(name)
  draft.delayMs = delayMsOf(headerOf(SCHEDULE_HEADER.AFTER))
  if (draft.delayMs === 0 && exchange.spec.delayed) draft.delayMs = delayMsOf(headerOf('x-delay'))
  draft.schedule = scheduleOrderOf(headerOf)
  if (draft.schedule !== null) vhost.schedules.check(draft.schedule)
  const address = encodeAddress(exchange.name, routingKey)
  const header = encodeContentHeader(body.length, withoutBcc(properties))
  draft.setAddress(address, 0, address.length)
  draft.setHeader(header, 0, header.length)
  draft.setBody(body, 0, body.length)
  const route =
    extraKeys.length === 0
      ? vhost.route(exchange, routingKey)
      : vhost.routeMany(exchange, [routingKey, ...extraKeys], draft)
  return vhost.publish(route, draft) === PUBLISH.ROUTED
}

function withoutBcc(properties: BasicProperties): BasicProperties {
  if (properties.headers?.has('BCC') !== true) return properties
  const headers = new Map(properties.headers)
  headers.delete('BCC')
  return { ...properties, headers }
}

function basicPropertiesOf(given: HeaderMap): BasicProperties {
  const properties: Record<string, unknown> = {}
  for (const [name, value] of given) {
    if (name === 'headers') {
      if (value instanceof Map) properties['headers'] = fieldTableOf(value as HeaderMap)
      continue
    }
    const known = PROPERTY_NAMES.find(([ours]) => ours === name)
    if (known === undefined || value === null) continue
    const [, property, kind] = known
    if (kind === 'text' && typeof value !== 'string') throw badProperty('not_string', name)
    if (kind === 'number' && !isCount(value)) throw badProperty('not_int', name)
    properties[property] = value
  }
  return properties as BasicProperties
}

function isCount(value: HeaderValue): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function badProperty(fault: string, name: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', `${fault}: ${name}`)
}

function propertiesOf(vhost: VirtualHost, message: StoredMessage, attempts: number): HeaderMap {
  const { data, headerStart, headerEnd, annotations } = message
  const bodySize = message.bodyEnd - message.bodyStart
  const own =
    message.form === NATIVE_FORM.AMQP091
      ? data.subarray(headerStart, headerEnd)
      : foreignHeader(vhost.form(message.form), message, {
          bodySize,
          payloadBytesMax: HEADER_BYTES_MAX,
        }).payload
  const header =
    annotations === null && attempts === 0
      ? own
      : decoratedHeader(own, { annotations, attempts, streamOffset: -1 })
  const { properties } = decodeContentHeader(header)
  const shown = new Map<string, HeaderValue>()
  for (const [name, property] of PROPERTY_NAMES) {
    const value = properties[property]
    if (value !== undefined) shown.set(name, headerValueOf(value as FieldValue))
  }
  if (properties.headers !== undefined) shown.set('headers', headerValueOf(properties.headers))
  return shown
}
