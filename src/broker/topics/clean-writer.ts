import type { Log } from '../../engine/contract.ts'
import { KIND, putU32 } from '../record.ts'

const STAMP_BYTES = 16
/** An entry's count has 32 bits. */
const COUNT_MAX = 0xffff_ffff
/** A record is added in no more than so many parts. */
type Parts = readonly Buffer[]

/** The time at which what follows in an entry was first compacted: u32 size, u8 kind, 0.., f64. */
function stampOf(firstMs: number): Buffer {
  const stamp = Buffer.alloc(STAMP_BYTES)
  putU32(stamp, 0, STAMP_BYTES)
  stamp[4] = KIND.COMPACTED
  stamp.writeDoubleBE(firstMs, 8)
  return stamp
}

/** Writes the compacted log of a partition, whose entries stand for all offsets, kept or not. */
export class CleanWriter {
  readonly #log: Log
  readonly #entryBytes: number
  #parts: Buffer[] = []
  #bytes = 0
  #stampMs = -1
  /** Bytes given to the log. */
  appendedBytes = 0

  constructor(log: Log, entryBytes: number) {
    this.#log = log
    this.#entryBytes = entryBytes
  }

  /** Adds a record whose first offset is `offset`; what is between it and the one before is gone. */
  add(offset: number, firstMs: number, record: Parts): void {
    if (this.#bytes >= this.#entryBytes) this.#flush(offset)
    if (this.#stampMs !== firstMs) {
      this.#stampMs = firstMs
      this.#push(stampOf(firstMs))
    }
    for (const part of record) this.#push(part)
  }

  /** The compacted part ends at `offset`. */
  finish(offset: number): void {
    this.#flush(offset)
  }

  #push(part: Buffer): void {
    this.#parts.push(part)
    this.#bytes += part.length
  }

  #flush(end: number): void {
    while (end - this.#log.nextOffset > COUNT_MAX) this.#log.append(stampOf(0), COUNT_MAX)
    const count = end - this.#log.nextOffset
    if (count === 0) return
    if (this.#bytes === 0) this.#push(stampOf(0))
    this.#log.append(Buffer.concat(this.#parts, this.#bytes), count)
    this.appendedBytes += this.#bytes
    this.#parts = []
    this.#bytes = 0
    this.#stampMs = -1
  }
}
