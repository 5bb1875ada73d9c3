import { OffsetMap } from './offset-map.ts'

/** Where a message that was moved stands now, and how many queues still hold it. */
export interface Relocation {
  readonly place: number
  readonly refs: number
}

/**
 * Messages that no longer stand at the offset they are known by: leftovers of nearly dead
 * stretches. Mostly few; but a set of retained messages may be moved as a whole, so they lie
 * outside the heap, at some 30 bytes each.
 */
export class Relocations {
  readonly #places = new OffsetMap()
  /** Of those that more than one queue holds. */
  readonly #refs = new OffsetMap()

  get isEmpty(): boolean {
    return this.#places.size === 0
  }

  get size(): number {
    return this.#places.size
  }

  /** The offset that a message known as `offset` is stored at. */
  locate(offset: number): number {
    return this.#places.get(offset) ?? offset
  }

  add(offset: number, place: number, refs: number): void {
    this.#places.set(offset, place)
    this.#setRefs(offset, refs)
  }

  /** One queue is done with the message; returns the offset it is stored at. */
  release(offset: number): number {
    const place = this.#places.get(offset)
    if (place === undefined) return offset
    const refs = (this.#refs.get(offset) ?? 1) - 1
    if (refs === 0) this.#places.delete(offset)
    else this.#setRefs(offset, refs)
    return place
  }

  /** Tells which messages of a run were moved; each may be released or removed when told. */
  visitWithin(start: number, count: number, visit: (offset: number) => void): void {
    if (this.#places.size < count) {
      const end = start + count
      const within: number[] = []
      this.#places.visit((offset) => {
        if (offset >= start && offset < end) within.push(offset)
      })
      for (const offset of within) visit(offset)
      return
    }
    for (let offset = start; offset < start + count; offset++) {
      if (this.#places.has(offset)) visit(offset)
    }
  }

  /** Tells which messages stand from `start` up to, not including, `end` now. */
  visitStandingIn(start: number, end: number, visit: (offset: number) => void): void {
    this.#places.visit((offset, place) => {
      if (place >= start && place < end) visit(offset)
    })
  }

  remove(offset: number): void {
    this.#places.delete(offset)
    this.#refs.delete(offset)
  }

  /** In no order; may not be changed while it is walked. */
  *entries(): Iterable<[offset: number, relocation: Relocation]> {
    for (const [offset, place] of this.#places.entries()) {
      yield [offset, { place, refs: this.#refs.get(offset) ?? 1 }]
    }
  }

  #setRefs(offset: number, refs: number): void {
    if (refs === 1) this.#refs.delete(offset)
    else this.#refs.set(offset, refs)
  }
}
