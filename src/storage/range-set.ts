import { floorIndex } from './segment-index.ts'

/** A set of offsets kept as sorted ranges that do not touch. */
export class RangeSet {
  readonly #starts: number[] = []
  readonly #ends: number[] = []

  get rangeCount(): number {
    return this.#starts.length
  }

  /** Adds `from` up to, not including, `to`. */
  add(from: number, to: number): void {
    if (from >= to) return
    let first = floorIndex(this.#starts, from)
    if (first < 0 || this.#ends[first]! < from) first++
    let last = first
    let start = from
    let end = to
    while (last < this.#starts.length && this.#starts[last]! <= to) {
      start = Math.min(start, this.#starts[last]!)
      end = Math.max(end, this.#ends[last]!)
      last++
    }
    this.#starts.splice(first, last - first, start)
    this.#ends.splice(first, last - first, end)
  }

  /** Whether every offset from `from` up to, not including, `to` is in the set. */
  covers(from: number, to: number): boolean {
    return from >= to || this.endOf(from) >= to
  }

  /** The end of the range that contains `offset`; `offset` itself when none does. */
  endOf(offset: number): number {
    const index = floorIndex(this.#starts, offset)
    return index >= 0 && this.#ends[index]! > offset ? this.#ends[index]! : offset
  }

  /** The start of the range that contains `offset`; `offset` itself when none does. */
  startOf(offset: number): number {
    const index = floorIndex(this.#starts, offset)
    return index >= 0 && this.#ends[index]! > offset ? this.#starts[index]! : offset
  }

  /** Forgets everything below `offset`. */
  removeBelow(offset: number): void {
    const index = floorIndex(this.#starts, offset)
    if (index < 0) return
    const keeps = this.#ends[index]! > offset
    this.#starts.splice(0, keeps ? index : index + 1)
    this.#ends.splice(0, keeps ? index : index + 1)
    if (keeps) this.#starts[0] = offset
  }
}
