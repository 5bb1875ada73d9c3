import type { Inbox, Session, VirtualHost } from '../../broker/index.ts'
import type { SubscribePacket, UnsubscribePacket } from '../../codec/mqtt/index.ts'
import type { ConnectionShared } from './connection-shared.ts'
import type { MqttConnection } from './connection.ts'
import { ProtocolFault } from './faults.ts'
import { SHARE_PREFIX } from './filter.ts'
import { Outbox } from './outbox.ts'
import { PublishPath } from './publish-path.ts'
import { Publisher } from './publisher.ts'
import { declareOwnQueue, packetIdQueueName, Subscriber } from './subscriber.ts'
import { Subscriptions } from './subscriptions.ts'

/** Who opens a session, and which. */
export interface SessionEntry {
  readonly vhost: VirtualHost
  readonly session: Session
  /** Whom to ask permissions for. */
  readonly principal: string
  readonly clientId: string
}

/** All there is once CONNECT was accepted: the session of a connection, and both its ways. */
export class OpenSession {
  readonly vhost: VirtualHost
  readonly session: Session
  readonly subscriptions: Subscriptions
  readonly outbox: Outbox
  readonly inbox: Inbox
  readonly subscriber: Subscriber
  readonly publishPath: PublishPath
  readonly #connection: MqttConnection
  readonly #shared: ConnectionShared

  constructor(connection: MqttConnection, shared: ConnectionShared, entry: SessionEntry) {
    const { vhost, session, principal, clientId } = entry
    const { random, users, sysTopics } = shared
    const { limits } = connection
    this.#connection = connection
    this.#shared = shared
    this.vhost = vhost
    this.session = session
    const subscriptions = new Subscriptions(limits.topicsCachedMax, (id) => vhost.form(id))
    const outbox = new Outbox(connection, subscriptions)
    const inbox = vhost.openInbox(`mqtt.${clientId}.${random.id()}`, outbox)
    this.subscriptions = subscriptions
    this.outbox = outbox
    this.inbox = inbox
    this.subscriber = new Subscriber({
      ...{ vhost, users, user: principal, session },
      ...{ subscriptions, outbox, inbox, limits, sysTopics },
    })
    const publisher = new Publisher(vhost, users, { user: principal, clientId })
    this.publishPath = new PublishPath(connection, publisher)
  }

  /** Takes up what its last connection left, as long as this one is there. */
  async resume(): Promise<void> {
    const { vhost, session, subscriber } = this
    const connection = this.#connection
    if (session.spec.durable) {
      const name = packetIdQueueName(session.name)
      await declareOwnQueue(vhost, name, { durable: true, autoDelete: false })
      if (!connection.isGone) await connection.packetIds.open(vhost, name)
    }
    if (!connection.isGone) await subscriber.resume()
  }

  /** The client has logged in again. */
  become(principal: string): void {
    this.publishPath.become(principal)
    this.subscriber.become(principal)
  }

  /** The reason codes for SUBACK, once all is stored; null: the connection has gone meanwhile. */
  async subscribe({ subscriptions, properties }: SubscribePacket): Promise<number[] | null> {
    const connection = this.#connection
    const identifier = properties.subscriptionIdentifiers?.[0] ?? 0
    const { userProperties = [] } = properties
    const reasonCodes: number[] = []
    for (const subscription of subscriptions) {
      if (subscription.noLocal && subscription.filter.startsWith(SHARE_PREFIX)) {
        throw new ProtocolFault('no local in a shared subscription')
      }
      const code = await this.subscriber.subscribe(subscription, identifier, userProperties)
      if (connection.isGone) return null
      reasonCodes.push(connection.version === 5 || code < 0x80 ? code : 0x80)
    }
    await this.subscriber.save()
    return connection.isGone ? null : reasonCodes
  }

  /** The same for UNSUBACK. */
  async unsubscribe({ filters }: UnsubscribePacket): Promise<number[] | null> {
    const reasonCodes: number[] = []
    for (const filter of filters) {
      reasonCodes.push(await this.subscriber.unsubscribe(filter))
      if (this.#connection.isGone) return null
    }
    await this.subscriber.save()
    return this.#connection.isGone ? null : reasonCodes
  }

  /** Nothing comes to the connection any more; who has the session next is not told here. */
  close(): void {
    this.#shared.sysTopics.unsubscribe(this.inbox)
    this.inbox.close()
    this.outbox.close(this.session.expiryMs > 0)
  }
}
