import type { Log, LogEntry } from '../engine/contract.ts'
import { KIND } from './record.ts'

/**
 * Finds the record of a message by its offset. Keeps its place, so that reading on in order costs
 * one step each.
 */
export class RecordCursor {
  /** The entry that holds the record found last. */
  entry: LogEntry | null = null
  /** Where that record starts in `entry.data`. */
  start = 0
  /** Owned by `Shard`: counted among those that rest on an entry. */
  isWarm = false
  #offset = 0

  /** Whether the record of `offset` was found in memory; false: `Log.read` must bring it. */
  seek(log: Log, offset: number): boolean {
    const entry = this.entry
    if (entry !== null && offset >= this.#offset && offset < entry.baseOffset + entry.count) {
      return this.#walk(entry, offset)
    }
    if (entry !== null && offset >= entry.baseOffset && offset < this.#offset) {
      return this.adopt(entry, offset)
    }
    const found = log.peek(offset)
    return found !== null && this.adopt(found, offset)
  }

  /** Looks in an entry that the caller got elsewhere; false when `offset` is not a message in it. */
  adopt(entry: LogEntry, offset: number): boolean {
    this.entry = entry
    this.start = 0
    this.#offset = entry.baseOffset
    return this.#walk(entry, offset)
  }

  /** Lets go of the entry, so that an idle reader keeps no memory. */
  forget(): void {
    this.entry = null
    this.isWarm = false
  }

  #walk(entry: LogEntry, offset: number): boolean {
    const data = entry.data
    let at = this.start
    let here = this.#offset
    while (at < data.length) {
      const kind = data[at + 4]!
      if (kind === KIND.MESSAGE || kind === KIND.MOVED) {
        if (here === offset) {
          this.start = at
          this.#offset = here
          return true
        }
        here++
      }
      at += data.readUInt32BE(at)
    }
    this.entry = null
    return false
  }
}
