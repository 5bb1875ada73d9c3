import type { Destination, DestinationSpec } from '../../broker/destination.ts'
import type { Exchange, ExchangeSpec } from '../../broker/exchange.ts'
import type { StoredMessage } from '../../broker/stored-message.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import type { HeaderMap, HeaderValue } from '../../model/header-value.ts'

export interface QueueTerms {
  readonly name: string
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly arguments: HeaderMap
  /** Of the virtual host, where the arguments name none; default: none. */
  readonly defaultType?: string | null
}

export interface ExchangeTerms extends QueueTerms {
  /** As clients write it: `x-consistent-hash`. */
  readonly type: string
  readonly internal: boolean
}

export interface PublishTerms {
  readonly exchange: Exchange
  readonly routingKey: string
  /** By the names of AMQP 0-9-1 with underscores, such as `content_type`. */
  readonly properties: HeaderMap
  readonly body: Buffer
  /** Whose name the property `user_id` may bear. */
  readonly user: { readonly name: string; readonly tags: readonly string[] }
}

/**
 * What RabbitMQ's management API says in the words of AMQP 0-9-1, which only that protocol knows:
 * the composition root hands its answers in. All refusals are `BrokerError`.
 */
export interface AmqpTerms {
  /** The RabbitMQ whose behaviour this follows; tools choose what they use by it. */
  readonly version: string
  readonly exchangeTypes: readonly string[]
  /** Refuses one that stands there and is not the same. */
  declareQueue(vhost: VirtualHost, terms: QueueTerms): Promise<Destination>
  declareExchange(vhost: VirtualHost, terms: ExchangeTerms): Promise<Exchange>
  queueType(spec: DestinationSpec): string
  exchangeType(spec: ExchangeSpec): string
  /** Whether a destination took it; stored when the turn's commit is. */
  publish(vhost: VirtualHost, terms: PublishTerms): boolean
  /** Properties as a client of AMQP 0-9-1 gets them, whichever protocol published the message. */
  properties(
    vhost: VirtualHost,
    message: StoredMessage,
    attempts: number,
  ): ReadonlyMap<string, HeaderValue>
}
