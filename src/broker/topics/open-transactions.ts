/** A transaction that was given up: what its producer wrote between the two is not to be read. */
export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

/** A transaction that is going on. */
interface Open {
  readonly firstOffset: number
  /** The native form of its batches. */
  readonly form: number
}

/** A transaction whose end is not on disk yet. */
interface Ending {
  readonly firstOffset: number
  readonly markerOffset: number
}

const OPEN_BYTES = 17
const ABORTED_FIELDS = 4
const ABORTED_BYTES = ABORTED_FIELDS * 8
const SPARE_MAX = 1024 * ABORTED_FIELDS

/**
 * Which transactions stand open in a partition, and which were given up. Both follow from the
 * batches and markers in the log, in order.
 */
export class OpenTransactions {
  /** By producer, in ascending order of first offset. */
  readonly #open: Map<number, Open> = new Map()
  #firstOpen = Infinity
  #endings: Ending[] = []
  /**
   * Of each aborted one, in order of its marker: producer, first offset, offset of the marker, and
   * what was stable after it: no later one begins below that.
   */
  #aborted: number[] = []
  #abortedHead = 0

  get openCount(): number {
    return this.#open.size
  }

  get abortedCount(): number {
    return (this.#aborted.length - this.#abortedHead) / ABORTED_FIELDS
  }

  isOpen(producerId: number): boolean {
    return this.#open.has(producerId)
  }

  /** The first offset of the transaction that a producer has open; -1: none. */
  firstOffsetOf(producerId: number): number {
    return this.#open.get(producerId)?.firstOffset ?? -1
  }

  /** The native form of that transaction; 0: it has none open. */
  formOf(producerId: number): number {
    return this.#open.get(producerId)?.form ?? 0
  }

  /** A batch of a transaction was appended: its first one opens it here. */
  wrote(producerId: number, firstOffset: number, form: number): void {
    if (this.#open.has(producerId)) return
    this.#open.set(producerId, { firstOffset, form })
    if (firstOffset < this.#firstOpen) this.#firstOpen = firstOffset
  }

  /** Its end was appended; false when nothing of it stood here. */
  ended(producerId: number, markerOffset: number, isCommit: boolean): boolean {
    const open = this.#open.get(producerId)
    if (open === undefined) return false
    const { firstOffset } = open
    this.#open.delete(producerId)
    if (firstOffset === this.#firstOpen) {
      this.#firstOpen = Infinity
      for (const next of this.#open.values()) {
        this.#firstOpen = next.firstOffset
        break
      }
    }
    this.#endings.push({ firstOffset, markerOffset })
    if (!isCommit) {
      const stableOffset = Math.min(this.#firstOpen, markerOffset + 1)
      this.#aborted.push(producerId, firstOffset, markerOffset, stableOffset)
    }
    return true
  }

  /** Everything below `offset` is on disk. */
  committed(offset: number): void {
    if (this.#endings.length === 0) return
    this.#endings = this.#endings.filter(({ markerOffset }) => markerOffset >= offset)
  }

  /** Nothing below it can still be given up. `committedOffset` is the end of what is on disk. */
  stableOffset(committedOffset: number): number {
    let stable = Math.min(committedOffset, this.#firstOpen)
    for (const { firstOffset } of this.#endings) {
      if (firstOffset < stable) stable = firstOffset
    }
    return stable
  }

  /** Those with something between `from` and, not including, `to`, in order of first offset. */
  abortedWithin(from: number, to: number): AbortedTransaction[] {
    const found: AbortedTransaction[] = []
    const aborted = this.#aborted
    for (let at = this.#firstEndingFrom(from); at < aborted.length; at += ABORTED_FIELDS) {
      const firstOffset = aborted[at + 1]!
      if (firstOffset < to) found.push({ producerId: aborted[at]!, firstOffset })
      if (aborted[at + 3]! >= to) break
    }
    return found.sort((one, other) => one.firstOffset - other.firstOffset)
  }

  /** Whether what `producerId` wrote at `offset` as part of a transaction was given up. */
  isAborted(producerId: number, offset: number): boolean {
    const aborted = this.#aborted
    for (let at = this.#firstEndingFrom(offset); at < aborted.length; at += ABORTED_FIELDS) {
      if (aborted[at] === producerId && aborted[at + 1]! <= offset) return true
      if (aborted[at + 3]! > offset) break
    }
    return false
  }

  /** Nothing of the aborted transactions with these markers is left in the log. */
  forget(markerOffsets: readonly number[]): void {
    const gone = new Set(markerOffsets)
    const kept: number[] = []
    for (let at = this.#abortedHead; at < this.#aborted.length; at += ABORTED_FIELDS) {
      if (gone.has(this.#aborted[at + 2]!)) continue
      kept.push(...this.#aborted.slice(at, at + ABORTED_FIELDS))
    }
    this.#aborted = kept
    this.#abortedHead = 0
  }

  /** What ended below `offset` is kept no more. */
  trimBelow(offset: number): void {
    while (this.#abortedHead < this.#aborted.length) {
      if (this.#aborted[this.#abortedHead + 2]! >= offset) break
      this.#abortedHead += ABORTED_FIELDS
    }
    if (this.#abortedHead <= SPARE_MAX || this.#abortedHead * 2 < this.#aborted.length) return
    this.#aborted.splice(0, this.#abortedHead)
    this.#abortedHead = 0
  }

  get encodedBytes(): number {
    return 8 + this.#open.size * OPEN_BYTES + this.abortedCount * ABORTED_BYTES
  }

  encode(out: Buffer, start: number): number {
    let at = out.writeUInt32BE(this.#open.size, start)
    for (const [producerId, { firstOffset, form }] of this.#open) {
      at = out.writeDoubleBE(producerId, at)
      at = out.writeDoubleBE(firstOffset, at)
      at = out.writeUInt8(form, at)
    }
    at = out.writeUInt32BE(this.abortedCount, at)
    for (let from = this.#abortedHead; from < this.#aborted.length; from++) {
      at = out.writeDoubleBE(this.#aborted[from]!, at)
    }
    return at
  }

  /** Returns where it ended. */
  decode(bytes: Buffer, start: number): number {
    let at = start + 4
    for (let left = bytes.readUInt32BE(start); left > 0; left--) {
      this.wrote(bytes.readDoubleBE(at), bytes.readDoubleBE(at + 8), bytes.readUInt8(at + 16))
      at += OPEN_BYTES
    }
    const count = bytes.readUInt32BE(at) * ABORTED_FIELDS
    at += 4
    for (let index = 0; index < count; index++) {
      this.#aborted.push(bytes.readDoubleBE(at))
      at += 8
    }
    return at
  }

  /** Where the first one stands that ended at or after `offset`. */
  #firstEndingFrom(offset: number): number {
    let low = this.#abortedHead / ABORTED_FIELDS
    let high = this.#aborted.length / ABORTED_FIELDS
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#aborted[middle * ABORTED_FIELDS + 2]! < offset) low = middle + 1
      else high = middle
    }
    return low * ABORTED_FIELDS
  }
}
