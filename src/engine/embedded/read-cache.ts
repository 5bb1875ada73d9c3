import type { LogEntry } from '../contract.ts'
import { floorIndex } from '../../storage/segment-index.ts'

/** What one read brought: consecutive entries that share a buffer, so they go together. */
interface Block {
  readonly owner: CachedReads
  readonly entries: readonly LogEntry[]
  readonly first: number
  readonly end: number
  readonly bytes: number
}

/** Bounds what all logs together keep of their reads; the longest unused block goes first. */
export class ReadCache {
  readonly #bytesMax: number
  readonly #blocks = new Set<Block>()
  #bytes = 0
  #newest: Block | null = null

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  add(block: Block): void {
    this.#blocks.add(block)
    this.#newest = block
    this.#bytes += block.bytes
    for (const oldest of this.#blocks) {
      // The newest stays even if it is too large alone: its reader is about to look at it.
      if (this.#bytes <= this.#bytesMax || oldest === block) break
      oldest.owner.forget(oldest)
    }
  }

  touch(block: Block): void {
    if (this.#newest === block) return
    this.#blocks.delete(block)
    this.#blocks.add(block)
    this.#newest = block
  }

  remove(block: Block): void {
    if (this.#blocks.delete(block)) this.#bytes -= block.bytes
    if (this.#newest === block) this.#newest = null
  }
}

/** The part of the read cache that belongs to one log. */
export class CachedReads {
  readonly #cache: ReadCache
  /** In order of `first`. */
  readonly #blocks: Block[] = []
  readonly #firsts: number[] = []
  #hit: Block | null = null
  #hint = 0

  constructor(cache: ReadCache) {
    this.#cache = cache
  }

  add(entries: readonly LogEntry[]): void {
    const first = entries[0]!.baseOffset
    const last = entries.at(-1)!
    const end = last.baseOffset + last.count
    let bytes = 0
    for (const entry of entries) bytes += entry.data.length
    // Whatever the new block holds too would only hide it from lookups.
    for (let at = floorIndex(this.#firsts, first - 1) + 1; at < this.#blocks.length;) {
      const block = this.#blocks[at]!
      if (block.first >= end) break
      if (block.end <= end) this.forget(block)
      else at++
    }
    const at = floorIndex(this.#firsts, first) + 1
    const block: Block = { owner: this, entries, first, end, bytes }
    this.#blocks.splice(at, 0, block)
    this.#firsts.splice(at, 0, first)
    this.#cache.add(block)
  }

  /** The entry that contains `offset`, or null. */
  find(offset: number): LogEntry | null {
    const block = this.#blockOf(offset)
    if (block === null) return null
    const entry = block.entries[this.#indexIn(block, offset)]
    return entry === undefined || entry.baseOffset > offset ? null : entry
  }

  /** Entries from the one that contains `offset` on, until `bytesMax`; none if it is not here. */
  collect(offset: number, bytesMax: number): LogEntry[] {
    const block = this.#blockOf(offset)
    if (block === null) return []
    const from = this.#indexIn(block, offset)
    if ((block.entries[from]?.baseOffset ?? Infinity) > offset) return []
    return takeUpTo(block.entries, from, bytesMax)
  }

  forget(block: Block): void {
    const at = this.#blocks.indexOf(block)
    if (at >= 0) {
      this.#blocks.splice(at, 1)
      this.#firsts.splice(at, 1)
    }
    if (this.#hit === block) this.#hit = null
    this.#cache.remove(block)
  }

  /** Forgets whatever lies whole within `from` to `to`. */
  forgetWithin(from: number, to: number): void {
    for (let at = floorIndex(this.#firsts, from - 1) + 1; at < this.#blocks.length;) {
      const block = this.#blocks[at]!
      if (block.first >= to) break
      if (block.end <= to) this.forget(block)
      else at++
    }
  }

  clear(): void {
    while (this.#blocks.length > 0) this.forget(this.#blocks[0]!)
  }

  #blockOf(offset: number): Block | null {
    const hit = this.#hit
    if (hit !== null && offset >= hit.first && offset < hit.end) return hit
    const block = this.#blocks[floorIndex(this.#firsts, offset)]
    if (block === undefined || offset >= block.end) return null
    this.#cache.touch(block)
    this.#hit = block
    this.#hint = 0
    return block
  }

  /** The index of the first entry that ends after `offset`. */
  #indexIn(block: Block, offset: number): number {
    const { entries } = block
    for (let at = this.#hint; at < this.#hint + 2; at++) {
      const entry = entries[at]
      if (entry === undefined) break
      if (offset >= entry.baseOffset && offset < entry.baseOffset + entry.count) {
        this.#hint = at
        return at
      }
    }
    let low = 0
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const entry = entries[middle]!
      if (entry.baseOffset + entry.count <= offset) low = middle + 1
      else high = middle
    }
    this.#hint = low
    return low
  }
}

/** Entries from index `from` on until `bytesMax`, at least one if there is one. */
export function takeUpTo(entries: readonly LogEntry[], from: number, bytesMax: number): LogEntry[] {
  const found: LogEntry[] = []
  let bytes = 0
  for (let at = from; at < entries.length; at++) {
    const entry = entries[at]!
    bytes += entry.data.length
    if (found.length > 0 && bytes > bytesMax) break
    found.push(entry)
  }
  return found
}
