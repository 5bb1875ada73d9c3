const FIRST_CAPACITY = 64
/** Room that is kept while nobody waits. */
const KEPT_CAPACITY = 4096
const NONE = -1

/** The messages of one key that wait, as places in `FollowerLists`; -1 where there is none. */
export interface FollowerList {
  head: number
  tail: number
  /** Where the last one came in between: those that come back together come in order. */
  hint: number
  /** What `ownerAt` gives for its messages. */
  readonly index: number
}

/**
 * Lists of offsets in ascending order, all in the same typed arrays: 20 bytes for each offset,
 * outside the heap, and no object for any of them.
 */
export class FollowerLists {
  #offsets = new Float64Array(FIRST_CAPACITY)
  #next = new Int32Array(FIRST_CAPACITY)
  #previous = new Int32Array(FIRST_CAPACITY)
  #owners = new Int32Array(FIRST_CAPACITY)
  /** Places from here on were never used. */
  #usedEnd = 0
  #free = NONE
  #count = 0

  /** Offsets in all lists. */
  get count(): number {
    return this.#count
  }

  offsetAt(place: number): number {
    return this.#offsets[place]!
  }

  /** The `index` of the list that the place is in. */
  ownerAt(place: number): number {
    return this.#owners[place]!
  }

  nextOf(place: number): number {
    return this.#next[place]!
  }

  /** Puts an offset where it belongs; returns its place, which it keeps. */
  insert(list: FollowerList, offset: number): number {
    const place = this.#take()
    this.#offsets[place] = offset
    this.#owners[place] = list.index
    let before = list.tail
    if (before !== NONE && this.#offsets[before]! > offset) {
      before = list.hint !== NONE && this.#offsets[list.hint]! < offset ? list.hint : NONE
      for (;;) {
        const next = before === NONE ? list.head : this.#next[before]!
        if (next === NONE || this.#offsets[next]! > offset) break
        before = next
      }
    }
    const next = before === NONE ? list.head : this.#next[before]!
    this.#next[place] = next
    this.#previous[place] = before
    if (before === NONE) list.head = place
    else this.#next[before] = place
    if (next === NONE) list.tail = place
    else this.#previous[next] = place
    list.hint = place
    return place
  }

  remove(list: FollowerList, place: number): void {
    const next = this.#next[place]!
    const before = this.#previous[place]!
    if (before === NONE) list.head = next
    else this.#next[before] = next
    if (next === NONE) list.tail = before
    else this.#previous[next] = before
    if (list.hint === place) list.hint = before
    this.#next[place] = this.#free
    this.#free = place
    this.#count--
    if (this.#count === 0) this.#reset()
  }

  #take(): number {
    this.#count++
    const place = this.#free
    if (place !== NONE) {
      this.#free = this.#next[place]!
      return place
    }
    if (this.#usedEnd === this.#offsets.length) this.#grow()
    return this.#usedEnd++
  }

  #grow(): void {
    const capacity = this.#offsets.length * 2
    const offsets = new Float64Array(capacity)
    offsets.set(this.#offsets)
    this.#offsets = offsets
    this.#next = wider(this.#next, capacity)
    this.#previous = wider(this.#previous, capacity)
    this.#owners = wider(this.#owners, capacity)
  }

  /** Nobody waits: what many needed for a while is given back. */
  #reset(): void {
    this.#usedEnd = 0
    this.#free = NONE
    if (this.#offsets.length <= KEPT_CAPACITY) return
    this.#offsets = new Float64Array(FIRST_CAPACITY)
    this.#next = new Int32Array(FIRST_CAPACITY)
    this.#previous = new Int32Array(FIRST_CAPACITY)
    this.#owners = new Int32Array(FIRST_CAPACITY)
  }
}

function wider(narrow: Int32Array, capacity: number): Int32Array<ArrayBuffer> {
  const wide = new Int32Array(capacity)
  wide.set(narrow)
  return wide
}
