import type { AdminParts } from '../admin-parts.ts'
import type { AmqpTerms } from './amqp-terms.ts'
import type { RateBook } from './rate-book.ts'

/** What the routes of RabbitMQ's management API are built from. */
export interface RabbitParts extends AdminParts {
  readonly terms: AmqpTerms
  readonly rates: RateBook
}

/** This broker is a cluster of one. */
export const NODE = 'waystation@localhost'
