import { requirePermission, requireTopicPermission, type UserStore } from '../../auth/index.ts'
import {
  type Exchange,
  PUBLISH,
  type PublishResult,
  type Route,
  type VirtualHost,
} from '../../broker/index.ts'
import { REASON } from '../../codec/mqtt/index.ts'
import { encodeAddress } from '../../model/address.ts'
import { BrokerError } from '../../model/errors.ts'
import type { MessageDraft } from '../../model/message-draft.ts'
import type { ScheduleOrder } from '../../model/schedule-order.ts'
import { keyTextOfTopic } from './topic-key.ts'
import { type PublishTarget, publishTargetOf, TOPIC_EXCHANGE } from './filter.ts'

/** What a topic means to a publisher; found again whenever the topology changes. */
export class TopicSlot {
  readonly topic: string
  readonly address: Buffer
  readonly exchangeName: string
  readonly key: string
  readonly delayMs: number
  exchange: Exchange | null = null
  route: Route | null = null
  /** Why nobody may publish there; 0: they may. */
  refusal = 0
  version = -1

  constructor(topic: string, { exchange, key, delayMs }: PublishTarget) {
    this.topic = topic
    this.address = encodeAddress(exchange, key)
    this.exchangeName = exchange
    this.key = key
    this.delayMs = delayMs
  }

  /** null for a topic that has no routing key. */
  static of(topic: string): TopicSlot | null {
    const target = publishTargetOf(topic)
    return target === null ? null : new TopicSlot(topic, target)
  }

  get isRetainable(): boolean {
    return this.exchangeName === TOPIC_EXCHANGE && this.delayMs === 0
  }
}

/** What no client may publish to: they mean something else. */
const OWN_TOPICS = /^\$(?:SYS|share)\//

/** Publishes for one user: permission, route, retained set. */
export class Publisher {
  readonly #vhost: VirtualHost
  readonly #users: UserStore
  #user: string
  /** As a word of a routing key. */
  readonly #clientId: string

  constructor(
    vhost: VirtualHost,
    users: UserStore,
    { user, clientId }: { readonly user: string; readonly clientId: string },
  ) {
    this.#vhost = vhost
    this.#users = users
    this.#user = user
    this.#clientId = keyTextOfTopic(clientId)
  }

  /** From now on it is another principal's doing; what was found must be forgotten. */
  become(user: string): void {
    this.#user = user
  }

  /** Finds what the slot means now; the reason code of a refusal, or 0. */
  ensure(slot: TopicSlot): number {
    if (slot.version !== this.#vhost.topologyVersion) this.#resolve(slot)
    return slot.refusal
  }

  /** After `ensure` said 0. A retained message is kept, an empty one ends what was kept. */
  publish(slot: TopicSlot, draft: MessageDraft, retain: boolean): PublishResult {
    draft.setAddress(slot.address, 0, slot.address.length)
    if (slot.delayMs > 0) draft.delayMs = slot.delayMs
    const isLater = draft.delayMs > 0 || draft.schedule !== null
    const isKept = retain && slot.isRetainable && !isLater
    if (isKept && !this.#retain(slot.key, draft)) return PUBLISH.REJECTED
    const result = this.#vhost.publish(slot.route!, draft)
    return isKept && result === PUBLISH.UNROUTED ? PUBLISH.ROUTED : result
  }

  /** Throws `BrokerError` where an order cannot be carried out. */
  checkOrder(order: ScheduleOrder): void {
    this.#vhost.schedules.check(order)
  }

  /** False when there are as many retained messages as there may be. */
  #retain(key: string, draft: MessageDraft): boolean {
    const { retained } = this.#vhost
    if (draft.bodyEnd === draft.bodyStart) {
      retained.clear(key)
      return true
    }
    try {
      retained.set(key, draft)
      return true
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'LIMIT_EXCEEDED') return false
      throw error
    }
  }

  #resolve(slot: TopicSlot): void {
    const { exchangeName, key } = slot
    const vhost = this.#vhost
    slot.version = vhost.topologyVersion
    slot.refusal = OWN_TOPICS.test(slot.topic) ? REASON.NOT_AUTHORIZED : 0
    const exchange = vhost.exchange(exchangeName)
    if (slot.refusal !== 0 || exchange === undefined) return
    try {
      const who = { user: this.#user, vhost: vhost.name, kind: 'write' } as const
      requirePermission(this.#users, { ...who, resource: 'exchange', name: exchangeName })
      if (exchangeName !== '') {
        requireTopicPermission(this.#users, {
          ...who,
          exchange: exchangeName,
          routingKey: key,
          clientId: this.#clientId,
        })
      }
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      slot.refusal = REASON.NOT_AUTHORIZED
      return
    }
    slot.exchange = exchange
    slot.route = vhost.route(exchange, key)
  }
}
