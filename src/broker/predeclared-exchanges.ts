import { NO_HEADERS } from '../model/header-value.ts'
import type { ExchangeSpec } from './exchange.ts'
import type { MatcherKind } from './routing/index.ts'

/** The exchanges that every virtual host has; their names are the ones clients expect. */
export const PREDECLARED_EXCHANGES: readonly ExchangeSpec[] = [
  predeclared('', 'direct'),
  predeclared('amq.direct', 'direct'),
  predeclared('amq.fanout', 'fanout'),
  predeclared('amq.topic', 'topic'),
  predeclared('amq.headers', 'headers'),
  predeclared('amq.match', 'headers'),
  { ...predeclared('amq.rabbitmq.trace', 'topic'), internal: true },
]

function predeclared(name: string, type: MatcherKind): ExchangeSpec {
  return {
    name,
    type,
    delayed: false,
    durable: true,
    autoDelete: false,
    internal: false,
    arguments: NO_HEADERS,
    alternateExchange: null,
  }
}
