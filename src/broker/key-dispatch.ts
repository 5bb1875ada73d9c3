import type { Consumer } from './consumer.ts'
import { KeyOrder, type KeySlot, NO_KEY } from './key-order.ts'
import { type KeySharing, messageKeyOf } from './message-key.ts'
import type { OwnDispatch, OwnDispatchParts, TakeResult } from './own-dispatch.ts'
import type { StoredMessage } from './stored-message.ts'

/** How many messages are looked at before other queues and sockets have their turn. */
const LOOK_COUNT_MAX = 1000

/**
 * Who gets which message of a key-shared queue: one that has a key goes to whoever has others of
 * that key, and waits while these came back or failed; the others go past it, in order of arrival.
 * Priorities of messages do not count.
 */
export class KeyDispatch implements OwnDispatch {
  readonly sharing: KeySharing
  /** Of the message that `take` took. */
  takenOffset = 0
  takenAgain = false
  readonly #parts: OwnDispatchParts
  readonly #order: KeyOrder
  readonly #followersMax: number
  #isBusy = false

  constructor(sharing: KeySharing, parts: OwnDispatchParts) {
    this.sharing = sharing
    this.#parts = parts
    const { queue } = parts
    this.#followersMax = queue.shard.limits.keyFollowersMax
    this.#order = new KeyOrder(() => {
      if (!this.#isBusy) queue.vhost.turn.dispatch(queue)
    })
    parts.contents.watcher = this.#order
  }

  /** Messages that wait for others of their key. */
  get followerCount(): number {
    return this.#order.followerCount
  }

  consumerReady(consumer: Consumer): void {
    this.#order.consumerReady(consumer)
  }

  consumerGone(consumer: Consumer): void {
    this.#order.consumerGone(consumer)
  }

  /** A message that is out failed, and may stay out for a while. */
  failed(offset: number): void {
    this.#order.failed(offset)
  }

  /** HOT: a message just came in, and is ready; true: it went out at once. */
  cameIn(offset: number, message: StoredMessage): boolean {
    const order = this.#order
    if (!order.isCaughtUp) return false
    if (this.#parts.queue.isPaced) {
      order.isCaughtUp = false
      return false
    }
    const key = this.#keyOf(message)
    const slot = key === NO_KEY ? null : order.slotOf(key)
    const consumer = slot === null ? this.#parts.consumers.next() : this.#ownerFor(slot)
    if (consumer === null) {
      if (slot === null || order.followerCount >= this.#followersMax) {
        order.isCaughtUp = false
        return false
      }
      order.scanned = offset + 1
      order.follow(slot, offset)
      return false
    }
    order.scanned = offset + 1
    this.#isBusy = true
    this.#give({ consumer, key, offset, message })
    this.#isBusy = false
    return true
  }

  /** Gives out what may go; false when it goes on by itself in another turn. */
  run(): boolean {
    this.#isBusy = true
    const isDone = this.#run()
    this.#isBusy = false
    return isDone
  }

  /** Takes one for somebody who is no consumer. */
  take(): TakeResult {
    const { contents, reader, expiry, queue } = this.#parts
    const order = this.#order
    for (let left = LOOK_COUNT_MAX; left > 0; left--) {
      const slot = order.free.first
      if (slot !== null) {
        const offset = order.headOf(slot)
        if (!reader.look(offset)) return 'again'
        if (expiry.expiresAt(contents.levelHolding(offset), offset)) continue
        return this.#took(slot.key, offset)
      }
      const offset = this.#next()
      if (offset === Infinity) return 'none'
      if (offset < 0) continue
      if (!reader.look(offset)) return 'again'
      order.scanned = offset + 1
      const key = this.#keyOf(reader.view)
      if (this.#isOut(key, offset) || this.#expires(offset)) continue
      const busy = key === NO_KEY ? null : order.slotOf(key)
      if (busy === null) return this.#took(key, offset)
      order.follow(busy, offset)
    }
    queue.vhost.turn.dispatch(queue)
    return 'again'
  }

  #run(): boolean {
    const { contents, consumers, queue } = this.#parts
    const order = this.#order
    for (let left = LOOK_COUNT_MAX; left > 0; left--) {
      if (contents.readyCount === 0) {
        order.isCaughtUp ||= contents.nextLive(order.scanned) === Infinity
        return true
      }
      if (queue.isPaced) return true
      const eager = order.nextEager()
      if (eager !== null) {
        if (!this.#giveHead(eager.consumer!, eager.waiting.first!)) return false
        continue
      }
      const consumer = consumers.next()
      if (consumer === null) return true
      const free = order.free.first
      if (free !== null) {
        if (!this.#giveHead(consumer, free)) return false
        continue
      }
      const offset = this.#next()
      if (offset === Infinity) return true
      if (offset >= 0 && !this.#giveOrPass(consumer, offset)) return false
    }
    queue.vhost.turn.dispatch(queue)
    return false
  }

  /**
   * The next message nobody looked at; -1: look again; Infinity: there is none, or there are too
   * many followers to look any further.
   */
  #next(): number {
    const order = this.#order
    const offset = this.#parts.contents.nextLive(order.scanned)
    if (offset === Infinity) {
      order.isCaughtUp = true
      return Infinity
    }
    if (order.isKnown(offset)) {
      order.scanned = offset + 1
      return -1
    }
    return order.followerCount >= this.#followersMax ? Infinity : offset
  }

  /** Gives the message to its key's owner or the consumer, or lets it wait; false: being read. */
  #giveOrPass(consumer: Consumer, offset: number): boolean {
    const { reader } = this.#parts
    const order = this.#order
    if (!reader.look(offset)) return false
    const message = reader.view
    const key = this.#keyOf(message)
    order.scanned = offset + 1
    if (this.#isOut(key, offset) || this.#expires(offset)) return true
    const slot = key === NO_KEY ? null : order.slotOf(key)
    const target = slot === null ? consumer : this.#ownerFor(slot)
    if (target === null) order.follow(slot!, offset)
    else this.#give({ consumer: target, key, offset, message })
    return true
  }

  /** Gives the first that waits of a key; false while it is being read. */
  #giveHead(consumer: Consumer, slot: KeySlot): boolean {
    const { reader } = this.#parts
    const offset = this.#order.headOf(slot)
    if (!reader.look(offset)) return false
    if (this.#expires(offset)) return true
    this.#give({ consumer, key: slot.key, offset, message: reader.view })
    return true
  }

  /** Whoever has messages of that key and may have the next one now. */
  #ownerFor(slot: KeySlot): Consumer | null {
    if (slot.isDraining || slot.head >= 0) return null
    const consumer = slot.owner?.consumer ?? null
    return consumer?.ready === true ? consumer : null
  }

  #give(what: {
    readonly consumer: Consumer
    readonly key: number
    readonly offset: number
    readonly message: StoredMessage
  }): void {
    const { consumer, key, offset, message } = what
    const again = this.#takeOut(key, offset, { consumer, message })
    this.#parts.deliver(consumer, offset, message, again)
  }

  #took(key: number, offset: number): TakeResult {
    const message = this.#parts.reader.view
    this.takenAgain = this.#takeOut(key, offset, { consumer: null, message })
    this.takenOffset = offset
    return 'taken'
  }

  #takeOut(
    key: number,
    offset: number,
    { consumer, message }: { readonly consumer: Consumer | null; readonly message: StoredMessage },
  ): boolean {
    const { contents } = this.#parts
    const again = contents.wasDelivered(contents.levelHolding(offset), offset)
    // Who has several of a key would work on them at once: of nobody's there is one at a time.
    this.#order.gave(key, offset, consumer?.oneOfKey === true ? null : consumer)
    contents.takeRead(offset, message)
    contents.countDelivery(offset, again)
    return again
  }

  /** Out already, before this was key-shared or since a restart: its followers wait for it. */
  #isOut(key: number, offset: number): boolean {
    if (!this.#parts.contents.isOut(offset)) return false
    this.#order.foundOut(key, offset)
    return true
  }

  #expires(offset: number): boolean {
    const { contents, expiry } = this.#parts
    return expiry.expiresAt(contents.levelHolding(offset), offset)
  }

  #keyOf(message: StoredMessage): number {
    return messageKeyOf(message, this.sharing, this.#parts.queue.vhost.form(message.form))
  }
}
