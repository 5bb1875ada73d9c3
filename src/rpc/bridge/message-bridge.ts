import type { Broker, VirtualHost } from '../../broker/index.ts'
import { MESSAGE_BYTES_MAX_DEFAULT } from '../../codec/rpc/index.ts'
import { DEADLINE_MS_MAX_DEFAULT } from '../call.ts'
import type { RpcCore } from '../core.ts'
import { MESSAGE_CALLS_MAX, QUEUE_CALLS_MAX } from '../limits.ts'
import type { BridgeLimits } from './limits.ts'
import { MessageCallers, type MessageRights } from './message-callers.ts'
import { QueueProviders } from './queue-providers.ts'

export interface MessageBridgeOptions {
  readonly broker: Broker
  readonly core: RpcCore
  readonly rights: MessageRights
  readonly limits?: Partial<BridgeLimits>
}

/**
 * Calls by messages, for whoever speaks a protocol of messages: in every virtual host they are made
 * by publishing to one exchange, and provided by consuming from a queue that is named for a service.
 */
export class MessageBridge {
  readonly #options: MessageBridgeOptions
  readonly #limits: BridgeLimits
  readonly #callers: Map<string, MessageCallers> = new Map()

  constructor(options: MessageBridgeOptions) {
    this.#options = options
    this.#limits = {
      messageBytesMax: MESSAGE_BYTES_MAX_DEFAULT,
      deadlineMsMax: DEADLINE_MS_MAX_DEFAULT,
      messageCallsMax: MESSAGE_CALLS_MAX,
      queueCallsMax: QUEUE_CALLS_MAX,
      ...options.limits,
    }
    options.broker.eachVhost((vhost) => this.#open(vhost))
  }

  /** Stops all timers; nothing is called any more. */
  close(): void {
    for (const callers of this.#callers.values()) callers.close()
  }

  #open(vhost: VirtualHost): void {
    const { core, rights } = this.#options
    const { registry, relay } = core.host(vhost.name)
    const { clock } = core
    // One of that name that was deleted may have been there.
    this.#callers.get(vhost.name)?.close()
    const limits = this.#limits
    const callers = new MessageCallers({ vhost, callee: relay, clock, rights, limits })
    this.#callers.set(vhost.name, callers)
    new QueueProviders({ vhost, registry, clock, limits })
  }
}
