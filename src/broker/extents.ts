/** Ends no extent that still takes records. */
const OPEN_END = Number.MAX_SAFE_INTEGER

export interface Extent {
  readonly start: number
  /** The first offset after it; unreachably large while it takes records. */
  end: number
  /** Bytes of the records in it. */
  bytes: number
  /** Messages in it, counted once for each queue that still holds them. */
  refs: number
  /** How many `refs` it had at most. */
  total: number
}

/** A stretch of a log, from `start` up to, not including, `end`. */
export interface OffsetRange {
  readonly start: number
  readonly end: number
}

/**
 * Counts for each stretch of a log how much of it queues still hold, so that space follows what
 * is alive and one old message pins no more than its own stretch.
 */
export class Extents {
  readonly #extentBytes: number
  #extents: Extent[] = []
  #hot: Extent | null = null

  /** An extent is closed when it holds `extentBytes`; space comes back in pieces of that size. */
  constructor(extentBytes: number) {
    this.#extentBytes = extentBytes
  }

  /**
   * A record of `bytes`, a message at `offset` held by `refs` queues; 0 for what is no message:
   * it takes space too, and is needed no longer than the messages beside it.
   */
  add(offset: number, bytes: number, refs: number): void {
    let last = this.#extents[this.#extents.length - 1]
    if (last === undefined || last.bytes >= this.#extentBytes || last.end !== OPEN_END) {
      if (last !== undefined) last.end = Math.min(last.end, offset)
      last = { start: offset, end: OPEN_END, bytes: 0, refs: 0, total: 0 }
      this.#extents.push(last)
      this.#hot = null
    }
    last.bytes += bytes
    last.refs += refs
    last.total += refs
  }

  /** Ends the last extent before `offset`, the next to be written, if it is full or dead. */
  close(offset: number): void {
    const last = this.#extents[this.#extents.length - 1]
    if (last === undefined || last.end !== OPEN_END) return
    if (last.bytes >= this.#extentBytes || last.refs <= 0) last.end = offset
  }

  /** One queue holds the message at `offset` no more. */
  release(offset: number): void {
    const hot = this.#hot
    if (hot !== null && offset >= hot.start && offset < hot.end) {
      hot.refs--
      return
    }
    const extent = this.#extents[this.#indexOf(offset)]
    if (extent === undefined || offset >= extent.end) return
    this.#hot = extent
    extent.refs--
  }

  releaseRun(start: number, count: number): void {
    this.#change(start, count, -1)
  }

  /** Takes out the extents before `before` that nobody holds, and says which offsets they were. */
  takeDead(before: number): OffsetRange[] {
    const dead: OffsetRange[] = []
    const kept: Extent[] = []
    for (const extent of this.#extents) {
      const { start, end } = extent
      if (extent.refs <= 0 && end <= before) dead.push({ start, end })
      else kept.push(extent)
    }
    this.#extents = kept
    this.#hot = null
    return dead
  }

  /** Bytes of extents that nobody holds; of the last one only when it is worth an ending. */
  deadBytes(): number {
    let bytes = 0
    for (const extent of this.#extents) {
      if (extent.refs > 0) continue
      if (extent.end !== OPEN_END || extent.bytes >= this.#extentBytes / 8) bytes += extent.bytes
    }
    return bytes
  }

  /** The oldest extent before `before` of which at most `share` is still held, if any. */
  nearlyDead(before: number, share: number): OffsetRange | null {
    for (const { start, end, refs, total } of this.#extents) {
      if (end <= before && refs > 0 && refs <= total * share) return { start, end }
    }
    return null
  }

  list(): readonly Extent[] {
    return this.#extents
  }

  /** Puts back what a snapshot kept; nobody holds anything until `hold` says so. */
  restore(extents: readonly Extent[]): void {
    this.#extents = extents.map((extent) => ({ ...extent, refs: 0 }))
    this.#hot = null
  }

  /** Forgets who holds what, to be counted anew by `hold`. */
  clearRefs(): void {
    for (const extent of this.#extents) extent.refs = 0
  }

  /** One queue holds the messages of a run. */
  hold(start: number, count: number): void {
    this.#change(start, count, 1)
  }

  #change(start: number, count: number, step: number): void {
    const extents = this.#extents
    const end = start + count
    for (let at = Math.max(0, this.#indexOf(start)); at < extents.length; at++) {
      const extent = extents[at]!
      if (extent.start >= end) return
      const overlap = Math.min(end, extent.end) - Math.max(start, extent.start)
      if (overlap > 0) extent.refs += step * overlap
    }
  }

  /** Index of the last extent that starts at or before `offset`, or -1. */
  #indexOf(offset: number): number {
    const extents = this.#extents
    let low = 0
    let high = extents.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if (extents[middle]!.start <= offset) low = middle + 1
      else high = middle - 1
    }
    return high
  }
}
