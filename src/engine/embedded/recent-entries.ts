import type { LogEntry } from '../contract.ts'

/** What an entry takes beside its data: the object, the view on its bytes, the place in arrays. */
const ENTRY_OVERHEAD_BYTES = 200

/** An entry in memory, with what `Log.append` was told to call; null once anybody was given it. */
export interface HeldEntry extends LogEntry {
  free: (() => void) | null
}

/** Bytes that an entry takes in memory. */
export function entryCost(entry: LogEntry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES
}

/** Once so many removed places are at the front of the array, it is shortened. */
const SPARE_MAX = 1024

/** The newest entries of one log in memory, in order of offset; offsets may be missing. */
export class RecentEntries {
  bytes = 0
  #entries: HeldEntry[] = []
  #head = 0
  /** Where the last lookup ended: the next one mostly wants the same entry or the one after. */
  #hint = 0

  get count(): number {
    return this.#entries.length - this.#head
  }

  get oldest(): LogEntry | null {
    return this.#entries[this.#head] ?? null
  }

  push(entry: HeldEntry): void {
    this.#entries.push(entry)
    this.bytes += entryCost(entry)
  }

  /** The entry that contains `offset`, or null. */
  find(offset: number): LogEntry | null {
    const near = this.#near(offset)
    if (near !== null) return given(near)
    const index = this.#indexFrom(offset)
    const entry = this.#entries[index]
    if (entry === undefined || entry.baseOffset > offset) return null
    this.#hint = index
    return given(entry)
  }

  /** Entries from the one that contains `offset`, or the next one, on, until `bytesMax`. */
  collect(offset: number, bytesMax: number): LogEntry[] {
    const found: LogEntry[] = []
    let bytes = 0
    for (let index = this.#indexFrom(offset); index < this.#entries.length; index++) {
      const entry = this.#entries[index]!
      bytes += entry.data.length
      if (found.length > 0 && bytes > bytesMax) break
      found.push(given(entry))
    }
    return found
  }

  /** The first entry at or after `timeMs`, or null. */
  findTime(timeMs: number): LogEntry | null {
    for (let index = this.#head; index < this.#entries.length; index++) {
      const entry = this.#entries[index]!
      if (entry.timestampMs >= timeMs) return given(entry)
    }
    return null
  }

  /** The oldest entries that end at or below `below`, until they make up `bytes`. */
  oldestUpTo(below: number, bytes: number): LogEntry[] {
    const found: LogEntry[] = []
    let sum = 0
    for (let index = this.#head; index < this.#entries.length && sum < bytes; index++) {
      const entry = this.#entries[index]!
      if (entry.baseOffset + entry.count > below) break
      found.push(given(entry))
      sum += entryCost(entry)
    }
    return found
  }

  /** Removes the oldest entry and returns its bytes; 0 when there is none. */
  dropOldest(): number {
    const entry = this.#entries[this.#head]
    if (entry === undefined) return 0
    this.#removeAt(this.#head, 1)
    entry.free?.()
    return entryCost(entry)
  }

  /** Removes every entry that ends at or below `offset`; returns their bytes. */
  dropBelow(offset: number): number {
    const before = this.bytes
    this.#removeAt(this.#head, this.#indexFrom(offset) - this.#head)
    return before - this.bytes
  }

  /** Removes every entry that lies whole within `from` to `to`; returns their bytes. */
  dropWithin(from: number, to: number): number {
    const before = this.bytes
    let first = this.#indexFrom(from)
    const straddles = (this.#entries[first]?.baseOffset ?? from) < from
    if (straddles) first++
    let last = this.#indexFrom(to)
    if (last < first) last = first
    this.#removeAt(first, last - first)
    return before - this.bytes
  }

  clear(): number {
    const { bytes } = this
    this.#entries = []
    this.#head = 0
    this.bytes = 0
    return bytes
  }

  #near(offset: number): HeldEntry | null {
    for (let index = this.#hint; index < this.#hint + 2; index++) {
      const entry = index < this.#head ? undefined : this.#entries[index]
      if (entry === undefined) return null
      if (offset >= entry.baseOffset && offset < entry.baseOffset + entry.count) {
        this.#hint = index
        return entry
      }
    }
    return null
  }

  /** The index of the first entry that ends after `offset`. */
  #indexFrom(offset: number): number {
    let low = this.#head
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const entry = this.#entries[middle]!
      if (entry.baseOffset + entry.count <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #removeAt(first: number, count: number): void {
    if (count <= 0) return
    for (let index = first; index < first + count; index++) {
      this.bytes -= entryCost(this.#entries[index]!)
    }
    if (first > this.#head) {
      this.#entries.splice(first, count)
    } else {
      // Moving the front costs nothing; only the references must go, or the bytes would stay.
      this.#entries.fill(GONE, first, first + count)
      this.#head += count
      if (this.#head > SPARE_MAX && this.#head * 2 > this.#entries.length) this.#compact()
    }
  }

  #compact(): void {
    this.#entries.splice(0, this.#head)
    this.#hint = Math.max(0, this.#hint - this.#head)
    this.#head = 0
  }
}

const NO_BYTES = Buffer.alloc(0)
const GONE: HeldEntry = { baseOffset: 0, count: 0, timestampMs: 0, data: NO_BYTES, free: null }

/** Whoever has it may keep it, so its bytes are the collector's from now on. */
function given(entry: HeldEntry): LogEntry {
  entry.free = null
  return entry
}
