import type { ArgumentDialect, DestinationPolicy, DestinationSpec } from '../../broker/index.ts'
import type { FieldTable, FieldValue } from '../../codec/amqp091/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { AmqpError } from './errors.ts'
import {
  destinationSpecOf,
  FIXED_ARGUMENTS,
  takesArgument,
  typeOfDestination,
} from './queue-arguments.ts'

/** The arguments of RabbitMQ and our own beside them, where destinations are changed by others. */
export const AMQP091_ARGUMENTS: ArgumentDialect = {
  takes: (spec, key) => takesArgument(typeOfDestination(spec), key),
  isFixed: (key) => FIXED_ARGUMENTS.has(key),
  valueOf: (value) => value,
  settings: settingsOf,
}

function settingsOf(spec: DestinationSpec, vhost: string): DestinationPolicy {
  const type = typeOfDestination(spec)
  const args = new Map<string, FieldValue>([['x-queue-type', type]])
  for (const [key, value] of spec.arguments) {
    // Arguments are numbers, texts and switches; others have the same form in both.
    if (takesArgument(type, key) && !FIXED_ARGUMENTS.has(key)) args.set(key, value as FieldValue)
  }
  const { name, durable, autoDelete, exclusiveOwner } = spec
  const request = {
    name,
    vhost,
    durable,
    autoDelete,
    exclusiveOwner,
    arguments: args as FieldTable,
  }
  try {
    return destinationSpecOf(request).settings
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error
    throw new BrokerError('PRECONDITION_FAILED', error.message, { cause: error })
  }
}
