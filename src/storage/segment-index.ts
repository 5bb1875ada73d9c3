import { crc32 } from '../lib/checksum.ts'
import { readU64, writeU64 } from './entry-format.ts'

/** One point for so many bytes of segment: 10 GB of small entries take 160,000 points, 4 MB. */
const POINT_SPACING_BYTES = 64 * 1024

const MAGIC = 0x58_49_53_57
const HEADER_BYTES = 64
const POINT_BYTES = 20

/** What is known of a whole segment file without reading it. */
export interface SegmentSummary {
  /** Length of the file up to which the summary speaks. */
  readonly bytes: number
  readonly nextOffset: number
  readonly firstMs: number
  readonly lastMs: number
  readonly epoch: number
  /** The last commit that wrote here. */
  readonly group: number
}

/** What an index file says: all of that, as it was when the file was written. */
export interface StoredIndex {
  readonly index: SegmentIndex
  readonly summary: SegmentSummary
  /** Nothing was written behind it: the next segment had begun. */
  readonly isFinal: boolean
}

/**
 * Where in a segment file some of its offsets stand: sparse, so that ten million waiting messages
 * need no gigabytes of heap. Kept in memory; stored beside the segment when that is full.
 */
export class SegmentIndex {
  readonly #offsets: number[] = []
  readonly #positions: number[] = []
  readonly #times: number[] = []

  get pointCount(): number {
    return this.#offsets.length
  }

  /** Entries come in order of position; most of them make no point. */
  add(offset: number, position: number, timestampMs: number): void {
    const last = this.#positions.at(-1)
    if (last !== undefined && position - last < POINT_SPACING_BYTES) return
    this.#offsets.push(offset)
    this.#positions.push(position)
    this.#times.push(timestampMs)
  }

  /** A position at or before the entry that contains `offset`; -1 when there is none. */
  floorOfOffset(offset: number): number {
    const index = floorIndex(this.#offsets, offset)
    return index < 0 ? -1 : this.#positions[index]!
  }

  /** A position before the first entry at or after `timeMs`; -1 when there is none. */
  floorOfTime(timeMs: number): number {
    const index = floorIndex(this.#times, timeMs - 1)
    return index < 0 ? -1 : this.#positions[index]!
  }

  encode(summary: SegmentSummary, isFinal: boolean): Buffer {
    const count = this.#offsets.length
    const bytes = Buffer.alloc(HEADER_BYTES + count * POINT_BYTES)
    bytes.writeUInt32LE(MAGIC, 0)
    bytes.writeUInt32LE(count, 8)
    bytes.writeUInt32LE(summary.epoch, 12)
    writeU64(bytes, summary.bytes, 16)
    writeU64(bytes, summary.nextOffset, 24)
    writeU64(bytes, summary.firstMs, 32)
    writeU64(bytes, summary.lastMs, 40)
    writeU64(bytes, summary.group, 48)
    bytes.writeUInt32LE(isFinal ? 1 : 0, 56)
    for (let index = 0; index < count; index++) {
      const at = HEADER_BYTES + index * POINT_BYTES
      writeU64(bytes, this.#offsets[index]!, at)
      writeU64(bytes, this.#times[index]!, at + 8)
      bytes.writeUInt32LE(this.#positions[index]!, at + 16)
    }
    bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
    return bytes
  }
}

/** Null when the bytes are no whole index: then the segment itself must be read. */
export function decodeSegmentIndex(bytes: Buffer): StoredIndex | null {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return null
  const count = bytes.readUInt32LE(8)
  if (bytes.length !== HEADER_BYTES + count * POINT_BYTES) return null
  if (crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) return null
  const index = new SegmentIndex()
  for (let at = HEADER_BYTES; at < bytes.length; at += POINT_BYTES) {
    index.add(readU64(bytes, at), bytes.readUInt32LE(at + 16), readU64(bytes, at + 8))
  }
  const summary = {
    epoch: bytes.readUInt32LE(12),
    bytes: readU64(bytes, 16),
    nextOffset: readU64(bytes, 24),
    firstMs: readU64(bytes, 32),
    lastMs: readU64(bytes, 40),
    group: readU64(bytes, 48),
  }
  return { index, summary, isFinal: bytes.readUInt32LE(56) === 1 }
}

/** The last index whose value is at or below `wanted`; -1 when all are above. */
export function floorIndex(values: readonly number[], wanted: number): number {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! <= wanted) low = middle + 1
    else high = middle
  }
  return low - 1
}
