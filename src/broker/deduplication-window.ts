import type { Digest } from '../lib/digest.ts'

const FIRST_CAPACITY = 64
const ENTRY_BYTES = 24
const NOWHERE = -1

/**
 * The ids that one queue took in lately, each with its time: 32 bytes an id in typed arrays, for
 * 128 bits of it, until its time is over. A ring in the order they came, and a table of places in
 * it by digest, half full at most.
 *
 * With `idsMax` of them the oldest is forgotten before its time, and counted: a duplicate of it
 * would be taken for new.
 */
export class DeduplicationWindow {
  /** How long an id is remembered, in milliseconds. */
  windowMs: number
  /** Messages that were dropped since the broker started. */
  droppedCount = 0
  /** Ids that were forgotten before their time since the broker started. */
  forgottenCount = 0
  readonly #idsMax: number
  // The ring.
  #highs = new Float64Array(FIRST_CAPACITY)
  #lows = new Float64Array(FIRST_CAPACITY)
  #timesMs = new Float64Array(FIRST_CAPACITY)
  #head = 0
  #size = 0
  /** Places in the ring, by open addressing. */
  #table = new Int32Array(2 * FIRST_CAPACITY).fill(NOWHERE)

  constructor(windowMs: number, idsMax: number) {
    this.windowMs = windowMs
    this.#idsMax = idsMax
  }

  /** Ids in memory; some of them may be over. */
  get size(): number {
    return this.#size
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#highs.length * (ENTRY_BYTES + 8)
  }

  /** Whether the id came within the window. A clock that was put back makes it longer. */
  knows(id: Digest, nowMs: number): boolean {
    if (this.#size === 0) return false
    const place = this.#table[this.#slotOf(id.high, id.low)]!
    return place !== NOWHERE && nowMs - this.#timesMs[place]! < this.windowMs
  }

  remember(id: Digest, nowMs: number): void {
    this.#put(id.high, id.low, nowMs)
  }

  /** u32 count, and for each f64 high, f64 low, f64 time, the oldest first. */
  encode(): Buffer {
    const out = Buffer.allocUnsafe(4 + ENTRY_BYTES * this.#size)
    let at = out.writeUInt32BE(this.#size, 0)
    for (let index = 0; index < this.#size; index++) {
      const place = (this.#head + index) & (this.#highs.length - 1)
      at = out.writeDoubleBE(this.#highs[place]!, at)
      at = out.writeDoubleBE(this.#lows[place]!, at)
      at = out.writeDoubleBE(this.#timesMs[place]!, at)
    }
    return out
  }

  decode(bytes: Buffer): void {
    let at = 4
    for (let left = bytes.readUInt32BE(0); left > 0; left--) {
      this.#put(bytes.readDoubleBE(at), bytes.readDoubleBE(at + 8), bytes.readDoubleBE(at + 16))
      at += ENTRY_BYTES
    }
  }

  #put(high: number, low: number, timeMs: number): void {
    while (this.#size > 0 && timeMs - this.#timesMs[this.#head]! >= this.windowMs) this.#dropHead()
    const known = this.#table[this.#slotOf(high, low)]!
    if (known !== NOWHERE) {
      this.#timesMs[known] = timeMs
      return
    }
    if (this.#size >= this.#idsMax) {
      this.#dropHead()
      this.forgottenCount++
    }
    const capacity = this.#highs.length
    if (this.#size === capacity) this.#resize(capacity * 2)
    else if (capacity > FIRST_CAPACITY && this.#size * 8 < capacity) this.#resize(capacity / 2)
    const place = (this.#head + this.#size) & (this.#highs.length - 1)
    this.#highs[place] = high
    this.#lows[place] = low
    this.#timesMs[place] = timeMs
    this.#size++
    this.#table[this.#slotOf(high, low)] = place
  }

  #dropHead(): void {
    const place = this.#head
    this.#removeSlot(this.#slotOf(this.#highs[place]!, this.#lows[place]!))
    this.#head = (place + 1) & (this.#highs.length - 1)
    this.#size--
  }

  /** Whoever stands behind and could stand in the hole moves up, so that no probe ends early. */
  #removeSlot(slot: number): void {
    const table = this.#table
    const mask = table.length - 1
    let hole = slot
    for (let next = (hole + 1) & mask; table[next] !== NOWHERE; next = (next + 1) & mask) {
      const home = homeOf(this.#highs[table[next]!]!, mask)
      if (((next - home) & mask) < ((next - hole) & mask)) continue
      table[hole] = table[next]!
      hole = next
    }
    table[hole] = NOWHERE
  }

  #resize(capacity: number): void {
    const [highs, lows, timesMs] = [this.#highs, this.#lows, this.#timesMs]
    const mask = highs.length - 1
    this.#highs = new Float64Array(capacity)
    this.#lows = new Float64Array(capacity)
    this.#timesMs = new Float64Array(capacity)
    this.#table = new Int32Array(2 * capacity).fill(NOWHERE)
    for (let index = 0; index < this.#size; index++) {
      const from = (this.#head + index) & mask
      this.#highs[index] = highs[from]!
      this.#lows[index] = lows[from]!
      this.#timesMs[index] = timesMs[from]!
      this.#table[this.#slotOf(highs[from]!, lows[from]!)] = index
    }
    this.#head = 0
  }

  /** Where the id stands in the table, or where it would. */
  #slotOf(high: number, low: number): number {
    const table = this.#table
    const mask = table.length - 1
    let slot = homeOf(high, mask)
    for (; table[slot] !== NOWHERE; slot = (slot + 1) & mask) {
      const place = table[slot]!
      if (this.#highs[place] === high && this.#lows[place] === low) return slot
    }
    return slot
  }
}

/** Digests are spread already. */
function homeOf(high: number, mask: number): number {
  return (high % 0x1_0000_0000) & mask
}
