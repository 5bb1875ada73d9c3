import { BrokerError } from '../../model/errors.ts'
import type { BrokerLimits } from '../limits.ts'
import { LeaseRanges } from './lease-ranges.ts'
import { SharedPartition, type SharedParts, type SharingOptions } from './shared-partition.ts'
import type { PartitionPlace } from './subscription.ts'
import { placeKey } from './transaction.ts'

/** Named read state of kind `shared`: its members compete for the messages of partitions. */
export class SharedSubscription {
  readonly kind = 'shared'
  readonly name: string
  /** As the protocol told it; 0 after a restart. */
  memberCount = 0
  /** May be changed at any time; goes for what is given out from then on. */
  options: SharingOptions
  /** By `placeKey`. */
  readonly #partitions: Map<string, SharedPartition> = new Map()

  constructor(name: string, options: SharingOptions) {
    this.name = name
    this.options = options
  }

  get count(): number {
    return this.#partitions.size
  }

  partition(place: PartitionPlace): SharedPartition | undefined {
    return this.#partitions.get(placeKey(place))
  }

  partitions(): Iterable<SharedPartition> {
    return this.#partitions.values()
  }

  /** For `SharedSubscriptions` only. */
  put(partition: SharedPartition): void {
    const { topicId, index } = partition
    this.#partitions.set(placeKey({ topicId, partition: index }), partition)
  }

  /** For `SharedSubscriptions` only. */
  remove(place: PartitionPlace): SharedPartition | undefined {
    const partition = this.partition(place)
    this.#partitions.delete(placeKey(place))
    return partition
  }
}

/** The shared subscriptions of one virtual host; kept in the state table until they are deleted. */
export class SharedSubscriptions {
  readonly #prefix: string
  readonly #parts: SharedParts & { readonly limits: BrokerLimits }
  readonly #byName: Map<string, SharedSubscription> = new Map()
  #partitionCount = 0

  /** `id` is a number of the virtual host that no other has or had. */
  constructor(id: number, parts: SharedParts & { readonly limits: BrokerLimits }) {
    this.#prefix = `shared/${id}/`
    this.#parts = parts
  }

  /** Those that have a partition or a member. */
  list(): Iterable<SharedSubscription> {
    return this.#byName.values()
  }

  find(name: string): SharedSubscription | undefined {
    return this.#byName.get(name)
  }

  /** How many share it now; one that has members is there, whether they read yet or not. */
  setMembers(name: string, count: number): void {
    if ((this.#byName.get(name)?.memberCount ?? 0) === count) return
    const subscription = this.#open(name)
    subscription.memberCount = count
    this.#closeUnused(subscription)
  }

  /**
   * The partition as it is shared, from `startOffset` on where it was not shared before; that is
   * stored and synced with the commit of this turn. Throws `LIMIT_EXCEEDED`.
   */
  openPartition(name: string, place: PartitionPlace, startOffset: number): SharedPartition {
    const known = this.#byName.get(name)?.partition(place)
    if (known !== undefined) return known
    const { sharedPartitionCountMax, subscriptionNameBytesMax } = this.#parts.limits
    if (this.#partitionCount >= sharedPartitionCountMax) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `${this.#partitionCount} partitions are shared, which is the limit`,
      )
    }
    const nameBytes = Buffer.byteLength(name)
    if (nameBytes > subscriptionNameBytesMax) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `the name of a subscription has ${nameBytes} bytes, above the limit of ${subscriptionNameBytesMax}`,
      )
    }
    const partition = this.#add(name, place, new LeaseRanges(startOffset))
    partition.store()
    return partition
  }

  /** Forgets what was settled of partitions, synced with the commit of this turn. */
  deletePartitions(name: string, places: Iterable<PartitionPlace>): number {
    const subscription = this.#byName.get(name)
    if (subscription === undefined) return 0
    let count = 0
    for (const place of places) {
      const partition = subscription.remove(place)
      if (partition === undefined) continue
      partition.dispose()
      count++
    }
    this.#partitionCount -= count
    if (count > 0) this.#parts.cycle.requireSync()
    this.#closeUnused(subscription)
    return count
  }

  /** Deletes all of it, synced with the commit of this turn. False when it is not there. */
  delete(name: string): boolean {
    const subscription = this.#byName.get(name)
    if (subscription === undefined) return false
    subscription.memberCount = 0
    this.deletePartitions(name, placesOf(subscription))
    this.#closeUnused(subscription)
    return true
  }

  /** A topic is gone, and so is what was shared of it. */
  topicDeleted(topicId: number): void {
    for (const subscription of [...this.#byName.values()]) {
      const places = placesOf(subscription).filter((place) => place.topicId === topicId)
      this.deletePartitions(subscription.name, places)
    }
  }

  /** Brings back what is stored; what is of a topic that `hasTopic` does not know is dropped. */
  restore(hasTopic: (topicId: number) => boolean): void {
    const { state } = this.#parts
    for (const [key, value] of [...state.entries(this.#prefix)]) {
      const topicEnd = key.indexOf('/', this.#prefix.length)
      const partitionEnd = key.indexOf('/', topicEnd + 1)
      const topicId = Number(key.slice(this.#prefix.length, topicEnd))
      const partition = Number(key.slice(topicEnd + 1, partitionEnd))
      const name = key.slice(partitionEnd + 1)
      if (hasTopic(topicId)) this.#add(name, { topicId, partition }, LeaseRanges.decode(value))
      else state.delete(key)
    }
  }

  /** The virtual host is gone: so is all of this. */
  dispose(): void {
    for (const subscription of this.#byName.values()) {
      for (const partition of subscription.partitions()) partition.dispose()
    }
    this.#byName.clear()
    this.#partitionCount = 0
  }

  #add(name: string, place: PartitionPlace, ranges: LeaseRanges): SharedPartition {
    const subscription = this.#open(name)
    const key = `${this.#prefix}${placeKey(place)}/${name}`
    const partition = new SharedPartition(
      { ...place, key },
      ranges,
      this.#parts,
      () => subscription.options,
    )
    subscription.put(partition)
    this.#partitionCount++
    return partition
  }

  #open(name: string): SharedSubscription {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const { sharedLeaseMs, sharedAttemptsMax, sharedInFlightMax } = this.#parts.limits
    const subscription = new SharedSubscription(name, {
      leaseMs: sharedLeaseMs,
      attemptsMax: sharedAttemptsMax,
      inFlightMax: sharedInFlightMax,
    })
    this.#byName.set(name, subscription)
    return subscription
  }

  #closeUnused({ name, count, memberCount }: SharedSubscription): void {
    if (count === 0 && memberCount === 0) this.#byName.delete(name)
  }
}

function placesOf(subscription: SharedSubscription): PartitionPlace[] {
  return Array.from(subscription.partitions(), ({ topicId, index }) => {
    return { topicId, partition: index }
  })
}
