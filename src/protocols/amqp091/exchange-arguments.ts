import type { ExchangeSpec } from '../../broker/index.ts'
import { type FieldTable, fieldTypeName } from '../../codec/amqp091/index.ts'
import { preconditionFailed } from './errors.ts'
import { headerMapOf } from './mapping.ts'

const TYPES: ReadonlyMap<string, ExchangeSpec['type']> = new Map<string, ExchangeSpec['type']>([
  ['direct', 'direct'],
  ['fanout', 'fanout'],
  ['topic', 'topic'],
  ['headers', 'headers'],
  ['x-consistent-hash', 'consistent-hash'],
  ['x-modulus-hash', 'modulus-hash'],
  ['x-random', 'random'],
  ['x-local-random', 'local-random'],
])

const DELAYED_TYPE = 'x-delayed-message'

/** As clients write them. */
export const EXCHANGE_TYPE_NAMES: readonly string[] = [...TYPES.keys(), DELAYED_TYPE]

const HASH_PROPERTIES: ReadonlyMap<string, NonNullable<ExchangeSpec['hashProperty']>> = new Map([
  ['message_id', 'message-id'],
  ['correlation_id', 'correlation-id'],
  ['timestamp', 'timestamp'],
] as const)

/** The arguments that two declarations of an exchange must agree on. */
export const COMPARED_EXCHANGE_ARGUMENTS: ReadonlySet<string> = new Set([
  'alternate-exchange',
  'x-delayed-type',
  'hash-header',
  'hash-property',
])

const KNOWN_ARGUMENTS: ReadonlySet<string> = new Set(['x-delayed-type'])

export interface ExchangeRequest {
  readonly name: string
  readonly vhost: string
  /** As the client writes it: `x-consistent-hash`. */
  readonly type: string
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly internal: boolean
  readonly arguments: FieldTable
}

/** The exchange a declaration asks for; throws 406 with RabbitMQ's texts. */
export function exchangeSpecOf(request: ExchangeRequest): ExchangeSpec {
  const { name, arguments: args } = request
  const delayed = request.type === DELAYED_TYPE
  const type = TYPES.get(delayed ? delayedTypeOf(args) : request.type)
  if (type === undefined) throw preconditionFailed(`invalid exchange type '${request.type}'`)
  return {
    name,
    type,
    delayed,
    durable: request.durable,
    autoDelete: request.autoDelete,
    internal: request.internal,
    arguments: headerMapOf(args),
    alternateExchange: alternateExchangeOf(request),
    ...(type === 'consistent-hash' ? hashKeyOf(args) : {}),
  }
}

/** Whether clients may declare this type at all; asked before anything else is. */
export function isExchangeType(type: string): boolean {
  return TYPES.has(type) || type === DELAYED_TYPE
}

/** How clients write the type of an exchange that stands. */
export function exchangeTypeName(spec: ExchangeSpec): string {
  if (spec.delayed) return DELAYED_TYPE
  for (const [name, type] of TYPES) if (type === spec.type) return name
  return spec.type
}

/** The `x-` arguments that nobody here knows: to be told to the operator. */
export function unknownExchangeArguments(args: FieldTable): string[] {
  return [...args.keys()].filter((key) => key.startsWith('x-') && !KNOWN_ARGUMENTS.has(key))
}

function delayedTypeOf(args: FieldTable): string {
  const type = args.get('x-delayed-type')
  if (typeof type === 'string' && TYPES.has(type)) return type
  throw preconditionFailed(`Invalid argument, 'x-delayed-type' must be an existing exchange type`)
}

function alternateExchangeOf({ name, vhost, arguments: args }: ExchangeRequest): string | null {
  const value = args.get('alternate-exchange')
  if (value === undefined) return null
  if (typeof value === 'string') return value
  const where = `in exchange '${name}' in vhost '${vhost}'`
  const type = fieldTypeName(value)
  throw preconditionFailed(`invalid type '${type}' for arg 'alternate-exchange' ${where}`)
}

function hashKeyOf(args: FieldTable): Pick<ExchangeSpec, 'hashHeader' | 'hashProperty'> {
  const header = args.get('hash-header')
  const property = args.get('hash-property')
  if (header !== undefined && property !== undefined) {
    throw preconditionFailed('hash-header and hash-property are mutually exclusive')
  }
  if (property !== undefined) {
    const known = typeof property === 'string' ? HASH_PROPERTIES.get(property) : undefined
    if (known === undefined) {
      const shown = typeof property === 'string' ? property : fieldTypeName(property)
      throw preconditionFailed(`Unsupported property: ${shown}`)
    }
    return { hashProperty: known }
  }
  return typeof header === 'string' ? { hashHeader: header } : {}
}
