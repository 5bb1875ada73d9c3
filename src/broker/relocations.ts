/** Where a message that was moved stands now, and how many queues still hold it. */
export interface Relocation {
  readonly place: number
  readonly refs: number
}

/**
 * Messages that no longer stand at the offset they are known by. Only leftovers of nearly dead
 * stretches are ever moved, so they are few and a map will do.
 */
export class Relocations {
  readonly #places: Map<number, number> = new Map()
  readonly #refs: Map<number, number> = new Map()

  get isEmpty(): boolean {
    return this.#places.size === 0
  }

  /** The offset that a message known as `offset` is stored at. */
  locate(offset: number): number {
    return this.#places.get(offset) ?? offset
  }

  add(offset: number, place: number, refs: number): void {
    this.#places.set(offset, place)
    this.#refs.set(offset, refs)
  }

  /** One queue is done with the message; returns the offset it is stored at. */
  release(offset: number): number {
    const place = this.#places.get(offset)
    if (place === undefined) return offset
    const refs = this.#refs.get(offset)! - 1
    if (refs > 0) this.#refs.set(offset, refs)
    else {
      this.#places.delete(offset)
      this.#refs.delete(offset)
    }
    return place
  }

  /** Tells which messages of a run were moved. */
  visitWithin(start: number, count: number, visit: (offset: number) => void): void {
    if (this.#places.size < count) {
      for (const offset of this.#places.keys()) {
        if (offset >= start && offset < start + count) visit(offset)
      }
      return
    }
    for (let offset = start; offset < start + count; offset++) {
      if (this.#places.has(offset)) visit(offset)
    }
  }

  remove(offset: number): void {
    this.#places.delete(offset)
    this.#refs.delete(offset)
  }

  *entries(): Iterable<[offset: number, relocation: Relocation]> {
    for (const [offset, place] of this.#places) {
      yield [offset, { place, refs: this.#refs.get(offset)! }]
    }
  }

  get size(): number {
    return this.#places.size
  }
}
