/** An extent is closed when it holds this much; space comes back in pieces of this size. */
const EXTENT_BYTES = 8 * 1024 * 1024

export interface Extent {
  readonly start: number
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
  #extents: Extent[] = []
  #hot: Extent | null = null
  #hotEnd = 0

  /** A record of `bytes` at `offset`, held by `refs` queues. */
  add(offset: number, bytes: number, refs: number): void {
    let last = this.#extents[this.#extents.length - 1]
    if (last === undefined || last.bytes >= EXTENT_BYTES) {
      last = { start: offset, bytes: 0, refs: 0, total: 0 }
      this.#extents.push(last)
      this.#hot = null
    }
    last.bytes += bytes
    last.refs += refs
    last.total += refs
  }

  /** One queue holds the message at `offset` no more. */
  release(offset: number): void {
    const hot = this.#hot
    if (hot !== null && offset >= hot.start && offset < this.#hotEnd) {
      hot.refs--
      return
    }
    const at = this.#indexOf(offset)
    if (at < 0) return
    this.#hot = this.#extents[at]!
    this.#hotEnd = this.#endOf(at)
    this.#hot.refs--
  }

  releaseRun(start: number, count: number): void {
    let from = start
    const end = start + count
    while (from < end) {
      const at = this.#indexOf(from)
      if (at < 0) return
      const to = Math.min(end, this.#endOf(at))
      this.#extents[at]!.refs -= to - from
      from = to
    }
  }

  /** Takes out the extents before `before` that nobody holds, and says which offsets they were. */
  takeDead(before: number): OffsetRange[] {
    const dead: OffsetRange[] = []
    const kept: Extent[] = []
    for (const [at, extent] of this.#extents.entries()) {
      const end = this.#endOf(at)
      if (extent.refs <= 0 && end <= before) dead.push({ start: extent.start, end })
      else kept.push(extent)
    }
    this.#extents = kept
    this.#hot = null
    return dead
  }

  /** Bytes of closed extents that nobody holds. */
  deadBytes(): number {
    let bytes = 0
    for (const extent of this.#extents) if (extent.refs <= 0) bytes += extent.bytes
    return bytes
  }

  /** The oldest extent before `before` of which at most `share` is still held, if any. */
  nearlyDead(before: number, share: number): OffsetRange | null {
    for (const [at, extent] of this.#extents.entries()) {
      const end = this.#endOf(at)
      if (end > before || extent.bytes < EXTENT_BYTES) continue
      if (extent.refs > 0 && extent.refs <= extent.total * share) {
        return { start: extent.start, end }
      }
    }
    return null
  }

  list(): readonly Extent[] {
    return this.#extents
  }

  restore(extents: readonly Extent[]): void {
    this.#extents = extents.map((extent) => ({ ...extent }))
    this.#hot = null
  }

  #endOf(at: number): number {
    const next = this.#extents[at + 1]
    // The open extent has no end yet; its records may still come.
    return next === undefined ? Number.MAX_SAFE_INTEGER : next.start
  }

  /** Index of the extent that holds `offset`, or -1. */
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
