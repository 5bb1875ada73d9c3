const EMPTY = -1
const FIRST_CAPACITY = 16

/**
 * Numbers by offset, in typed arrays outside the heap: some 30 bytes each, so that millions of
 * delayed or failed messages cost the garbage collector nothing. Offsets are 0 or more.
 *
 * Open addressing with linear probing; what is deleted is closed up, so nothing wears out.
 */
export class OffsetMap {
  #keys = new Float64Array(FIRST_CAPACITY).fill(EMPTY)
  #values = new Float64Array(FIRST_CAPACITY)
  #size = 0
  readonly #keptCapacity: number

  /**
   * `keptCapacity`: once it had room for so many, a power of two, it keeps it, for it fills and
   * empties over and over. Default 16.
   */
  constructor(keptCapacity: number = FIRST_CAPACITY) {
    this.#keptCapacity = keptCapacity
  }

  get size(): number {
    return this.#size
  }

  get(offset: number): number | undefined {
    if (this.#size === 0) return undefined
    const place = this.#placeOf(offset)
    return this.#keys[place] === offset ? this.#values[place] : undefined
  }

  has(offset: number): boolean {
    return this.get(offset) !== undefined
  }

  set(offset: number, value: number): void {
    let place = this.#placeOf(offset)
    if (this.#keys[place] !== offset) {
      // At most two thirds full: probes stay short.
      if ((this.#size + 1) * 3 > this.#keys.length * 2) {
        this.#resize(this.#keys.length * 2)
        place = this.#placeOf(offset)
      }
      this.#keys[place] = offset
      this.#size++
    }
    this.#values[place] = value
  }

  /** False when it is not there. */
  delete(offset: number): boolean {
    return this.take(offset) !== undefined
  }

  /** Deletes it, and tells its number; undefined when it is not there. */
  take(offset: number): number | undefined {
    if (this.#size === 0) return undefined
    const keys = this.#keys
    const mask = keys.length - 1
    let hole = this.#placeOf(offset)
    if (keys[hole] !== offset) return undefined
    const value = this.#values[hole]
    // Whoever stands behind and could stand in the hole moves up, so that no probe ends early.
    for (let place = (hole + 1) & mask; keys[place] !== EMPTY; place = (place + 1) & mask) {
      const home = homeOf(keys[place]!, mask)
      if (((place - home) & mask) < ((place - hole) & mask)) continue
      keys[hole] = keys[place]!
      this.#values[hole] = this.#values[place]!
      hole = place
    }
    keys[hole] = EMPTY
    this.#size--
    if (keys.length > this.#keptCapacity && this.#size * 8 < keys.length) {
      this.#resize(keys.length / 2)
    }
    return value
  }

  clear(): void {
    this.#keys = new Float64Array(FIRST_CAPACITY).fill(EMPTY)
    this.#values = new Float64Array(FIRST_CAPACITY)
    this.#size = 0
  }

  /** In no order; may not be changed while it is walked. */
  *entries(): IterableIterator<readonly [offset: number, value: number]> {
    const keys = this.#keys
    for (let place = 0; place < keys.length; place++) {
      if (keys[place] !== EMPTY) yield [keys[place]!, this.#values[place]!]
    }
  }

  /** As `entries`, at a fraction of the cost. */
  visit(visit: (offset: number, value: number) => void): void {
    const keys = this.#keys
    for (let place = 0; place < keys.length; place++) {
      if (keys[place] !== EMPTY) visit(keys[place]!, this.#values[place]!)
    }
  }

  /** Deletes whatever `wanted` picks. */
  deleteWhere(wanted: (offset: number) => boolean): void {
    if (this.#size === 0) return
    const gone: number[] = []
    for (const offset of this.#keys) if (offset !== EMPTY && wanted(offset)) gone.push(offset)
    for (const offset of gone) this.delete(offset)
  }

  /** Where the offset stands, or where it would. */
  #placeOf(offset: number): number {
    const keys = this.#keys
    const mask = keys.length - 1
    let place = homeOf(offset, mask)
    while (keys[place] !== EMPTY && keys[place] !== offset) place = (place + 1) & mask
    return place
  }

  #resize(capacity: number): void {
    const keys = this.#keys
    const values = this.#values
    this.#keys = new Float64Array(capacity).fill(EMPTY)
    this.#values = new Float64Array(capacity)
    for (let index = 0; index < keys.length; index++) {
      if (keys[index] === EMPTY) continue
      const place = this.#placeOf(keys[index]!)
      this.#keys[place] = keys[index]!
      this.#values[place] = values[index]!
    }
  }
}

/** Consecutive offsets are spread, or long runs of them would be probed through. */
function homeOf(offset: number, mask: number): number {
  const high = Math.floor(offset / 0x1_0000_0000)
  const mixed = Math.imul((offset | 0) ^ high, 0x9e37_79b1)
  return (mixed ^ (mixed >>> 15)) & mask
}
