/**
 * One file of a log. All numbers are little-endian.
 *
 *      0  u32  magic
 *      4  u32  checksum of bytes 8.. of the header
 *      8  u32  format version
 *     12  u32  bytes of the log's name
 *     16  u64  log id
 *     24  u64  base offset
 *     32  name of the log in UTF-8, so that a store without its kv can still be understood
 *         entries, see entry-format.ts
 */
import { crc32 } from '../lib/checksum.ts'
import type { DiskFile } from './disk.ts'
import { readU64, writeU64 } from './entry-format.ts'
import { SegmentIndex } from './segment-index.ts'
import type { SegmentSummary } from './segment-index.ts'

export const SEGMENT_FORMAT = 1
const FIXED_BYTES = 32
const MAGIC = 0x47_45_53_57
/** Twenty digits hold any offset, and names then sort as offsets do. */
const NAME_DIGITS = 20

export interface SegmentHeader {
  readonly format: number
  readonly logId: number
  readonly baseOffset: number
  readonly name: string
  /** Where the first entry stands. */
  readonly bytes: number
}

export function segmentHeaderBytes(name: string): number {
  return FIXED_BYTES + Buffer.byteLength(name)
}

export function encodeSegmentHeader(header: Omit<SegmentHeader, 'bytes' | 'format'>): Buffer {
  const bytes = Buffer.alloc(segmentHeaderBytes(header.name))
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt32LE(SEGMENT_FORMAT, 8)
  bytes.writeUInt32LE(bytes.length - FIXED_BYTES, 12)
  writeU64(bytes, header.logId, 16)
  writeU64(bytes, header.baseOffset, 24)
  bytes.write(header.name, FIXED_BYTES)
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

/** Null when the bytes do not begin with a whole header. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | null {
  if (bytes.length < FIXED_BYTES || bytes.readUInt32LE(0) !== MAGIC) return null
  const end = FIXED_BYTES + bytes.readUInt32LE(12)
  if (end > bytes.length) return null
  if (crc32(bytes.subarray(8, end)) !== bytes.readUInt32LE(4)) return null
  return {
    format: bytes.readUInt32LE(8),
    logId: readU64(bytes, 16),
    baseOffset: readU64(bytes, 24),
    name: bytes.toString('utf8', FIXED_BYTES, end),
    bytes: end,
  }
}

/** Seeds the checksum of every entry, so that an entry of one segment is none in another. */
export function segmentSalt(logId: number, baseOffset: number): number {
  const identity = Buffer.alloc(16)
  writeU64(identity, logId, 0)
  writeU64(identity, baseOffset, 8)
  return crc32(identity)
}

export function segmentPath(folder: string, baseOffset: number): string {
  return `${folder}/${String(baseOffset).padStart(NAME_DIGITS, '0')}.seg`
}

export function indexPath(segment: string): string {
  return segment.replace(/\.seg$/, '.idx')
}

/** A segment file as the running store knows it. */
export class Segment {
  readonly baseOffset: number
  readonly path: string
  readonly salt: number
  readonly headerBytes: number
  /** Bytes that were written and answered. */
  bytes: number
  /** Bytes that are known to be on the device. */
  syncedBytes: number
  /** Bytes that a power cut cannot take: synced, or in a journal that was. */
  safeBytes: number
  nextOffset: number
  firstMs = 0
  lastMs = 0
  epoch = 0
  group = 0
  index: SegmentIndex = new SegmentIndex()
  /** Null while nobody has it open. */
  file: DiskFile | null = null
  /** How many reads or writers need `file` to stay open. */
  users = 0
  /** Its entries are gone; the file goes with its last user. */
  isDropped = false

  constructor(path: string, logId: number, header: Pick<SegmentHeader, 'baseOffset' | 'bytes'>) {
    this.path = path
    this.baseOffset = header.baseOffset
    this.salt = segmentSalt(logId, header.baseOffset)
    this.headerBytes = header.bytes
    this.bytes = header.bytes
    this.syncedBytes = header.bytes
    this.safeBytes = header.bytes
    this.nextOffset = header.baseOffset
  }

  get isEmpty(): boolean {
    return this.nextOffset === this.baseOffset
  }

  /** Notes that the device holds everything up to `bytes`. */
  syncedTo(bytes: number): void {
    this.syncedBytes = Math.max(this.syncedBytes, bytes)
    this.safeBytes = Math.max(this.safeBytes, bytes)
  }

  /** Takes over what an index file or a scan says. */
  apply(summary: SegmentSummary, index: SegmentIndex): void {
    this.bytes = summary.bytes
    this.syncedBytes = summary.bytes
    this.safeBytes = summary.bytes
    this.nextOffset = summary.nextOffset
    this.firstMs = summary.firstMs
    this.lastMs = summary.lastMs
    this.epoch = summary.epoch
    this.group = summary.group
    this.index = index
  }
}
