import {
  type Consumer,
  type DeliverySink,
  type Destination,
  type Flow,
  type InboxSink,
  type KeySharing,
  type MessageFilter,
  Queue,
  type Standing,
  type StoredMessage,
} from '../../broker/index.ts'
import {
  PACKET,
  type PublishOut,
  publishSize,
  type Version,
  writePublishHead,
} from '../../codec/mqtt/index.ts'
import type { Actor } from '../../model/actor.ts'
import { NATIVE_FORM, type NativeForm } from '../../model/native-form.ts'
import type { OutputBuffer } from '../../net/index.ts'
import { ProtocolFault } from './faults.ts'
import type { GroupCopies } from './group-copies.ts'
import {
  flagsOf,
  groupOf,
  HEADER,
  isPublishedBy,
  patchExpiry,
  propertiesStart,
} from './message-header.ts'
import { ALIASED_BYTES_MAX } from './limits.ts'
import { foreignPropertiesOf } from './mapping.ts'
import { type PacketIds, WAY } from './packet-ids.ts'
import type { StoredFirst } from './stored-first.ts'
import { storyOf } from './story.ts'
import { type Match, matchOfEnded, type Matching } from './subscriptions.ts'

/** What the client said it can take, and how to reach it. */
export interface OutboxPeer {
  readonly version: Version
  readonly output: OutputBuffer
  readonly clientId: Buffer
  readonly actor: Actor
  /** Messages of QoS 1 and 2 under way at once. */
  readonly inFlightMax: number
  /** Octets of the largest packet it takes. */
  readonly packetSizeMax: number
  readonly topicAliasMax: number
  /** Bytes it does not read; beyond it QoS 0 is dropped. */
  readonly outputBytesMax: number
  readonly packetIds: PacketIds
  readonly storedFirst: StoredFirst
  /** This client's own publish is being routed. */
  readonly isPublishing: boolean
  /** Its limits. */
  readonly flow: Flow | null
  now(): number
  /** How to read the header of a message; undefined: nobody here knows. */
  form(id: number): NativeForm | undefined
  requestOutput(): void
  sendAck(type: 6, packetId: number, reasonCode: number): void
  /** Sends a PUBREL when what this turn brought is stored. */
  releaseAfterCommit(packetId: number): void
  beginAtomic(): void
  endAtomic(): void
}

/** A message of QoS 1 or 2 that the client has not acknowledged. */
interface Flight {
  readonly outlet: Outlet
  readonly offset: number
  readonly qos: 1 | 2
}

type Draft = { -readonly [Key in keyof PublishOut]: PublishOut[Key] }

const NOTHING: Buffer = Buffer.alloc(0)
const EXPIRY_MS = 1000
const PACKET_IDS = 65_535
const TOPIC_ALIAS_ID = 0x23

/** What an outlet takes from, and what its messages mean. */
export interface OutletParts {
  readonly destination: Destination
  readonly matching: Matching
  readonly copies?: GroupCopies
  /** Order by key, where the client asks for it. */
  readonly keyShared?: KeySharing | null
  /** What the client wants of it; the rest stays there for others. */
  readonly filter?: MessageFilter
}

/** A queue that one client takes messages from: its session's, a group's, one it named. */
export class Outlet implements DeliverySink {
  readonly destination: Destination
  readonly matching: Matching
  /** Where messages of QoS 2 go that only this session may have from now on; null: nowhere. */
  readonly copies: GroupCopies | null
  handle: Consumer | null = null
  /** The destination is deleted: there is nothing left to settle. */
  isGone = false
  readonly #outbox: Outbox

  constructor(outbox: Outbox, { destination, matching, copies }: OutletParts) {
    this.#outbox = outbox
    this.destination = destination
    this.matching = matching
    this.copies = copies ?? null
  }

  deliver(
    consumer: Consumer,
    message: StoredMessage,
    offset: number,
    redelivered: boolean,
    attempts: number,
  ): void {
    this.#outbox.deliver(this, consumer, message, { offset, redelivered, attempts })
  }

  standing(): Standing {
    return this.#outbox.standing
  }

  holds(offset: number): boolean {
    return this.#outbox.holds(this, offset)
  }

  cancelled(): void {
    this.isGone = true
    this.handle = null
    this.#outbox.remove(this)
  }
}

/**
 * Messages on their way to one client: writes them, counts those it must acknowledge, and lets
 * the queues wait while it has enough.
 *
 * The packet id of a message is made from its offset in the store, so it is the same whenever the
 * message is sent again, also after a restart. Two messages may share one: the second waits.
 */
export class Outbox implements InboxSink {
  /** Properties of other protocols' messages that deliveries marked or left out. */
  lostCount = 0
  readonly #peer: OutboxPeer
  readonly #topics: Matching
  readonly #outlets: Set<Outlet> = new Set()
  readonly #flights: Map<number, Flight> = new Map()
  /** Offsets that were put back unsent, because their packet id was taken. */
  readonly #unsent: Set<number> = new Set()
  /** Messages of groups that were put into the session's queue and have not come out of it. */
  #copiedCount = 0
  readonly #aliases: Map<string, number> = new Map()
  #aliasedBytes = 0
  readonly #out: Draft
  /** Who waits for the client to read. */
  #waiting: (() => void)[] = []
  #isOpen = false
  /** Some queue waits for the client: what it acknowledges may let the queue go on. */
  #isHeldBack = true
  deliveredCount = 0
  /** Of QoS 0, because the client does not read. */
  droppedCount = 0

  /** `topics`: what the session is subscribed to. */
  constructor(peer: OutboxPeer, topics: Matching) {
    this.#peer = peer
    this.#topics = topics
    this.#out = {
      version: peer.version,
      dup: false,
      qos: 0,
      retain: false,
      packetId: 0,
      topic: NOTHING,
      properties: NOTHING,
      payloadBytes: 0,
    }
  }

  /** Between CONNACK and the end of the connection. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** The client does not read what was written. */
  get isBlocked(): boolean {
    return this.#peer.output.blocked
  }

  get outletCount(): number {
    return this.#outlets.size
  }

  /** Takes from `destination`, once the outbox is open. */
  add(parts: OutletParts, tag: string): Outlet {
    const { destination, keyShared } = parts
    const outlet = new Outlet(this, parts)
    outlet.handle = destination.consume({
      sink: outlet,
      tag,
      noAck: false,
      exclusive: false,
      priority: 0,
      owner: this.#peer,
      actor: this.#peer.actor,
      arguments: new Map(),
      ...(keyShared === undefined ? {} : { keyShared }),
      ...(this.#peer.flow === null ? {} : { flow: this.#peer.flow }),
      ...(parts.filter === undefined ? {} : { filter: parts.filter }),
      ...(destination.profile === 'topic' ? { startAt: { kind: 'next' } } : {}),
    })
    this.#outlets.add(outlet)
    this.refresh()
    return outlet
  }

  /** What is under way from it stays to be acknowledged. */
  remove(outlet: Outlet): void {
    if (!this.#outlets.delete(outlet)) return
    const { handle } = outlet
    outlet.handle = null
    handle?.cancel()
  }

  /** CONNACK is sent: messages may go out, after what a former connection left open. */
  open(): void {
    this.#isOpen = true
    for (const packetId of this.#peer.packetIds.list(WAY.OUT)) {
      this.#peer.sendAck(PACKET.PUBREL, packetId, 0)
    }
    this.refresh()
  }

  /** Of all its queues together: the client's receive maximum is one for all of them. */
  get standing(): Standing {
    const isOutputFull = this.#isBlocked
    return { unsettled: this.#underWayCount, unsettledMax: this.#peer.inFlightMax, isOutputFull }
  }

  holds(outlet: Outlet, offset: number): boolean {
    const flight = this.#flights.get((offset % PACKET_IDS) + 1)
    return flight?.outlet === outlet && flight.offset === offset
  }

  /** Lets the queues go on or makes them wait, as the client's credit says. */
  refresh(): void {
    const canTake = this.#isOpen && !this.#isBlocked && !this.#isFull
    const canCopy = canTake && !this.#isFullOfCopies
    this.#isHeldBack = !canCopy
    for (const { handle, copies } of this.#outlets) {
      if (copies === null ? canTake : canCopy) handle?.resume()
      else handle?.pause()
    }
    if (this.#waiting.length > 0 && !this.#peer.output.blocked) this.#wakeWaiting()
  }

  #wakeWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  /** The client does not read, or too much waits for the disk. */
  get #isBlocked(): boolean {
    const { output, storedFirst, outputBytesMax } = this.#peer
    return output.blocked || storedFirst.bytes > outputBytesMax
  }

  get #isFull(): boolean {
    return this.#underWayCount >= this.#peer.inFlightMax
  }

  get #isFullOfCopies(): boolean {
    return this.#underWayCount + this.#copiedCount >= this.#peer.inFlightMax
  }

  get #underWayCount(): number {
    return this.#flights.size + this.#peer.packetIds.count(WAY.OUT)
  }

  /** HOT: an inbox hands a message over while it is published: QoS 0, now or never. */
  deliverDirect(message: StoredMessage): void {
    const peer = this.#peer
    const found = this.#topics.find(message)
    const match = found !== null && peer.isPublishing ? found.own : found
    if (match === null) return
    const isForThisOne = (flagsOf(message) & HEADER.RETAINED_COPY) !== 0
    // What a subscription of higher QoS finds comes through the session's queue.
    if (match.qos > 0 && !isForThisOne) return
    if (peer.output.blocked && peer.output.pendingBytes > peer.outputBytesMax) {
      this.droppedCount++
      return
    }
    this.#write(message, match, { qos: 0, packetId: 0, dup: false })
  }

  /** A retained message for a new subscription, as QoS 0. */
  deliverRetained(message: StoredMessage): void {
    const match = this.#topics.find(message)
    if (match === null) return
    this.#write(message, match, { qos: 0, packetId: 0, dup: false, isRetained: true })
  }

  /** Resolves when the client has read what was written, or has gone. */
  async drained(): Promise<void> {
    if (!this.#peer.output.blocked) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push(resolve)
    await promise
  }

  deliver(
    outlet: Outlet,
    consumer: Consumer,
    message: StoredMessage,
    how: { readonly offset: number; readonly redelivered: boolean; readonly attempts: number },
  ): void {
    const { destination } = outlet
    const { offset, redelivered, attempts } = how
    const peer = this.#peer
    const match = this.#matchIn(outlet, message, redelivered && !this.#unsent.has(offset))
    if (match === null) {
      destination.accept(offset)
      return
    }
    const published = (flagsOf(message) & HEADER.QOS) >> 1
    const qos = (published < match.qos ? published : match.qos) as 0 | 1 | 2
    if (qos === 0) {
      this.#write(message, match, { qos, packetId: 0, dup: false, attempts })
      destination.accept(offset)
    } else if (qos === 2 && outlet.copies !== null && this.#copy(outlet, message, offset)) {
      if (this.#isFullOfCopies) this.refresh()
    } else {
      const packetId = (offset % PACKET_IDS) + 1
      if (this.#flights.has(packetId) || peer.packetIds.has(WAY.OUT, packetId)) {
        this.#putBack(outlet, consumer, offset)
        return
      }
      const dup = redelivered && !this.#unsent.delete(offset)
      if (!this.#write(message, match, { qos, packetId, dup, attempts })) {
        destination.accept(offset)
        return
      }
      this.#flights.set(packetId, { outlet, offset, qos })
      if (this.#isFull) this.refresh()
    }
    if (this.#isBlocked) this.refresh()
  }

  /** What a message of a queue means; null: nothing (any more). */
  #matchIn(outlet: Outlet, message: StoredMessage, wasSent: boolean): Match | null {
    const match = this.#matchOfGroup(message) ?? outlet.matching.find(message)
    // Section 3.10.4: what was begun is finished, though nobody is subscribed any more.
    if (match === null) return wasSent ? matchOfEnded(message) : null
    if (match.own === match || !isPublishedBy(message, this.#peer.clientId)) return match
    // As QoS 0 it was handed over while it was published.
    return match.own === null || match.own.qos === 0 ? null : match.own
  }

  #matchOfGroup(message: StoredMessage): Match | null {
    const filter = groupOf(message)
    if (filter === null) return null
    if (this.#copiedCount > 0) this.#copiedCount--
    for (const { copies, matching } of this.#outlets) {
      if (copies?.filter === filter) return matching.find(message) ?? matchOfEnded(message)
    }
    return matchOfEnded(message)
  }

  /** Into the session's queue, whence it is sent; false when that takes no more. */
  #copy({ copies, destination }: Outlet, message: StoredMessage, offset: number): boolean {
    const peer = this.#peer
    // It may be sent before `put` returns.
    this.#copiedCount++
    peer.beginAtomic()
    const trace = destination instanceof Queue ? destination.trace.of(offset) : 0
    const isTaken = copies!.put(message, trace)
    if (isTaken) destination.accept(offset)
    else this.#copiedCount--
    peer.endAtomic()
    return isTaken
  }

  /** PUBACK, PUBREC or PUBCOMP of the client. */
  acknowledged(
    type: 4 | 5 | 7,
    packetId: number,
    { reasonCode, reason }: { readonly reasonCode: number; readonly reason: string | null },
  ): void {
    if (type === PACKET.PUBCOMP) {
      if (this.#flights.has(packetId)) throw new ProtocolFault('a PUBCOMP without a PUBREL')
      if (this.#peer.packetIds.remove(WAY.OUT, packetId)) this.refresh()
      return
    }
    const flight = this.#flights.get(packetId)
    if (flight === undefined) {
      if (type === PACKET.PUBACK && this.#peer.packetIds.has(WAY.OUT, packetId)) {
        throw new ProtocolFault('a PUBACK for QoS 2')
      }
      if (type === PACKET.PUBREC && reasonCode < 0x80) this.#releaseUnknown(packetId)
      return
    }
    if (flight.qos !== (type === PACKET.PUBACK ? 1 : 2)) {
      throw new ProtocolFault(`an acknowledgement of type ${type} for QoS ${flight.qos}`)
    }
    this.#flights.delete(packetId)
    if (reasonCode >= 0x80) this.#refused(flight, reason ?? `reason code ${reasonCode}`)
    else if (type === PACKET.PUBACK) this.#accept(flight)
    else this.#release(flight, packetId)
    if (this.#isHeldBack) this.refresh()
  }

  /** The connection is over: what was not acknowledged goes back to where it came from. */
  close(isSessionKept: boolean): void {
    this.#isOpen = false
    for (const { handle } of this.#outlets) handle?.pause()
    for (const { outlet, offset, qos } of this.#flights.values()) {
      if (outlet.isGone) continue
      // Section 4.8.2: a QoS 2 message that went to one member of a group goes to no other.
      if (qos === 2 && !isSessionKept) outlet.destination.accept(offset)
      else outlet.destination.release(offset)
    }
    this.#flights.clear()
    for (const outlet of Array.from(this.#outlets)) this.remove(outlet)
    this.#wakeWaiting()
  }

  /**
   * Section 4.4: this exchange is over, and the client will not have the message again. Unless its
   * queue retries: then it comes later, as another one.
   */
  #refused({ outlet: { destination, isGone }, offset }: Flight, error: string): void {
    if (isGone) return
    if (destination.retries) destination.fail(offset, error)
    else destination.reject(offset, error)
  }

  #accept({ outlet, offset }: Flight): void {
    if (!outlet.isGone) outlet.destination.accept(offset)
  }

  /** The client has the message: it is settled, and its id is remembered, in one commit. */
  #release(flight: Flight, packetId: number): void {
    const peer = this.#peer
    if (!peer.packetIds.isDurable) {
      this.#accept(flight)
      peer.packetIds.add(WAY.OUT, packetId)
      peer.sendAck(PACKET.PUBREL, packetId, 0)
      return
    }
    peer.beginAtomic()
    this.#accept(flight)
    peer.packetIds.add(WAY.OUT, packetId)
    peer.endAtomic()
    peer.releaseAfterCommit(packetId)
  }

  #releaseUnknown(packetId: number): void {
    const peer = this.#peer
    const isKnown = peer.packetIds.has(WAY.OUT, packetId)
    peer.sendAck(PACKET.PUBREL, packetId, isKnown ? 0 : 0x92)
  }

  #putBack(outlet: Outlet, consumer: Consumer, offset: number): void {
    consumer.pause()
    this.#isHeldBack = true
    this.#unsent.add(offset)
    outlet.destination.release(offset)
  }

  /** False when it is larger than the client takes: then it is as if it had been sent. */
  #write(
    message: StoredMessage,
    match: Match,
    how: {
      readonly qos: 0 | 1 | 2
      readonly packetId: number
      readonly dup: boolean
      readonly isRetained?: boolean
      readonly attempts?: number
    },
  ): boolean {
    const peer = this.#peer
    const out = this.#out
    const flags = flagsOf(message)
    const waits = how.qos === 2 && peer.packetIds.isDurable
    const isRetain = match.retainAsPublished && (flags & HEADER.RETAIN) !== 0
    out.qos = how.qos
    out.packetId = how.packetId
    out.dup = how.dup
    out.retain = how.isRetained === true || isRetain || (flags & HEADER.RETAINED_COPY) !== 0
    out.topic = match.topic
    out.payloadBytes = message.bodyEnd - message.bodyStart
    if (peer.version === 5) {
      out.properties = this.#properties(message, match)
      const attempts = how.attempts ?? 0
      if (attempts > 0 || message.annotations !== null) this.#tell(message, attempts)
      if (match.alias > 0 || peer.topicAliasMax > 0) this.#useAlias(match, !waits)
    }
    const size = publishSize(out)
    if (size > peer.packetSizeMax) return false
    this.deliveredCount++
    if (waits) {
      const packet = Buffer.allocUnsafe(size)
      const bodyAt = writePublishHead(packet, 0, out)
      message.data.copy(packet, bodyAt, message.bodyStart, message.bodyEnd)
      peer.storedFirst.add(packet)
      return true
    }
    const { output } = peer
    const at = output.reserve(size)
    const { buffer } = output
    const bodyAt = writePublishHead(buffer, at, out)
    message.data.copy(buffer, bodyAt, message.bodyStart, message.bodyEnd)
    output.at = at + size
    peer.requestOutput()
    return true
  }

  #properties(message: StoredMessage, match: Match): Buffer {
    const { data, headerStart, headerEnd, expiresAtMs } = message
    let properties =
      message.form === NATIVE_FORM.MQTT
        ? data.subarray(propertiesStart(data, headerStart), headerEnd)
        : this.#foreignProperties(message)
    if (expiresAtMs !== 0) {
      properties = Buffer.from(properties)
      const leftMs = Math.max(expiresAtMs - this.#peer.now(), 0)
      patchExpiry(properties, Math.ceil(leftMs / EXPIRY_MS))
    }
    if (match.identifiers.length === 0) return properties
    return Buffer.concat([properties, match.identifiers])
  }

  /** Adds what became of the message before. */
  #tell(message: StoredMessage, attempts: number): void {
    const story = storyOf(message, attempts)
    if (story.length > 0) this.#out.properties = Buffer.concat([this.#out.properties, story])
  }

  /** Of a message that another protocol published; docs/crossing.md. */
  #foreignProperties({ form, data, headerStart, headerEnd }: StoredMessage): Buffer {
    const range = { header: data, start: headerStart, end: headerEnd }
    const peer = this.#peer
    const { properties, lost } = foreignPropertiesOf(peer.form(form), range, peer.version)
    this.lostCount += lost
    return properties
  }

  /**
   * Section 3.3.2.3.4: a topic is written out once and then by its number. A packet that others
   * may overtake gives no number a meaning.
   */
  #useAlias(match: Match, mayDefine: boolean): void {
    const out = this.#out
    const name = match.alias === 0 ? match.topic.toString('latin1') : ''
    const known = match.alias === 0 ? this.#aliases.get(name) : match.alias
    let alias = known ?? 0
    if (alias === 0) {
      if (!mayDefine || this.#aliases.size >= this.#peer.topicAliasMax) return
      if (this.#aliasedBytes + match.topic.length > ALIASED_BYTES_MAX) return
      alias = this.#aliases.size + 1
    }
    const withAlias = Buffer.concat([
      out.properties,
      Buffer.of(TOPIC_ALIAS_ID, alias >> 8, alias & 0xff),
    ])
    const before = out.properties
    out.properties = withAlias
    if (known !== undefined) out.topic = NOTHING
    else if (publishSize(out) > this.#peer.packetSizeMax) {
      // It will not be sent, so the client would not learn what the number means.
      out.properties = before
      return
    } else {
      this.#aliases.set(name, alias)
      this.#aliasedBytes += match.topic.length
    }
    match.alias = alias
  }
}
