import { PUBLISH } from '../../broker/index.ts'
import { PACKET, type PublishView, REASON } from '../../codec/mqtt/index.ts'
import { BrokerError } from '../../model/errors.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import {
  delayMsOf,
  ORDER_PREFIX,
  SCHEDULE_HEADER,
  scheduleOrderOf,
} from '../../model/schedule-order.ts'
import { BytesCache } from './bytes-cache.ts'
import type { MqttConnection } from './connection.ts'
import { ProtocolFault } from './faults.ts'
import { ALIASED_BYTES_MAX } from './limits.ts'
import { headerSize, storedProperties, writeHeader } from './message-header.ts'
import { WAY } from './packet-ids.ts'
import { type Publisher, TopicSlot } from './publisher.ts'

const HEADER_BYTES_KEPT = 1024

/** Takes the PUBLISH packets of one client: alias, permission, QoS, and into the broker. */
export class PublishPath {
  readonly #connection: MqttConnection
  readonly #publisher: Publisher
  readonly #draft = new MessageDraft()
  readonly #slots: BytesCache<TopicSlot>
  readonly #aliases: Map<number, TopicSlot> = new Map()
  #aliasedBytes = 0
  #header: Buffer = Buffer.alloc(64)

  constructor(connection: MqttConnection, publisher: Publisher) {
    this.#connection = connection
    this.#publisher = publisher
    this.#slots = new BytesCache(connection.limits.topicsCachedMax)
    this.#draft.form = NATIVE_FORM.MQTT
    this.#draft.actor = connection.actor
  }

  /** The client has logged in again, and may do something else now. */
  become(principal: string): void {
    this.#publisher.become(principal)
    this.forget()
  }

  /** Permissions changed: everything is looked up again. */
  forget(): void {
    this.#slots.clear()
    for (const slot of this.#aliases.values()) slot.version = -1
  }

  publish(view: PublishView): void {
    const { packetId, qos } = view
    this.#require(view)
    const { acks, limits, packetIds, version } = this.#connection
    const slot = this.#slotOf(view)
    if (qos > 0) {
      if (qos === 2 && packetIds.has(WAY.IN, packetId)) {
        acks.add(PACKET.PUBREC, packetId, 0)
        return
      }
      const underWay = acks.publishCount + packetIds.count(WAY.IN)
      if (version === 5 && underWay >= limits.receiveMaximum) {
        const text = `more than ${limits.receiveMaximum} publishes that are not acknowledged`
        throw new ProtocolFault(text, REASON.RECEIVE_MAXIMUM_EXCEEDED)
      }
    }
    const reasonCode = slot === null ? REASON.TOPIC_NAME_INVALID : this.#publish(slot, view)
    this.#answer(view, reasonCode)
  }

  /** Sections 3.2.2.3.4 and 3.2.2.3.5, which older versions are held to unsaid. */
  #require({ qos, retain, payloadStart, payloadEnd }: PublishView): void {
    const { maximumQos, isRetainAvailable } = this.#connection.limits
    const sizeMax = this.#connection.flow?.messageSizeMax ?? Infinity
    const size = payloadEnd - payloadStart
    if (size > sizeMax) {
      const text = `message size ${size} is larger than configured max size ${sizeMax}`
      throw new ProtocolFault(text, REASON.PACKET_TOO_LARGE)
    }
    if (qos > maximumQos) {
      const text = `a publish with QoS ${qos}, ${maximumQos} is the highest`
      throw new ProtocolFault(text, REASON.QOS_NOT_SUPPORTED)
    }
    if (retain && !isRetainAvailable) {
      throw new ProtocolFault('nothing is retained here', REASON.RETAIN_NOT_SUPPORTED)
    }
  }

  #answer({ qos, packetId }: PublishView, reasonCode: number): void {
    if (qos === 0) return
    const { acks, version, log, name } = this.#connection
    if (reasonCode >= 0x80 && version !== 5) {
      // Older versions have no word for a refusal. As in mosquitto, what is not allowed is
      // acknowledged and dropped; what a full queue refuses stays the client's.
      log.warn({ connection: name, reasonCode }, 'a publish was refused')
      if (reasonCode === REASON.QUOTA_EXCEEDED) return
      acks.add(qos === 1 ? PACKET.PUBACK : PACKET.PUBREC, packetId, 0)
      return
    }
    const told = version === 5 ? reasonCode : 0
    acks.add(qos === 1 ? PACKET.PUBACK : PACKET.PUBREC, packetId, told)
  }

  /** A reason code as PUBACK has it. */
  #publish(slot: TopicSlot, view: PublishView): number {
    const refusal = this.#publisher.ensure(slot)
    if (refusal !== 0) return refusal
    const { broker, packetIds } = this.#connection
    const draft = this.#draft
    const { qos, packetId } = view
    this.#fill(view)
    draft.delayMs = 0
    draft.schedule = null
    if (mayOrder(view) && !this.#readOrder(view)) return REASON.IMPLEMENTATION_SPECIFIC_ERROR
    const isAtomic = qos === 2 && packetIds.isDurable
    if (isAtomic) broker.beginAtomic()
    this.#connection.isPublishing = true
    const result = this.#publisher.publish(slot, draft, view.retain)
    this.#connection.isPublishing = false
    if (result === PUBLISH.REJECTED) {
      if (isAtomic) broker.endAtomic()
      this.#connection.answers.explain(packetId, broker.flows.takeRefusal())
      return REASON.QUOTA_EXCEEDED
    }
    if (qos === 2) packetIds.add(WAY.IN, packetId)
    if (isAtomic) broker.endAtomic()
    return result === PUBLISH.UNROUTED ? REASON.NO_MATCHING_SUBSCRIBERS : REASON.SUCCESS
  }

  /** What user properties ask of the clock; false where that cannot be. */
  #readOrder(view: PublishView): boolean {
    const draft = this.#draft
    const { userProperties = [] } = view.properties()
    const valueOf = (name: string): string | undefined => {
      return userProperties.find(([known]) => known === name)?.[1]
    }
    try {
      draft.delayMs = delayMsOf(valueOf(SCHEDULE_HEADER.AFTER))
      draft.schedule = scheduleOrderOf(valueOf)
      if (draft.schedule !== null) this.#publisher.checkOrder(draft.schedule)
      return true
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      const { log, name } = this.#connection
      log.warn({ connection: name, err: error }, 'a publish was refused')
      return false
    }
  }

  #fill(view: PublishView): void {
    const draft = this.#draft
    const { qos, retain, expirySeconds } = view
    const properties = storedProperties(view)
    const parts = { qos, retain, publisher: this.#connection.publisherName }
    const size = headerSize(parts, properties)
    if (this.#header.length < size || this.#header.length > HEADER_BYTES_KEPT) {
      this.#header = Buffer.allocUnsafe(Math.max(size, 64))
    }
    const end = writeHeader(this.#header, parts, properties)
    draft.setHeader(this.#header, 0, end)
    draft.setBody(view.bytes, view.payloadStart, view.payloadEnd)
    draft.persistent = qos > 0
    draft.ttlMs = expirySeconds < 0 ? -1 : expirySeconds * 1000
  }

  /** null for a topic that cannot be one here. */
  #slotOf(view: PublishView): TopicSlot | null {
    const { bytes, topicStart, topicEnd, topicAlias } = view
    const { limits } = this.#connection
    if (topicAlias > limits.topicAliasMaximum) {
      const text = `the topic alias ${topicAlias}, ${limits.topicAliasMaximum} is the highest`
      throw new ProtocolFault(text, REASON.TOPIC_ALIAS_INVALID)
    }
    if (topicEnd === topicStart) {
      const slot = this.#aliases.get(topicAlias)
      if (slot === undefined) throw new ProtocolFault(`the topic alias ${topicAlias} means nothing`)
      return slot
    }
    let slot = this.#slots.get(bytes, topicStart, topicEnd)
    if (slot === undefined) {
      const made = this.#newSlot(view.topic())
      if (made === null) return null
      slot = made
      this.#slots.set(bytes, topicStart, topicEnd, slot)
    }
    if (topicAlias > 0) this.#setAlias(topicAlias, slot)
    return slot
  }

  #setAlias(alias: number, slot: TopicSlot): void {
    const before = this.#aliases.get(alias)
    const bytes = this.#aliasedBytes + slot.address.length - (before?.address.length ?? 0)
    if (bytes > ALIASED_BYTES_MAX) {
      const text = `topics with an alias of ${bytes} octets, ${ALIASED_BYTES_MAX} may be`
      throw new ProtocolFault(text, REASON.QUOTA_EXCEEDED)
    }
    this.#aliases.set(alias, slot)
    this.#aliasedBytes = bytes
  }

  #newSlot(topic: string): TopicSlot | null {
    if (topic.split('/').length > this.#connection.limits.levelsMax) return null
    return TopicSlot.of(topic)
  }
}

const ORDER_MARK = Buffer.from(ORDER_PREFIX)

/** HOT: a publish without properties is done here. */
function mayOrder({ bytes, propertiesStart, propertiesEnd }: PublishView): boolean {
  if (propertiesEnd - propertiesStart < ORDER_MARK.length) return false
  return bytes.subarray(propertiesStart, propertiesEnd).includes(ORDER_MARK)
}
