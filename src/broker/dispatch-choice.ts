import { BrokerError } from '../model/errors.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumeOptions } from './destination.ts'
import { FilterDispatch } from './filter-dispatch.ts'
import { KeyDispatch } from './key-dispatch.ts'
import { agreedKeySharing, type KeySharing, keySharingOf, sameKeySharing } from './message-key.ts'
import type { OwnDispatch, OwnDispatchParts } from './own-dispatch.ts'
import type { DestinationPolicy } from './policy.ts'

/** Decides how a queue gives out, as its settings and its consumers have it. */
export class DispatchChoice {
  /** Null: the next message to whoever is next. */
  current: OwnDispatch | null = null
  readonly #parts: OwnDispatchParts
  #keys: KeyDispatch | null = null
  #filters: FilterDispatch | null = null
  /** What consumers asked for beside the settings, as long as there are any. */
  #askedKeys: KeySharing | null = null

  constructor(parts: OwnDispatchParts) {
    this.#parts = parts
  }

  get keySharing(): KeySharing | null {
    return this.#keys?.sharing ?? null
  }

  /** Messages that wait for others of their key. */
  get followerCount(): number {
    return this.#keys?.followerCount ?? 0
  }

  /** How far a consumer's filter is; null: it has none. */
  filterStanding(consumer: Consumer): ReturnType<FilterDispatch['standingOf']> {
    return this.#filters?.standingOf(consumer) ?? null
  }

  /** A consumer is to be added; throws `PRECONDITION_FAILED` where that cannot be had. */
  admit({ keyShared, filter }: ConsumeOptions): void {
    const { queue } = this.#parts
    if (filter !== undefined && (this.#keys !== null || (keyShared ?? null) !== null)) {
      const text = `queue '${queue.name}' is key-shared, and its consumers cannot filter`
      throw new BrokerError('PRECONDITION_FAILED', text)
    }
    if (filter !== undefined) this.#filters?.admit(filter.text)
    if (keyShared !== undefined) {
      this.#askedKeys = agreedKeySharing(queue, this.keySharing, keyShared)
    }
  }

  added(consumer: Consumer, settings: DestinationPolicy): void {
    if (this.#filters !== null) this.#filters.add(consumer)
    else if (consumer.filter !== null) {
      this.#filters = new FilterDispatch(this.#parts)
      this.current = this.#filters
    }
    this.apply(settings)
  }

  /** `successor` is served from now on; null: whoever was. */
  removed(consumer: Consumer, successor: Consumer | null, settings: DestinationPolicy): void {
    this.current?.consumerGone(consumer)
    if (successor?.ready === true) this.current?.consumerReady(successor)
    if (this.#filters?.isNeeded === false) {
      this.#filters = null
      this.#set(null)
    }
    this.apply(settings)
  }

  /** Starts, changes or ends the order by key. It begins when no consumer filters any more. */
  apply(settings: DestinationPolicy): void {
    if (this.#parts.consumers.size === 0) this.#askedKeys = null
    if (this.#filters !== null) return
    const wanted = keySharingOf(settings) ?? this.#askedKeys
    if (sameKeySharing(wanted, this.keySharing)) return
    this.#set(null)
    this.#keys = wanted === null ? null : new KeyDispatch(wanted, this.#parts)
    this.current = this.#keys
  }

  #set(current: null): void {
    this.#parts.contents.watcher = null
    this.current = current
  }
}
