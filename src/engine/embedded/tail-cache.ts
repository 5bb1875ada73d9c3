import { entryCost } from './recent-entries.ts'
import type { HeldEntry, RecentEntries } from './recent-entries.ts'

/** A log whose newest entries are kept in memory. */
export interface TailOwner {
  readonly recent: RecentEntries
  /** Entries at or above it are not yet on disk, so they must stay. */
  readonly writtenOffset: number
}

/** Bounds the newest entries of all durable logs together: the oldest append goes first. */
export class TailCache {
  readonly #bytesMax: number
  /** One place per append; the oldest entry of an owner belongs to its first place. */
  #places: TailOwner[] = []
  #head = 0
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Takes an entry into `owner.recent`. */
  add(owner: TailOwner, entry: HeldEntry): void {
    owner.recent.push(entry)
    this.#places.push(owner)
    this.#bytes += entryCost(entry)
  }

  /** Called after a commit, when entries may go. */
  trim(): void {
    while (this.#bytes > this.#bytesMax && this.#head < this.#places.length) {
      const owner = this.#places[this.#head]!
      const oldest = owner.recent.oldest
      if (oldest !== null && oldest.baseOffset >= owner.writtenOffset) break
      this.#bytes -= owner.recent.dropOldest()
      this.#head++
    }
    if (this.#head > 1024 && this.#head * 2 > this.#places.length) {
      this.#places = this.#places.slice(this.#head)
      this.#head = 0
    }
  }

  /** Forgets all entries of a log that is closed. */
  release(owner: TailOwner): void {
    this.#bytes -= owner.recent.clear()
  }
}
