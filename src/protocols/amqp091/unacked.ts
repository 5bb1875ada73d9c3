const CAPACITY_MIN = 16
/** A ring that grew beyond it is given back once it is empty. */
const CAPACITY_KEPT = 65_536

const GONE = -1

/**
 * The deliveries of one channel that wait for their settlement: which tag is which offset of which
 * owner, in flat arrays, because there is one for each message.
 *
 * Tags rise, with gaps where deliveries needed no acknowledgement. Settled in order, each costs a
 * few array reads; out of order they leave holes that go when everything before them has gone.
 * An entry can be **held**: claimed by a transaction, neither to be found nor forgotten.
 */
export class UnackedRing {
  #tags: Float64Array = NO_NUMBERS
  #offsets: Float64Array = NO_NUMBERS
  /** The owner's index; `GONE` for a hole; below that, a held entry: `-2 - owner`. */
  #owners: Int32Array = NO_INDEXES
  #mask = -1
  #head = 0
  /** Slots from the head on, holes included. */
  #size = 0
  #count = 0

  /** Deliveries that wait, held ones included. */
  get count(): number {
    return this.#count
  }

  /** `tag` is above every tag before it. */
  push(tag: number, owner: number, offset: number): void {
    if (this.#size > this.#mask) this.#grow()
    const slot = (this.#head + this.#size) & this.#mask
    this.#tags[slot] = tag
    this.#offsets[slot] = offset
    this.#owners[slot] = owner
    this.#size++
    this.#count++
  }

  /** The slot of a tag that waits and is not held; -1 when there is none. */
  find(tag: number): number {
    const slot = this.#slotOf(tag)
    return slot >= 0 && this.#owners[slot]! >= 0 ? slot : -1
  }

  /** The slot of a tag that is held; -1 when there is none. */
  findHeld(tag: number): number {
    const slot = this.#slotOf(tag)
    return slot >= 0 && this.#owners[slot]! < GONE ? slot : -1
  }

  /** The first slot that waits and is not held; -1 when there is none. */
  first(): number {
    return this.#nextFrom(0)
  }

  /** The next such slot behind `slot`, which may have been removed meanwhile. */
  after(slot: number): number {
    if (this.#size === 0) return -1
    const place = (slot - this.#head) & this.#mask
    // The slot was at the head and went: the head has moved on past it.
    return place >= this.#size ? this.#nextFrom(0) : this.#nextFrom(place + 1)
  }

  tagAt(slot: number): number {
    return this.#tags[slot]!
  }

  offsetAt(slot: number): number {
    return this.#offsets[slot]!
  }

  ownerAt(slot: number): number {
    const owner = this.#owners[slot]!
    return owner >= 0 ? owner : -2 - owner
  }

  hold(slot: number): void {
    this.#owners[slot] = -2 - this.#owners[slot]!
  }

  release(slot: number): void {
    this.#owners[slot] = -2 - this.#owners[slot]!
  }

  remove(slot: number): void {
    this.#owners[slot] = GONE
    this.#count--
    if (slot !== this.#head) return
    const mask = this.#mask
    let head = this.#head
    let size = this.#size
    while (size > 0 && this.#owners[head] === GONE) {
      head = (head + 1) & mask
      size--
    }
    this.#head = head
    this.#size = size
    if (size === 0 && mask >= CAPACITY_KEPT) this.#forget()
  }

  /** Calls back for everything that waits or is held, oldest first, and forgets it all. */
  drain(visit: (owner: number, offset: number) => void): void {
    const size = this.#size
    const head = this.#head
    const mask = this.#mask
    const owners = this.#owners
    const offsets = this.#offsets
    this.#forget()
    for (let place = 0; place < size; place++) {
      const slot = (head + place) & mask
      const owner = owners[slot]!
      if (owner !== GONE) visit(owner >= 0 ? owner : -2 - owner, offsets[slot]!)
    }
  }

  #nextFrom(place: number): number {
    for (let at = place; at < this.#size; at++) {
      const slot = (this.#head + at) & this.#mask
      if (this.#owners[slot]! >= 0) return slot
    }
    return -1
  }

  #slotOf(tag: number): number {
    const size = this.#size
    if (size === 0) return -1
    const mask = this.#mask
    const head = this.#head
    const tags = this.#tags
    const distance = tag - tags[head]!
    if (!(distance >= 0)) return -1
    // Without gaps the distance is the place; a gap can only mean a place before it.
    let high = Math.min(distance, size - 1)
    const guess = (head + high) & mask
    if (tags[guess] === tag) return guess
    let low = 0
    while (low <= high) {
      const middle = (low + high) >>> 1
      const slot = (head + middle) & mask
      const found = tags[slot]!
      if (found === tag) return slot
      if (found < tag) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  #forget(): void {
    this.#tags = NO_NUMBERS
    this.#offsets = NO_NUMBERS
    this.#owners = NO_INDEXES
    this.#mask = -1
    this.#head = 0
    this.#size = 0
    this.#count = 0
  }

  #grow(): void {
    const capacity = Math.max(CAPACITY_MIN, (this.#mask + 1) * 2)
    const tags = new Float64Array(capacity)
    const offsets = new Float64Array(capacity)
    const owners = new Int32Array(capacity)
    for (let place = 0; place < this.#size; place++) {
      const slot = (this.#head + place) & this.#mask
      tags[place] = this.#tags[slot]!
      offsets[place] = this.#offsets[slot]!
      owners[place] = this.#owners[slot]!
    }
    this.#tags = tags
    this.#offsets = offsets
    this.#owners = owners
    this.#mask = capacity - 1
    this.#head = 0
  }
}

const NO_NUMBERS = new Float64Array(0)
const NO_INDEXES = new Int32Array(0)
