import type { Consumer } from './consumer.ts'
import { type FollowerList, FollowerLists } from './follower-lists.ts'
import { Line, type LineMember } from './line.ts'
import { OffsetMap } from './offset-map.ts'
import type { ContentsWatcher } from './queue-contents.ts'

/** Stands for the key of messages that have none. */
export const NO_KEY: number = -1

/** A message that is out and has no key; below it, down from -2, those of each slot. */
const KEYLESS = -1
/** Slots that are kept while no key is out, and room for so many keys and messages: 128 KiB. */
const KEPT_SLOTS = 4096
const KEPT_CAPACITY = 4096

/** Who has messages of some keys. Nobody in particular where `consumer` is null. */
export class KeyOwner implements LineMember<KeyOwner> {
  line: Line<KeyOwner> | null = null
  before: KeyOwner | null = null
  behind: KeyOwner | null = null
  readonly consumer: Consumer | null
  /** Its keys that have more, to be given to it as soon as it can take them. */
  readonly waiting: Line<KeySlot> = new Line()

  constructor(consumer: Consumer | null) {
    this.consumer = consumer
  }
}

/** A key of which something is out or waits for what is out. */
export class KeySlot implements LineMember<KeySlot>, FollowerList {
  line: Line<KeySlot> | null = null
  before: KeySlot | null = null
  behind: KeySlot | null = null
  head = -1
  tail = -1
  hint = -1
  readonly index: number
  key: number = NO_KEY
  owner: KeyOwner | null = null
  outCount = 0
  /** One came back: nothing more goes out until all that is out has come to an end. */
  isDraining = false

  constructor(index: number) {
    this.index = index
  }
}

/**
 * What a key-shared queue knows of its keys: which are out and with whom, and which messages wait
 * for others of their key. Every message below `scanned` is settled, known to be out, or waits
 * here; the rest has not been looked at. All of it follows from the messages themselves, so none of
 * it is stored.
 */
export class KeyOrder implements ContentsWatcher {
  /** All before it was looked at. */
  scanned = 0
  /** Nothing that lives is at or behind `scanned`. */
  isCaughtUp = false
  /** Keys of which nothing is out and something waits: for whoever comes. */
  readonly free: Line<KeySlot> = new Line()
  readonly #nobody = new KeyOwner(null)
  readonly #owners: Map<Consumer, KeyOwner> = new Map()
  /** Owners that can take more of what waits for them, perhaps. */
  readonly #eager: Line<KeyOwner> = new Line()
  readonly #slotOfKey = new OffsetMap(KEPT_CAPACITY)
  #slots: KeySlot[] = []
  #unused: KeySlot[] = []
  readonly #followers = new FollowerLists()
  /** By offset: its place among the followers, or below 0 the slot it is out of. */
  readonly #known = new OffsetMap(KEPT_CAPACITY)
  readonly #wake: () => void

  /** `wake` is called whenever something may go out that could not before. */
  constructor(wake: () => void) {
    this.#wake = wake
  }

  get followerCount(): number {
    return this.#followers.count
  }

  isKnown(offset: number): boolean {
    return this.#known.has(offset)
  }

  slotOf(key: number): KeySlot | null {
    const index = this.#slotOfKey.get(key)
    return index === undefined ? null : this.#slots[index]!
  }

  ownerOf(consumer: Consumer): KeyOwner {
    const known = this.#owners.get(consumer)
    if (known !== undefined) return known
    const owner = new KeyOwner(consumer)
    this.#owners.set(consumer, owner)
    return owner
  }

  headOf(slot: KeySlot): number {
    return this.#followers.offsetAt(slot.head)
  }

  /** An owner that can take more of what waits for it, or null. */
  nextEager(): KeyOwner | null {
    for (let owner = this.#eager.first; owner !== null; owner = this.#eager.first) {
      if (owner.consumer!.ready && owner.waiting.first !== null) {
        this.#eager.join(owner)
        return owner
      }
      this.#eager.leave(owner)
    }
    return null
  }

  // --- consumers ---

  consumerReady(consumer: Consumer): void {
    const owner = this.#owners.get(consumer)
    if (owner !== undefined && owner.waiting.first !== null) this.#eager.join(owner)
  }

  /** What it has stays its own until it is settled or comes back. */
  consumerGone(consumer: Consumer): void {
    this.#owners.delete(consumer)
  }

  // --- messages ---

  /** Given to a consumer; null: to somebody who takes one at a time. */
  gave(key: number, offset: number, consumer: Consumer | null): void {
    if (key === NO_KEY) {
      this.#known.set(offset, KEYLESS)
      return
    }
    const slot = this.slotOf(key) ?? this.#newSlot(key)
    if (this.#followers.count > 0) this.#unlist(offset)
    const owner = consumer === null ? this.#nobody : this.ownerOf(consumer)
    // Whoever has the first one has them all, save where nobody knows who that is.
    slot.owner = slot.outCount === 0 || slot.owner === owner ? owner : this.#nobody
    slot.outCount++
    this.#known.set(offset, -2 - slot.index)
    // The others that wait for this consumer come before the next of this key.
    slot.line?.leave(slot)
    this.#place(slot)
  }

  /** Was found to be out, with whom is not known. */
  foundOut(key: number, offset: number): void {
    this.gave(key, offset, null)
  }

  /** Waits for others of its key. */
  follow(slot: KeySlot, offset: number): void {
    this.#known.set(offset, this.#followers.insert(slot, offset))
    this.#place(slot)
  }

  /** One that is out failed and stays out for a while. */
  failed(offset: number): void {
    const slot = this.#slotOut(offset)
    if (slot === null) return
    slot.isDraining = true
    this.#place(slot)
  }

  /** One that is out came to its end. */
  settled(offset: number): void {
    const known = this.#known.take(offset) ?? KEYLESS
    if (known >= KEYLESS) return
    const slot = this.#slots[-2 - known]!
    slot.outCount--
    this.#place(slot)
  }

  /** One that was out is ready again: it comes before its followers. */
  released(offset: number): void {
    const slot = this.#slotOut(offset)
    if (slot === null) {
      this.#known.delete(offset)
      this.scanned = Math.min(this.scanned, offset)
      this.isCaughtUp = false
      return
    }
    slot.outCount--
    slot.isDraining = true
    this.follow(slot, offset)
  }

  /** One that was ready was taken by other means. */
  taken(offset: number): void {
    const slot = this.#unlist(offset)
    if (slot === null) return
    this.#known.delete(offset)
    this.#place(slot)
  }

  /** Nothing is ready any more. */
  purged(): void {
    for (const slot of this.#slots) {
      if (slot.head < 0) continue
      while (slot.head >= 0) {
        this.#known.delete(this.headOf(slot))
        this.#followers.remove(slot, slot.head)
      }
      this.#place(slot)
    }
  }

  /** Takes an offset from the list it waits in; null when it waits in none. */
  #unlist(offset: number): KeySlot | null {
    const place = this.#known.get(offset) ?? KEYLESS
    if (place < 0) return null
    const slot = this.#slots[this.#followers.ownerAt(place)]!
    this.#followers.remove(slot, place)
    return slot
  }

  #slotOut(offset: number): KeySlot | null {
    const known = this.#known.get(offset) ?? KEYLESS
    return known < KEYLESS ? this.#slots[-2 - known]! : null
  }

  /** Puts a slot into the line it belongs to now, or away when nothing is left of its key. */
  #place(slot: KeySlot): void {
    if (slot.outCount === 0) {
      slot.owner = null
      slot.isDraining = false
      if (slot.head < 0) this.#putAway(slot)
      else this.#join(this.free, slot)
      return
    }
    const owner = slot.owner!
    if (slot.head < 0 || slot.isDraining || owner.consumer === null) {
      slot.line?.leave(slot)
      return
    }
    this.#join(owner.waiting, slot)
    if (owner.line === null && owner.consumer.ready) {
      this.#eager.join(owner)
      this.#wake()
    }
  }

  #join(line: Line<KeySlot>, slot: KeySlot): void {
    if (slot.line === line) return
    line.join(slot)
    this.#wake()
  }

  #newSlot(key: number): KeySlot {
    let slot = this.#unused.pop()
    if (slot === undefined) {
      slot = new KeySlot(this.#slots.length)
      this.#slots.push(slot)
    }
    slot.key = key
    this.#slotOfKey.set(key, slot.index)
    return slot
  }

  #putAway(slot: KeySlot): void {
    slot.line?.leave(slot)
    this.#slotOfKey.delete(slot.key)
    this.#unused.push(slot)
    if (this.#unused.length < this.#slots.length || this.#slots.length <= KEPT_SLOTS) return
    this.#slots = []
    this.#unused = []
  }
}
