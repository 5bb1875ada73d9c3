import type { Log } from '../../engine/contract.ts'

/** Slabs that wait for records: so many come back at once when the engine's memory is trimmed. */
const FREE_SLABS_MAX = 16

/** A buffer of the usual size, and how many entries in it are still needed. */
class Slab {
  readonly buffer: Buffer
  /** The writer counts as one while it writes there. */
  #users = 1
  readonly #onFree: (slab: Slab) => void
  /** Given to the log with each entry. */
  readonly release = (): void => {
    if (--this.#users === 0) this.#onFree(this)
  }

  constructor(bytes: number, onFree: (slab: Slab) => void) {
    this.buffer = Buffer.allocUnsafeSlow(bytes)
    this.#onFree = onFree
  }

  use(): void {
    this.#users++
  }
}

/**
 * Where all partitions write the records of a turn. Records that come one after the other for the
 * same log lie side by side and become one entry; a record for another log ends that. So thousands
 * of partitions share one slab, and each batch is copied once. Slabs of which nobody was given
 * anything are used again.
 */
export class RunWriter {
  readonly #slabBytes: number
  readonly #freeSlabs: Slab[] = []
  #slab: Slab | null = null
  /** Where records are written; another one after each `reserve`, perhaps. */
  buffer: Buffer = Buffer.alloc(0)
  /** Whose records lie from `#start` to `#at`. */
  #log: Log | null = null
  #start = 0
  #at = 0
  #count = 0

  /** `entryBytes` is the usual size of an entry under load. */
  constructor(entryBytes: number) {
    this.#slabBytes = entryBytes
  }

  /** The offset that the next record for `log` takes. */
  nextOffset(log: Log): number {
    return log.nextOffset + (log === this.#log ? this.#count : 0)
  }

  /** Makes room for a record of `log` in `buffer`; returns where it starts. */
  reserve(log: Log, size: number): number {
    if (this.#log !== log) {
      this.#end()
      this.#log = log
    }
    if (this.#at + size > this.buffer.length) {
      this.#end()
      this.#log = log
      this.#renew(size)
    }
    const at = this.#at
    this.#at += size
    return at
  }

  /** The record just reserved takes `count` offsets; returns the first of them. */
  take(count: number): number {
    const offset = this.#log!.nextOffset + this.#count
    this.#count += count
    return offset
  }

  /** Appends what was written for `log`; whoever wrote calls it before the turn is committed. */
  end(log: Log): void {
    if (this.#log === log) this.#end()
  }

  #end(): void {
    const log = this.#log
    this.#log = null
    if (log === null || this.#at === this.#start) return
    const data = this.buffer.subarray(this.#start, this.#at)
    const count = this.#count
    this.#start = this.#at
    this.#count = 0
    const slab = this.#slab!
    slab.use()
    log.append(data, count, slab.release)
  }

  #renew(size: number): void {
    this.#slab?.release()
    const slab = size <= this.#slabBytes ? this.#freeSlabs.pop() : undefined
    if (slab === undefined) {
      const bytes = Math.max(size, this.#slabBytes)
      this.#slab = new Slab(bytes, (free) => this.#give(free))
    } else {
      slab.use()
      this.#slab = slab
    }
    this.buffer = this.#slab.buffer
    this.#start = 0
    this.#at = 0
  }

  #give(slab: Slab): void {
    const isUsual = slab.buffer.length === this.#slabBytes
    if (isUsual && this.#freeSlabs.length < FREE_SLABS_MAX) this.#freeSlabs.push(slab)
  }
}
