import {
  nameOfPrincipal,
  requirePermission,
  requireTopicPermission,
  type UserStore,
} from '../../auth/index.ts'
import type { Destination, Inbox, KeySharing, Session, VirtualHost } from '../../broker/index.ts'
import { REASON, type Subscription } from '../../codec/mqtt/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { headersIdentity, NO_HEADERS } from '../../model/header-value.ts'
import { parseFilter, TOPIC_EXCHANGE } from './filter.ts'
import { GroupCopies } from './group-copies.ts'
import { joinedGroup, leftGroup } from './group-members.ts'
import { KeptSubscriptions } from './kept-subscriptions.ts'
import { keySharingAsked } from './key-sharing.ts'
import { FILTERS_LENGTH_MAX, type MqttLimits } from './limits.ts'
import { argumentsOf, messageFilterOf, wantedOf } from './message-filter.ts'
import type { Outbox, Outlet } from './outbox.ts'
import { sendRetained } from './retained.ts'
import { SYS_LEVEL, type SysTopics } from './sys-topics.ts'
import { keyTextOfTopic } from './topic-key.ts'
import {
  type HeldSubscription,
  SingleMatching,
  type StoredSubscription,
  type Subscriptions,
} from './subscriptions.ts'

/** What the subscriptions of one connection need. */
export interface SubscriberParts {
  readonly vhost: VirtualHost
  readonly users: UserStore
  readonly user: string
  readonly session: Session
  readonly subscriptions: Subscriptions
  readonly outbox: Outbox
  readonly inbox: Inbox
  readonly limits: MqttLimits
  readonly sysTopics: SysTopics
}

/** What a session keeps of its own, as JSON. */
export interface SessionState {
  /** Changed by `KeptSubscriptions` only. */
  readonly subscriptions: readonly StoredSubscription[]
}

/** The name of the queue that holds what waits for a session. */
export function sessionQueueName(clientId: string): string {
  return `mqtt.${clientId}`
}

/** The name of the queue that holds the packet ids of a durable session. */
export function packetIdQueueName(clientId: string): string {
  return `mqtt.${clientId}.qos2`
}

/** A queue of this protocol's own: of a session, of a group. */
export async function declareOwnQueue(
  vhost: VirtualHost,
  name: string,
  {
    durable,
    autoDelete,
    keepsReturned = false,
    keyShared = null,
  }: {
    readonly durable: boolean
    readonly autoDelete: boolean
    readonly keepsReturned?: boolean
    readonly keyShared?: KeySharing | null
  },
): Promise<Destination> {
  return vhost.declareQueue({
    name,
    profile: 'queue',
    durable,
    autoDelete,
    exclusiveOwner: null,
    arguments: NO_HEADERS,
    settings: keyShared === null ? {} : { keyShared: true, keyHeader: keyShared.header },
    countsAttempts: false,
    prioritiesMax: 0,
    singleActive: false,
    keepsReturned,
  })
}

/**
 * Subscribes and unsubscribes one connected session.
 *
 * QoS 0 comes through an inbox and is never stored; QoS 1 and 2 through the session's queue, which
 * is bound to the topic exchange; a group's members share the queue of the group.
 */
export class Subscriber {
  readonly #parts: SubscriberParts
  /** Whom to ask permissions for. */
  #user: string
  /** Of groups and named destinations, by filter. */
  readonly #outlets: Map<string, Outlet> = new Map()
  #queueOutlet: Outlet | null = null
  #filtersLength = 0
  #refusal: string | null = null
  /** Subscriptions that what is retained is to be sent for. */
  #retained: HeldSubscription[] = []

  constructor(parts: SubscriberParts) {
    this.#parts = parts
    this.#user = parts.user
  }

  /** The client has logged in again; what it subscribed to stays. */
  become(principal: string): void {
    this.#user = principal
  }

  get #queueName(): string {
    return sessionQueueName(this.#parts.session.name)
  }

  /** Takes up what the session was subscribed to when its last connection ended. */
  async resume(): Promise<void> {
    const { session, vhost } = this.#parts
    const { subscriptions } = session.state as SessionState
    if (session.spec.durable) await this.#openQueue()
    for (const stored of subscriptions) {
      this.#filtersLength += lengthOf(stored)
      const parsed = parseFilter(stored.filter, this.#parts.limits.levelsMax)
      if (parsed === null) continue
      try {
        const held = { ...stored, parsed, messages: messageFilterOf(stored.wanted) }
        if (parsed.kind === 'topic') {
          this.#parts.subscriptions.set(held)
          if (held.qos === 0) this.#bindInbox(parsed.pattern)
        } else await this.#openOutlet(held)
      } catch (error) {
        vhost.log.warn({ err: error, filter: stored.filter }, 'a subscription cannot be taken up')
      }
    }
  }

  /** Stores what was subscribed and unsubscribed. */
  async save(): Promise<void> {
    const { session, vhost } = this.#parts
    await vhost.sessions.save(session)
  }

  /** The reason code for SUBACK; `save` is to follow. */
  async subscribe(
    asked: Subscription,
    identifier: number,
    userProperties: Parameters<typeof keySharingAsked>[0],
  ): Promise<number> {
    const { limits, subscriptions } = this.#parts
    const { filter, noLocal, retainAsPublished } = asked
    const parsed = parseFilter(filter, limits.levelsMax)
    if (parsed === null) return REASON.TOPIC_FILTER_INVALID
    const isNew = subscriptions.get(filter) === undefined && !this.#outlets.has(filter)
    const count = subscriptions.size + this.#outlets.size
    if (isNew && count >= limits.subscriptionsMax) return REASON.QUOTA_EXCEEDED
    let held: HeldSubscription
    try {
      const wanted = wantedOf(userProperties)
      const keyShared = parsed.kind === 'topic' ? undefined : keySharingAsked(userProperties)
      const isKeyed = keyShared ?? this.#parts.vhost.destination(filter)?.keySharing ?? null
      // A message of QoS 2 is its session's own from when it is sent, and no queue's to order.
      const qosMax = parsed.kind === 'shared' && isKeyed !== null ? 1 : limits.maximumQos
      const qos = Math.min(asked.qos, qosMax, limits.maximumQos) as 0 | 1 | 2
      const keys = keyShared === undefined ? {} : { keyShared }
      const messages = messageFilterOf(wanted)
      const filters = wanted === undefined ? {} : { wanted }
      held = {
        filter,
        qos,
        noLocal,
        retainAsPublished,
        identifier,
        parsed,
        messages,
        ...keys,
        ...filters,
      }
      if (isNew && this.#filtersLength + lengthOf(held) > FILTERS_LENGTH_MAX) {
        return REASON.QUOTA_EXCEEDED
      }
      this.#requireRead(held)
      if (parsed.kind === 'topic') await this.#subscribeTopic(held)
      else await this.#openOutlet(held)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      const user = nameOfPrincipal(this.#user)
      this.#parts.vhost.log.warn({ user, filter }, `a subscription was refused: ${error.message}`)
      if (SAID.has(error.code)) this.#refusal ??= error.message
      return REASONS[error.code] ?? REASON.UNSPECIFIED_ERROR
    }
    this.#keep(held, held.filter)
    if (limits.isRetainAvailable && wantsRetained(asked.retainHandling, isNew))
      this.#retained.push(held)
    return held.qos
  }

  /** Why the first of the subscriptions that were refused was, said once; null: none was. */
  takeRefusal(): string | null {
    const refusal = this.#refusal
    this.#refusal = null
    return refusal
  }

  /** After SUBACK: sends what is retained for the subscriptions it is about. */
  async sendRetained(): Promise<void> {
    const asked = this.#retained
    this.#retained = []
    const { vhost, inbox, sysTopics } = this.#parts
    for (const held of asked) {
      const { parsed } = held
      if (parsed.kind === 'topic' && parsed.levels[0] === SYS_LEVEL) {
        sysTopics.subscribe(vhost, inbox, parsed.levels)
      } else await sendRetained(this.#parts, held, this.#queueName)
    }
  }

  async unsubscribe(filter: string): Promise<number> {
    const { limits, subscriptions, outbox, inbox, vhost } = this.#parts
    const parsed = parseFilter(filter, limits.levelsMax)
    if (parsed === null) return REASON.TOPIC_FILTER_INVALID
    const outlet = this.#outlets.get(filter)
    const held = subscriptions.get(filter)
    if (outlet === undefined && held === undefined) return REASON.NO_SUBSCRIPTION_EXISTED
    this.#keep(null, filter)
    if (outlet !== undefined) {
      this.#outlets.delete(filter)
      outbox.remove(outlet)
      if (parsed.kind === 'shared' && this.#isHeld()) leaveGroup(vhost, filter)
    } else if (parsed.kind === 'topic' && held !== undefined) {
      subscriptions.delete(filter)
      if (held.qos === 0) inbox.unbind(vhost.exchange(TOPIC_EXCHANGE)!, parsed.pattern)
      else await this.#bindQueue(held, parsed.pattern, false)
    }
    return REASON.SUCCESS
  }

  async #subscribeTopic(held: HeldSubscription): Promise<void> {
    const { subscriptions, inbox, vhost } = this.#parts
    const { parsed } = held
    if (parsed.kind !== 'topic') return
    const before = subscriptions.get(held.filter)
    if (held.qos === 0) {
      this.#bindInbox(parsed.pattern)
      subscriptions.set(held)
      if (before !== undefined && before.qos > 0) {
        await this.#bindQueue(before, parsed.pattern, false)
      }
      return
    }
    await this.#openQueue()
    subscriptions.set(held)
    try {
      await this.#bindQueue(held, parsed.pattern, true)
    } catch (error) {
      if (before === undefined) subscriptions.delete(held.filter)
      else subscriptions.set(before)
      throw error
    }
    if (before !== undefined && before.qos > 0 && !isSameWanted(before, held)) {
      await this.#bindQueue(before, parsed.pattern, false)
    }
    if (before?.qos === 0) inbox.unbind(vhost.exchange(TOPIC_EXCHANGE)!, parsed.pattern)
  }

  #bindInbox(pattern: string): void {
    const { inbox, vhost } = this.#parts
    inbox.bind(vhost.exchange(TOPIC_EXCHANGE)!, pattern)
  }

  async #bindQueue({ wanted }: HeldSubscription, pattern: string, isBind: boolean): Promise<void> {
    const { vhost } = this.#parts
    const binding = {
      source: TOPIC_EXCHANGE,
      target: this.#queueName,
      targetKind: 'destination' as const,
      key: pattern,
      arguments: argumentsOf(wanted),
    }
    if (isBind) await vhost.bind(binding)
    else await vhost.unbind(binding)
  }

  async #openQueue(): Promise<void> {
    if (this.#queueOutlet !== null && !this.#queueOutlet.isGone) return
    const { vhost, session, outbox, subscriptions } = this.#parts
    const queue = await declareOwnQueue(vhost, this.#queueName, {
      durable: session.spec.durable,
      autoDelete: false,
      // Section 4.3.3: what was sent does not expire before its exchange is over.
      keepsReturned: true,
    })
    this.#queueOutlet = outbox.add({ destination: queue, matching: subscriptions }, session.name)
  }

  /** Replaces the one there is: its matching belongs to one subscription. */
  async #openOutlet(held: HeldSubscription): Promise<void> {
    const { outbox, limits, session, vhost } = this.#parts
    const { filter, parsed } = held
    const destination = await this.#destinationOf(held)
    const before = this.#outlets.get(filter)
    const parts = { destination, matching: new SingleMatching(held, limits.topicsCachedMax) }
    // A session that ends with its connection has nothing to come back to.
    const isKept =
      parsed.kind === 'shared' && session.spec.durable && destination.keySharing === null
    const keys = held.keyShared === undefined ? {} : { keyShared: held.keyShared }
    const copies = isKept ? { copies: new GroupCopies(vhost, this.#queueName, filter) } : {}
    const only = held.messages === null ? {} : { filter: held.messages }
    this.#outlets.set(filter, outbox.add({ ...parts, ...copies, ...keys, ...only }, session.name))
    if (before !== undefined) outbox.remove(before)
  }

  async #destinationOf({
    filter,
    parsed,
    keyShared = null,
  }: HeldSubscription): Promise<Destination> {
    const { vhost, session } = this.#parts
    if (parsed.kind === 'destination') {
      const destination = vhost.destination(parsed.name)
      if (destination !== undefined) return destination
      if (parsed.isMade) {
        return declareOwnQueue(vhost, parsed.name, { durable: false, autoDelete: true })
      }
      throw new BrokerError('NOT_FOUND', `no queue '${parsed.name}' in vhost '${vhost.name}'`)
    }
    const { durable } = session.spec
    // A group that only connected clients are in goes with the last of them.
    const queue =
      vhost.destination(filter) ??
      (await declareOwnQueue(vhost, filter, { durable, autoDelete: !durable, keyShared }))
    if (parsed.kind === 'shared') {
      await vhost.bind({
        source: TOPIC_EXCHANGE,
        target: queue.name,
        targetKind: 'destination',
        key: parsed.pattern,
        arguments: NO_HEADERS,
      })
    }
    return queue
  }

  #requireRead({ parsed }: HeldSubscription): void {
    const { users, vhost, session } = this.#parts
    const who = { user: this.#user, vhost: vhost.name, kind: 'read' } as const
    if (parsed.kind === 'destination') {
      requirePermission(users, { ...who, resource: 'queue', name: parsed.name })
      return
    }
    requirePermission(users, { ...who, resource: 'exchange', name: TOPIC_EXCHANGE })
    const clientId = keyTextOfTopic(session.name)
    const topic = { ...who, exchange: TOPIC_EXCHANGE, routingKey: parsed.pattern, clientId }
    requireTopicPermission(users, topic)
  }

  #keep(added: HeldSubscription | null, removed: string): void {
    const kept = keptOf(this.#parts.session)
    const gone = kept.take(removed)
    if (gone !== null) this.#filtersLength -= lengthOf(gone)
    if (added === null) return
    const { parsed, messages: _messages, ...stored } = added
    kept.add(stored)
    this.#filtersLength += lengthOf(stored)
    const { vhost } = this.#parts
    if (gone === null && parsed.kind === 'shared' && this.#isHeld())
      joinedGroup(vhost, stored.filter)
  }

  /** False: the session was ended meanwhile, and has left its groups. */
  #isHeld(): boolean {
    const { session, vhost } = this.#parts
    return vhost.sessions.get(session.name) === session
  }
}

function keptOf(session: Session): KeptSubscriptions {
  return KeptSubscriptions.of(session.state as SessionState)
}

/** What a session must keep of a subscription. */
function lengthOf({ filter, wanted = {} }: StoredSubscription): number {
  return Object.values(wanted).reduce((sum, { length }) => sum + length, filter.length)
}

function isSameWanted(
  { wanted: a }: StoredSubscription,
  { wanted: b }: StoredSubscription,
): boolean {
  return headersIdentity(argumentsOf(a)) === headersIdentity(argumentsOf(b))
}

/** The queue of a group goes with the last session that is a member. */
export function leaveGroup(vhost: VirtualHost, filter: string): void {
  if (!leftGroup(vhost, filter)) return
  const queue = vhost.destination(filter)
  if (queue !== undefined) vhost.deleteUnused(queue)
}

/** Reason codes of refusals; all others are unspecified. */
/** Refusals whose own words help whoever subscribed. */
const SAID: ReadonlySet<string> = new Set(['PRECONDITION_FAILED', 'LIMIT_EXCEEDED'])

const REASONS: Partial<Record<BrokerError['code'], number>> = {
  ACCESS_REFUSED: REASON.NOT_AUTHORIZED,
  PRECONDITION_FAILED: REASON.IMPLEMENTATION_SPECIFIC_ERROR,
  LIMIT_EXCEEDED: REASON.QUOTA_EXCEEDED,
}

function wantsRetained(handling: 0 | 1 | 2, isNew: boolean): boolean {
  return handling === 0 || (handling === 1 && isNew)
}
