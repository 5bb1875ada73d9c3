import { NO_HEADERS } from '../model/header-value.ts'
import type { ExchangeSpec } from './exchange.ts'
import type { MatcherKind } from './routing/index.ts'

/** Calls are published to it: what takes them is a part of the broker. */
export const CALL_EXCHANGE = 'amq.rpc' as const

/** The exchanges that every virtual host has; their names are the ones clients expect. */
export const PREDECLARED_EXCHANGES: readonly ExchangeSpec[] = [
  predeclared('', 'direct'),
  predeclared('amq.direct', 'direct'),
  predeclared('amq.fanout', 'fanout'),
  predeclared('amq.topic', 'topic'),
  predeclared('amq.headers', 'headers'),
  predeclared('amq.match', 'headers'),
  { ...predeclared('amq.rabbitmq.trace', 'topic'), internal: true },
  predeclared(CALL_EXCHANGE, 'topic'),
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
