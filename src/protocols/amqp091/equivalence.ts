import type { DestinationSpec, ExchangeSpec } from '../../broker/index.ts'
import { type FieldTable, fieldTypeName, type FieldValue } from '../../codec/amqp091/index.ts'
import { equalHeaderValues, type HeaderMap, type HeaderValue } from '../../model/header-value.ts'
import { preconditionFailed } from './errors.ts'
import {
  COMPARED_EXCHANGE_ARGUMENTS,
  type ExchangeRequest,
  exchangeTypeName,
} from './exchange-arguments.ts'
import { headerValueOf } from './mapping.ts'
import { COMPARED_ARGUMENTS, type QueueRequest, typeOfDestination } from './queue-arguments.ts'

/**
 * Throws 406 where a queue stands that is not what the declaration asks for; the text names the
 * argument, what was received and what there is. Exclusiveness is compared by the caller (405).
 */
export function requireEquivalentQueue(
  current: DestinationSpec,
  request: QueueRequest,
  compared: ReadonlySet<string> = COMPARED_ARGUMENTS,
): void {
  const place = `for queue '${request.name}' in vhost '${request.vhost}'`
  const durable = request.durable && request.exclusiveOwner === null
  requireSame('durable', place, durable, current.durable)
  requireSame('auto_delete', place, request.autoDelete, current.autoDelete)
  const implied = new Map<string, FieldValue>([['x-queue-type', 'classic']])
  const received = new Map([...implied, ...request.arguments])
  const now = new Map<string, HeaderValue>([
    ...current.arguments,
    ['x-queue-type', typeOfDestination(current)],
  ])
  requireSameArguments({ received, current: now, compared, place })
}

/** The same for an exchange. */
export function requireEquivalentExchange(current: ExchangeSpec, request: ExchangeRequest): void {
  const place = `for exchange '${request.name}' in vhost '${request.vhost}'`
  requireSame('type', place, request.type, exchangeTypeName(current))
  requireSame('durable', place, request.durable, current.durable)
  requireSame('auto_delete', place, request.autoDelete, current.autoDelete)
  requireSame('internal', place, request.internal, current.internal)
  requireSameArguments({
    received: request.arguments,
    current: current.arguments,
    compared: COMPARED_EXCHANGE_ARGUMENTS,
    place,
  })
}

interface ArgumentComparison {
  readonly received: FieldTable
  readonly current: HeaderMap
  readonly compared: ReadonlySet<string>
  readonly place: string
}

function requireSameArguments({ received, current, compared, place }: ArgumentComparison): void {
  for (const key of compared) {
    const wanted = received.get(key)
    const there = current.get(key)
    if (wanted === undefined && there === undefined) continue
    if (wanted !== undefined && there !== undefined) {
      const value = headerValueOf(wanted)
      if (equalHeaderValues(value, there)) continue
      throw inequivalent(key, place, quoted(value), quoted(there))
    }
    throw inequivalent(
      key,
      place,
      wanted === undefined ? 'none' : described(fieldTypeName(wanted), headerValueOf(wanted)),
      there === undefined ? 'none' : described(typeNameOf(there), there),
    )
  }
}

function requireSame(
  argument: string,
  place: string,
  received: string | boolean,
  current: string | boolean,
): void {
  if (received === current) return
  throw inequivalent(argument, place, quoted(received), quoted(current))
}

function inequivalent(argument: string, place: string, received: string, current: string): Error {
  return preconditionFailed(
    `inequivalent arg '${argument}' ${place}: received ${received} but current is ${current}`,
  )
}

function quoted(value: HeaderValue): string {
  return `'${plain(value)}'`
}

function described(type: string, value: HeaderValue): string {
  return `the value '${plain(value)}' of type '${type}'`
}

function plain(value: HeaderValue): string {
  if (value === null) return 'undefined'
  if (typeof value === 'object') return typeNameOf(value)
  return String(value)
}

/** The width a number was declared with is not kept: it is named as most clients write it. */
function typeNameOf(value: HeaderValue): string {
  if (typeof value === 'bigint') return 'long'
  if (value === null || typeof value !== 'object') return fieldTypeName(value)
  if (value instanceof Uint8Array) return 'binary'
  return Array.isArray(value) ? 'array' : 'table'
}
