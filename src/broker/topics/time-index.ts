const POINT_BYTES = 24

/** A stretch of a partition, for `TimeIndex.stretches`. */
export interface Stretch {
  readonly from: number
  /** The largest time in it, in milliseconds since 1970; -1: nothing in it has one. */
  readonly maxMs: number
}

/**
 * Which stretch of a partition a time is in: first offset and largest time of each. Publishers give
 * the times, so they go in any order. Bounded: where there are too many stretches, two become one.
 */
export class TimeIndex {
  readonly #pointsMax: number
  readonly #offsets: number[] = []
  readonly #maxima: number[] = []
  /** The largest time in all stretches before. */
  readonly #before: number[] = []
  #stretchBytes: number
  /** What the newest stretch holds, and since when. */
  #bytes = 0
  #sinceMs = 0

  constructor(limits: { readonly pointsMax: number; readonly stretchBytes: number }) {
    this.#pointsMax = limits.pointsMax
    this.#stretchBytes = limits.stretchBytes
  }

  /** So many bytes were stored from `offset` on; a stretch takes no more after `stretchMsMax`. */
  add(
    offset: number,
    stored: { readonly bytes: number; readonly maxMs: number; readonly nowMs: number },
    stretchMsMax: number,
  ): void {
    const last = this.#offsets.length - 1
    const isFull = this.#bytes >= this.#stretchBytes || stored.nowMs - this.#sinceMs > stretchMsMax
    if (last < 0 || isFull) {
      this.#before.push(last < 0 ? -1 : Math.max(this.#before[last]!, this.#maxima[last]!))
      this.#offsets.push(offset)
      this.#maxima.push(stored.maxMs)
      this.#bytes = stored.bytes
      this.#sinceMs = stored.nowMs
      if (this.#offsets.length > this.#pointsMax) this.#halve()
      return
    }
    this.#bytes += stored.bytes
    if (stored.maxMs > this.#maxima[last]!) this.#maxima[last] = stored.maxMs
  }

  /** An offset below which everything is older than `timeMs`, as far up as is known. */
  floorOf(timeMs: number): number {
    let low = 0
    let high = this.#before.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#before[middle]! < timeMs) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : this.#offsets[low - 1]!
  }

  /** The first offset of the first stretch with something at or after `timeMs`; -1: none has. */
  firstSince(timeMs: number): number {
    for (let index = 0; index < this.#maxima.length; index++) {
      if (this.#maxima[index]! >= timeMs) return this.#offsets[index]!
    }
    return -1
  }

  stretches(): Stretch[] {
    return this.#offsets.map((from, index) => ({ from, maxMs: this.#maxima[index]! }))
  }

  /** What lies whole below `offset` is kept no more. */
  trimBelow(offset: number): void {
    let count = 0
    while (count + 1 < this.#offsets.length && this.#offsets[count + 1]! <= offset) count++
    if (count === 0) return
    this.#offsets.splice(0, count)
    this.#maxima.splice(0, count)
    this.#before.splice(0, count)
  }

  get encodedBytes(): number {
    return 4 + 8 + 8 + 8 + this.#offsets.length * POINT_BYTES
  }

  encode(out: Buffer, start: number): number {
    let at = out.writeUInt32BE(this.#offsets.length, start)
    at = out.writeDoubleBE(this.#stretchBytes, at)
    at = out.writeDoubleBE(this.#bytes, at)
    at = out.writeDoubleBE(this.#sinceMs, at)
    for (let index = 0; index < this.#offsets.length; index++) {
      at = out.writeDoubleBE(this.#offsets[index]!, at)
      at = out.writeDoubleBE(this.#maxima[index]!, at)
      at = out.writeDoubleBE(this.#before[index]!, at)
    }
    return at
  }

  /** Returns where it ended. */
  decode(bytes: Buffer, start: number): number {
    this.#stretchBytes = bytes.readDoubleBE(start + 4)
    this.#bytes = bytes.readDoubleBE(start + 12)
    this.#sinceMs = bytes.readDoubleBE(start + 20)
    let at = start + 28
    for (let left = bytes.readUInt32BE(start); left > 0; left--) {
      this.#offsets.push(bytes.readDoubleBE(at))
      this.#maxima.push(bytes.readDoubleBE(at + 8))
      this.#before.push(bytes.readDoubleBE(at + 16))
      at += POINT_BYTES
    }
    return at
  }

  #halve(): void {
    const count = this.#offsets.length
    let to = 0
    for (let from = 0; from < count; from += 2) {
      this.#offsets[to] = this.#offsets[from]!
      this.#before[to] = this.#before[from]!
      this.#maxima[to] = Math.max(this.#maxima[from]!, this.#maxima[from + 1] ?? -1)
      to++
    }
    this.#offsets.length = to
    this.#maxima.length = to
    this.#before.length = to
    this.#stretchBytes *= 2
  }
}
