import { BrokerError } from '../../model/errors.ts'
import type { CommitCycle } from '../commit-cycle.ts'
import type { BrokerLimits } from '../limits.ts'
import type { StateTable } from '../state-table.ts'
import type { TimerIndex, TimerTarget } from '../timer-index.ts'
import type { Follow } from '../tracing/topic-trace.ts'
import {
  decodePosition,
  encodePosition,
  type NewPosition,
  OffsetSubscription,
  type PartitionPlace,
  type Position,
} from './subscription.ts'

export interface SubscriptionParts {
  readonly state: StateTable
  readonly cycle: CommitCycle
  readonly timers: TimerIndex
  readonly limits: BrokerLimits
  /** Told what became of messages, for those that are traced. */
  readonly follow?: Follow | undefined
  now(): number
}

/**
 * Named read state on the topics of one virtual host. Positions are kept in the state table, so a
 * commit is all of its positions or none, and may be part of a larger step. What was committed
 * stays until it is deleted or has expired; it never goes back by itself.
 */
export class Subscriptions implements TimerTarget {
  readonly #prefix: string
  readonly #memberPrefix: string
  readonly #parts: SubscriptionParts
  readonly #byName: Map<string, OffsetSubscription> = new Map()
  #positionCount = 0
  #timer = 0

  /** `id` is a number of the virtual host that no other has or had. */
  constructor(id: number, parts: SubscriptionParts) {
    // Names come last, so that whatever is in them cannot be taken for something else.
    this.#prefix = `position/${id}/`
    this.#memberPrefix = `subscription/${id}/`
    this.#parts = parts
  }

  /** Those that have a position or a member. */
  list(): Iterable<OffsetSubscription> {
    return this.#byName.values()
  }

  find(name: string): OffsetSubscription | undefined {
    return this.#byName.get(name)
  }

  position(name: string, topicId: number, partition: number): Position | undefined {
    return this.#byName.get(name)?.position(topicId, partition)
  }

  /**
   * Keeps positions in place of those before, all of them or none, synced with the commit of this
   * turn: whoever answers waits for that. Throws `LIMIT_EXCEEDED`, and then nothing is kept.
   */
  commit(name: string, positions: readonly NewPosition[]): void {
    if (positions.length === 0) return
    this.checkRoom(name, positions)
    this.apply(name, positions)
  }

  /** Like `commit`, for what was looked at by `checkRoom` before. */
  apply(name: string, positions: readonly NewPosition[]): void {
    const commitMs = this.#parts.now()
    const subscription = this.#open(name)
    for (const given of positions) {
      const { offset, leaderEpoch = -1, metadata = '', expiresAtMs = -1 } = given
      const position = { offset, leaderEpoch, metadata, commitMs, expiresAtMs }
      const from = subscription.position(given.topicId, given.partition)?.offset ?? 0
      this.#parts.follow?.(given, { from, to: offset }, 'committed', { detail: `by '${name}'` })
      this.#parts.state.set(this.#key(name, given), encodePosition(position))
      if (subscription.put(given, position)) this.#positionCount++
    }
    this.#parts.cycle.requireSync()
    this.#arm()
  }

  /** Throws `LIMIT_EXCEEDED` where it is too much; `heldCount` more may come from elsewhere. */
  checkRoom(name: string, positions: readonly NewPosition[], heldCount = 0): void {
    const { subscriptionNameBytesMax, positionMetadataBytesMax, positionCountMax } =
      this.#parts.limits
    const nameBytes = Buffer.byteLength(name)
    if (nameBytes > subscriptionNameBytesMax) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `the name of a subscription has ${nameBytes} bytes, above the limit of ${subscriptionNameBytesMax}`,
      )
    }
    const known = this.#byName.get(name)
    let newCount = 0
    for (const { topicId, partition, metadata = '' } of positions) {
      if (known?.position(topicId, partition) === undefined) newCount++
      const bytes = Buffer.byteLength(metadata)
      if (bytes > positionMetadataBytesMax) {
        throw new BrokerError(
          'LIMIT_EXCEEDED',
          `metadata of ${bytes} bytes is above the limit of ${positionMetadataBytesMax}`,
        )
      }
    }
    if (newCount > 0 && this.#positionCount + heldCount + newCount > positionCountMax) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `subscriptions have ${this.#positionCount} positions, the limit is ${positionCountMax}`,
      )
    }
  }

  /** Deletes positions, synced with the commit of this turn; returns how many there were. */
  deletePositions(name: string, places: Iterable<PartitionPlace>): number {
    const subscription = this.#byName.get(name)
    if (subscription === undefined) return 0
    let count = 0
    for (const place of places) {
      if (!subscription.remove(place)) continue
      this.#parts.state.delete(this.#key(name, place))
      count++
    }
    this.#positionCount -= count
    if (count > 0) this.#parts.cycle.requireSync()
    this.#closeUnused(subscription)
    return count
  }

  /** Deletes all of it, synced with the commit of this turn. False when it is not there. */
  delete(name: string): boolean {
    const subscription = this.#byName.get(name)
    if (subscription === undefined) return false
    subscription.memberCount = 0
    this.deletePositions(name, [...subscription.positions()])
    this.#closeUnused(subscription)
    this.#parts.cycle.requireSync()
    return true
  }

  /** How many read by it now. While somebody does, positions do not expire. */
  setMembers(name: string, count: number): void {
    const known = this.#byName.get(name)
    if ((known?.memberCount ?? 0) === count) return
    const subscription = this.#open(name)
    const before = subscription.memberCount
    subscription.memberCount = count
    if (before > 0 && count > 0) return
    subscription.emptiedMs = count > 0 ? -1 : this.#parts.now()
    this.#storeEmptied(subscription)
    this.#closeUnused(subscription)
    this.#arm()
  }

  /** A topic is gone, and so are the positions on it. */
  topicDeleted(topicId: number): void {
    for (const subscription of [...this.#byName.values()]) {
      const places = [...subscription.positions()].filter((place) => place.topicId === topicId)
      this.deletePositions(subscription.name, places)
    }
  }

  /** Positions whose time is over go. */
  onTimer(): void {
    this.#timer = 0
    const now = this.#parts.now()
    const { positionRetentionMs } = this.#parts.limits
    for (const subscription of [...this.#byName.values()]) {
      const over = [...subscription.positions()].filter(
        ({ position }) => subscription.expiryMs(position, positionRetentionMs) <= now,
      )
      if (over.length > 0) this.deletePositions(subscription.name, over)
    }
    this.#arm()
  }

  /** Brings back what is stored; positions on a topic that `hasTopic` does not know are dropped. */
  restore(hasTopic: (topicId: number) => boolean): void {
    const { state } = this.#parts
    for (const [key, value] of [...state.entries(this.#prefix)]) {
      const { name, place } = this.#parse(key)
      if (hasTopic(place.topicId)) {
        this.#open(name).put(place, decodePosition(value))
        this.#positionCount++
      } else state.delete(key)
    }
    for (const [key, value] of [...state.entries(this.#memberPrefix)]) {
      const subscription = this.#byName.get(key.slice(this.#memberPrefix.length))
      if (subscription === undefined) state.delete(key)
      else {
        subscription.emptiedMs = value.readDoubleBE(0)
        // It had members when the broker ended: they may come back, and are gone as of now.
        if (subscription.emptiedMs < 0) subscription.emptiedMs = this.#parts.now()
        this.#storeEmptied(subscription)
      }
    }
    this.#arm()
  }

  /** The virtual host is gone: so is all of this. */
  dispose(): void {
    this.#parts.timers.cancel(this.#timer)
    this.#timer = 0
    const { state } = this.#parts
    for (const prefix of [this.#prefix, this.#memberPrefix]) {
      for (const [key] of [...state.entries(prefix)]) state.delete(key)
    }
    // What is stored of the virtual host itself goes later, so nothing of it can stay alone.
    this.#parts.cycle.requireSync()
    this.#byName.clear()
    this.#positionCount = 0
  }

  #open(name: string): OffsetSubscription {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const subscription = new OffsetSubscription(name)
    this.#byName.set(name, subscription)
    return subscription
  }

  #closeUnused(subscription: OffsetSubscription): void {
    if (subscription.count > 0 || subscription.memberCount > 0) return
    this.#parts.state.delete(this.#memberPrefix + subscription.name)
    this.#byName.delete(subscription.name)
  }

  #storeEmptied(subscription: OffsetSubscription): void {
    const value = Buffer.allocUnsafe(8)
    value.writeDoubleBE(subscription.emptiedMs, 0)
    this.#parts.state.set(this.#memberPrefix + subscription.name, value)
  }

  /** Looked at every ten minutes or so, while there is anything to look at. */
  #arm(): void {
    if (this.#timer !== 0 || this.#positionCount === 0) return
    const { timers, limits } = this.#parts
    this.#timer = timers.schedule(this.#parts.now() + limits.positionCheckMs, this)
  }

  #key(name: string, { topicId, partition }: PartitionPlace): string {
    return `${this.#prefix}${topicId}/${partition}/${name}`
  }

  #parse(key: string): { name: string; place: PartitionPlace } {
    const topicEnd = key.indexOf('/', this.#prefix.length)
    const partitionEnd = key.indexOf('/', topicEnd + 1)
    const topicId = Number(key.slice(this.#prefix.length, topicEnd))
    const partition = Number(key.slice(topicEnd + 1, partitionEnd))
    return { name: key.slice(partitionEnd + 1), place: { topicId, partition } }
  }
}
