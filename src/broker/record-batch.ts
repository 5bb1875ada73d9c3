import type { Log } from '../engine/contract.ts'

const SLAB_BYTES_MIN = 4 * 1024

/**
 * The records of one turn for one log, written side by side into a slab and appended as one
 * entry. The log owns what was appended, so a slab is never written twice in the same place.
 */
export class RecordBatch {
  readonly log: Log
  readonly #slabBytesMax: number
  /** Where records are written; another one after each `reserve`, perhaps. */
  buffer: Buffer = Buffer.alloc(0)
  #start = 0
  #at = 0
  #messageCount = 0
  #holds = 0

  /** Slabs grow to `entryBytes`, which so is the usual size of an entry under load. */
  constructor(log: Log, entryBytes: number) {
    this.log = log
    this.#slabBytesMax = entryBytes
  }

  /** Whether nothing was written since the last entry. */
  get isEmpty(): boolean {
    return this.#at === this.#start
  }

  /** The offset that the next message takes. */
  get nextOffset(): number {
    return this.log.nextOffset + this.#messageCount
  }

  get messageCount(): number {
    return this.#messageCount
  }

  /** How many holds are open. */
  get holdCount(): number {
    return this.#holds
  }

  /** Until `endHold`, all records go into one entry, however large: all of them or none. */
  beginHold(): void {
    // What came before need not be in it, and together they could be too large for an entry.
    if (this.#holds === 0 && this.#at - this.#start > this.#slabBytesMax) this.append()
    this.#holds++
  }

  endHold(): void {
    this.#holds--
  }

  /** Makes room for a record in `buffer`; returns where it starts. */
  reserve(size: number): number {
    if (this.#at + size > this.buffer.length) this.#widen(size)
    const at = this.#at
    this.#at += size
    return at
  }

  /** The record just written is a message; returns its offset. */
  countMessage(): number {
    return this.log.nextOffset + this.#messageCount++
  }

  /** The record just written takes `count` offsets; returns the first of them. */
  countMessages(count: number): number {
    const offset = this.log.nextOffset + this.#messageCount
    this.#messageCount += count
    return offset
  }

  /** The bytes written since the last entry. */
  open(): Buffer {
    return this.buffer.subarray(this.#start, this.#at)
  }

  /** Appends what was written as one entry; nothing happens when it is empty. */
  append(): void {
    if (this.isEmpty) return
    const data = this.open()
    // An entry without a message stands for one offset too: the log knows no empty entries.
    const count = Math.max(1, this.#messageCount)
    this.#start = this.#at
    this.#messageCount = 0
    this.log.append(data, count)
  }

  #widen(size: number): void {
    const wanted = Math.min(this.#slabBytesMax, Math.max(SLAB_BYTES_MIN, this.buffer.length * 2))
    if (this.#holds === 0) {
      this.append()
      this.#start = 0
      this.#at = 0
      this.buffer = Buffer.allocUnsafeSlow(Math.max(size, wanted))
      return
    }
    const open = this.open()
    const wider = Buffer.allocUnsafeSlow(Math.max(wanted, (open.length + size) * 2))
    open.copy(wider)
    this.buffer = wider
    this.#start = 0
    this.#at = open.length
  }
}
