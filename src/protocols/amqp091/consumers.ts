import type { Destination, Standing } from '../../broker/index.ts'
import type { Channel } from './channel.ts'
import type { AmqpConsumer, DeliveryOwner } from './consumer.ts'
import { preconditionFailed } from './errors.ts'
import { UnackedRing } from './unacked.ts'

/** How a delivery is settled. */
export const SETTLE: { readonly ACCEPT: 0; readonly REQUEUE: 1; readonly REJECT: 2 } = {
  ACCEPT: 0,
  REQUEUE: 1,
  REJECT: 2,
}
export type Settle = 0 | 1 | 2

/**
 * The consumers of one channel, what they were given and have not acknowledged, and their credit:
 * a prefetch count for each consumer, and one that all of them share.
 */
export class ChannelConsumers {
  readonly #channel: Channel
  readonly #byTag: Map<string, AmqpConsumer> = new Map()
  readonly #owners: (DeliveryOwner | null)[] = []
  readonly #freeIndexes: number[] = []
  readonly #getters: Map<Destination, DeliveryOwner> = new Map()
  readonly unacked: UnackedRing = new UnackedRing()
  /** Of basic.qos global=true; 0: no limit. */
  #sharedPrefetch = 0
  /** Deliveries to consumers that wait, which the shared prefetch counts. */
  #sharedCount = 0
  /** Consumers wait because the channel as a whole can take no more. */
  #isLimited = false

  constructor(channel: Channel) {
    this.#channel = channel
  }

  get count(): number {
    return this.#byTag.size
  }

  get sharedPrefetch(): number {
    return this.#sharedPrefetch
  }

  byTag(tag: string): AmqpConsumer | undefined {
    return this.#byTag.get(tag)
  }

  setSharedPrefetch(count: number): void {
    this.#sharedPrefetch = count
    this.refreshAll()
  }

  /** `consumer.handle` is set and still paused: it starts with `refresh`. */
  add(consumer: AmqpConsumer): void {
    consumer.index = this.#takeIndex(consumer)
    this.#byTag.set(consumer.tag, consumer)
  }

  /** False when there is no such consumer. Its unacknowledged deliveries stay the channel's. */
  cancel(tag: string): boolean {
    const consumer = this.#byTag.get(tag)
    if (consumer === undefined) return false
    this.#byTag.delete(tag)
    const handle = consumer.handle
    consumer.handle = null
    if (consumer.unacked === 0) this.#freeIndex(consumer)
    handle?.cancel()
    return true
  }

  /** The destination was deleted under the consumer. */
  destinationGone(consumer: AmqpConsumer): void {
    if (this.#byTag.get(consumer.tag) !== consumer) return
    this.#byTag.delete(consumer.tag)
    consumer.handle = null
    if (consumer.unacked === 0) this.#freeIndex(consumer)
    this.#channel.consumerLost(consumer.tag)
  }

  /** The owner that deliveries of basic.get from this destination have. */
  getterOf(destination: Destination): DeliveryOwner {
    const known = this.#getters.get(destination)
    if (known !== undefined) return known
    const owner: DeliveryOwner = {
      destination,
      isGetter: true,
      index: -1,
      unacked: 0,
      handle: null,
      isGone: false,
    }
    owner.index = this.#takeIndex(owner)
    this.#getters.set(destination, owner)
    return owner
  }

  /** HOT: a delivery that waits for its acknowledgement; the consumer counts its own. */
  delivered(owner: AmqpConsumer, deliveryTag: number, offset: number): void {
    const unacked = this.unacked
    unacked.push(deliveryTag, owner.index, offset)
    const shared = ++this.#sharedCount
    if (
      (this.#sharedPrefetch !== 0 && shared >= this.#sharedPrefetch) ||
      unacked.count >= this.#channel.connection.limits.unackedMax
    ) {
      this.#limit()
    }
  }

  gotten(owner: DeliveryOwner, deliveryTag: number, offset: number): void {
    owner.unacked++
    this.unacked.push(deliveryTag, owner.index, offset)
  }

  /** HOT: one delivery or all up to it; throws 406 for a tag that does not wait. */
  settle(deliveryTag: number, multiple: boolean, how: Settle): void {
    const unacked = this.unacked
    if (!multiple) {
      const slot = unacked.find(deliveryTag)
      if (slot === -1) throw unknownTag(deliveryTag)
      this.settleSlot(slot, how)
    } else if (deliveryTag === 0) this.#settleUpTo(Infinity, how)
    else {
      if (unacked.find(deliveryTag) === -1) throw unknownTag(deliveryTag)
      this.#settleUpTo(deliveryTag, how)
    }
    if (this.#isLimited) this.refreshAll()
  }

  /** basic.recover: everything goes back. */
  requeueAll(): void {
    this.#settleUpTo(Infinity, SETTLE.REQUEUE)
    if (this.#isLimited) this.refreshAll()
  }

  settleSlot(slot: number, how: Settle): void {
    const unacked = this.unacked
    const owner = this.#owners[unacked.ownerAt(slot)]!
    const offset = unacked.offsetAt(slot)
    unacked.remove(slot)
    owner.unacked--
    if (!owner.isGetter) this.#sharedCount--
    if (!owner.isGone) {
      const { destination } = owner
      if (how === SETTLE.ACCEPT) destination.accept(offset)
      else if (how === SETTLE.REQUEUE) destination.fail(offset)
      else destination.reject(offset)
    }
    const handle = owner.handle
    if (handle !== null) {
      if (!handle.ready && !this.#isLimited) this.refresh(owner as AmqpConsumer)
    } else if (owner.unacked === 0) this.#freeIndex(owner)
  }

  /** Lets a consumer go on or makes it wait, as its credit says. */
  refresh(consumer: AmqpConsumer): void {
    const handle = consumer.handle
    if (handle === null) return
    if (this.#canTake(consumer)) handle.resume()
    else handle.pause()
  }

  /** What it has and may have: by its own prefetch, that of the channel, or what one may hold. */
  standingOf({ unacked, prefetch, noAck }: AmqpConsumer): Standing {
    const { isOutputBlocked: isOutputFull, limits } = this.#channel.connection
    if (noAck) return { unsettled: 0, unsettledMax: 0, isOutputFull }
    if (prefetch > 0 && unacked >= prefetch) {
      return { unsettled: unacked, unsettledMax: prefetch, isOutputFull }
    }
    if (this.#sharedPrefetch > 0 && this.#sharedCount >= this.#sharedPrefetch) {
      const unsettledMax = this.#sharedPrefetch
      return { unsettled: this.#sharedCount, unsettledMax, isOutputFull }
    }
    const isFull = this.unacked.count >= limits.unackedMax
    if (isFull) {
      return { unsettled: this.unacked.count, unsettledMax: limits.unackedMax, isOutputFull }
    }
    return { unsettled: unacked, unsettledMax: prefetch, isOutputFull }
  }

  /** Whether a consumer has the message at that offset; looks at all that the channel has. */
  holds(consumer: AmqpConsumer, offset: number): boolean {
    const { unacked } = this
    for (let slot = unacked.first(); slot !== -1; slot = unacked.after(slot)) {
      if (unacked.offsetAt(slot) === offset && unacked.ownerAt(slot) === consumer.index) return true
    }
    return false
  }

  refreshAll(): void {
    this.#isLimited = this.#isFull()
    for (const consumer of this.#byTag.values()) this.refresh(consumer)
  }

  pauseAll(): void {
    for (const consumer of this.#byTag.values()) consumer.handle?.pause()
  }

  /** The channel is over: no more deliveries, and what was not acknowledged goes back. */
  close(isCounted: boolean): void {
    // Before the consumers go: the last one may take an auto-delete queue with it.
    this.pauseAll()
    const owners = this.#owners.slice()
    this.unacked.drain((index, offset) => {
      const owner = owners[index]!
      if (owner.isGone) return
      if (isCounted) owner.destination.fail(offset)
      else owner.destination.release(offset)
    })
    const consumers = [...this.#byTag.values()]
    this.#byTag.clear()
    this.#getters.clear()
    this.#owners.length = 0
    this.#freeIndexes.length = 0
    this.#sharedCount = 0
    for (const consumer of consumers) {
      const handle = consumer.handle
      consumer.handle = null
      handle?.cancel()
    }
  }

  #settleUpTo(deliveryTag: number, how: Settle): void {
    const unacked = this.unacked
    let slot = unacked.first()
    while (slot !== -1 && unacked.tagAt(slot) <= deliveryTag) {
      this.settleSlot(slot, how)
      slot = unacked.after(slot)
    }
  }

  #canTake(consumer: AmqpConsumer): boolean {
    if (this.#channel.connection.isOutputBlocked) return false
    if (consumer.noAck) return true
    return (consumer.prefetch === 0 || consumer.unacked < consumer.prefetch) && !this.#isFull()
  }

  #isFull(): boolean {
    if (this.unacked.count >= this.#channel.connection.limits.unackedMax) return true
    return this.#sharedPrefetch !== 0 && this.#sharedCount >= this.#sharedPrefetch
  }

  #limit(): void {
    this.#isLimited = true
    for (const consumer of this.#byTag.values()) {
      if (!consumer.noAck) consumer.handle?.pause()
    }
  }

  #takeIndex(owner: DeliveryOwner): number {
    const index = this.#freeIndexes.pop() ?? this.#owners.length
    this.#owners[index] = owner
    return index
  }

  #freeIndex(owner: DeliveryOwner): void {
    this.#owners[owner.index] = null
    this.#freeIndexes.push(owner.index)
    if (owner.isGetter) this.#getters.delete(owner.destination)
  }
}

export function unknownTag(deliveryTag: number): Error {
  return preconditionFailed(`unknown delivery tag ${deliveryTag}`)
}
