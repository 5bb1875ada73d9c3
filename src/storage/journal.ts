/**
 * Groups that touch several logs, each as one record: one sync makes the whole group durable,
 * however many segments it touches; those are written afterwards and synced at a checkpoint.
 * All numbers are little-endian.
 *
 *      file header: u32 magic, u32 checksum of the rest, u64 number
 *      record:
 *      0  u32  magic
 *      4  u32  checksum of bytes 8.. up to the end of the part table, seeded with the number
 *      8  u32  parts
 *     12  u32  synced: bytes of this file that were on the device before
 *     16  u64  group
 *     24  u64  bytes of the record
 *     32  u32  position of this record in its file
 *     36  u32  unused
 *     40  part table, 32 bytes each: u64 log id, u64 base offset of the segment,
 *              u64 position there, u64 bytes
 *         the parts: entries just as they stand in their segment
 *
 * A record says what stands where, so replaying it twice, or over what is there, changes nothing.
 */
import { crc32 } from '../lib/checksum.ts'
import { ENTRY_HEADER_BYTES, decodeHeader, isWhole, readU64, writeU64 } from './entry-format.ts'
import { segmentSalt } from './segment.ts'

export const JOURNAL_HEADER_BYTES = 16
const FILE_MAGIC = 0x4e_4a_53_57
const RECORD_MAGIC_BYTES = Buffer.from([0xf6, 0x57, 0x4a, 0x9d])
const RECORD_MAGIC = RECORD_MAGIC_BYTES.readUInt32LE(0)
const RECORD_BYTES = 40
const PART_BYTES = 32

/** What goes into one segment. */
export interface JournalPart {
  readonly logId: number
  readonly baseOffset: number
  readonly position: number
  readonly buffers: readonly Buffer[]
}

export interface JournalPlace {
  readonly number: number
  readonly position: number
  readonly syncedBytes: number
  readonly group: number
}

export function encodeJournalHeader(number: number): Buffer {
  const bytes = Buffer.alloc(JOURNAL_HEADER_BYTES)
  bytes.writeUInt32LE(FILE_MAGIC, 0)
  writeU64(bytes, number, 8)
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

/** The buffers of a record that holds the parts; none of their bytes is copied. */
export function encodeRecord(parts: readonly JournalPart[], place: JournalPlace): Buffer[] {
  const head = Buffer.alloc(RECORD_BYTES + parts.length * PART_BYTES)
  const buffers: Buffer[] = [head]
  let total = head.length
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]!
    let bytes = 0
    for (const buffer of part.buffers) {
      bytes += buffer.length
      buffers.push(buffer)
    }
    const at = RECORD_BYTES + index * PART_BYTES
    writeU64(head, part.logId, at)
    writeU64(head, part.baseOffset, at + 8)
    writeU64(head, part.position, at + 16)
    writeU64(head, bytes, at + 24)
    total += bytes
  }
  head.writeUInt32LE(RECORD_MAGIC, 0)
  head.writeUInt32LE(parts.length, 8)
  head.writeUInt32LE(place.syncedBytes, 12)
  writeU64(head, place.group, 16)
  writeU64(head, total, 24)
  head.writeUInt32LE(place.position, 32)
  head.writeUInt32LE(crc32(head.subarray(8), place.number), 4)
  return buffers
}

export interface StoredPart {
  readonly logId: number
  readonly baseOffset: number
  readonly position: number
  readonly data: Buffer
}

export interface JournalScan {
  readonly parts: readonly StoredPart[]
  readonly recordCount: number
  /** The highest group; 0 when there is none. */
  readonly group: number
  /** The first thing that is no whole record; `proof` as in `ScanFault`. */
  readonly fault: { readonly position: number; readonly proof: string | null } | null
}

/**
 * Reads a whole journal file; `number` is the one in its name. With `goOn` the whole records
 * behind the first fault count too.
 */
export function scanJournal(
  bytes: Buffer,
  number: number,
  { goOn = false }: { readonly goOn?: boolean } = {},
): JournalScan {
  const parts: StoredPart[] = []
  let group = 0
  let recordCount = 0
  // A journal whose header is not whole never answered anybody.
  if (!hasHeader(bytes, number)) return { parts, group, recordCount, fault: null }
  let fault: JournalScan['fault'] = null
  let position = JOURNAL_HEADER_BYTES
  while (position >= 0 && position < bytes.length) {
    const record = decodeRecord(bytes, position, number)
    if (record === null) {
      fault ??= { position, proof: proofOf(bytes, position, number) }
      if (!goOn) break
      position = bytes.indexOf(RECORD_MAGIC_BYTES, position + 1)
      continue
    }
    parts.push(...record.parts)
    group = record.group
    recordCount++
    position += record.bytes
  }
  return { parts, group, recordCount, fault }
}

function hasHeader(bytes: Buffer, number: number): boolean {
  if (bytes.length < JOURNAL_HEADER_BYTES) return false
  return encodeJournalHeader(number).equals(bytes.subarray(0, JOURNAL_HEADER_BYTES))
}

interface Record {
  readonly parts: readonly StoredPart[]
  readonly group: number
  readonly syncedBytes: number
  readonly bytes: number
}

function decodeRecord(bytes: Buffer, at: number, number: number): Record | null {
  if (at + RECORD_BYTES > bytes.length || bytes.readUInt32LE(at) !== RECORD_MAGIC) return null
  if (bytes.readUInt32LE(at + 32) !== at) return null
  const count = bytes.readUInt32LE(at + 8)
  const headEnd = at + RECORD_BYTES + count * PART_BYTES
  if (headEnd > bytes.length) return null
  if (crc32(bytes.subarray(at + 8, headEnd), number) !== bytes.readUInt32LE(at + 4)) return null
  const parts: StoredPart[] = []
  let dataAt = headEnd
  for (let index = 0; index < count; index++) {
    const entryAt = at + RECORD_BYTES + index * PART_BYTES
    const size = readU64(bytes, entryAt + 24)
    const part = {
      logId: readU64(bytes, entryAt),
      baseOffset: readU64(bytes, entryAt + 8),
      position: readU64(bytes, entryAt + 16),
      data: bytes.subarray(dataAt, dataAt + size),
    }
    dataAt += size
    if (dataAt > bytes.length || !isWholePart(part)) return null
    parts.push(part)
  }
  const syncedBytes = bytes.readUInt32LE(at + 12)
  return { parts, group: readU64(bytes, at + 16), syncedBytes, bytes: dataAt - at }
}

function isWholePart(part: StoredPart): boolean {
  const salt = segmentSalt(part.logId, part.baseOffset)
  let at = 0
  while (at < part.data.length) {
    const header = decodeHeader(part.data, at, part.position + at)
    if (header === null || !isWhole(part.data, at, header.dataBytes, salt)) return false
    at += ENTRY_HEADER_BYTES + header.dataBytes
  }
  return true
}

function proofOf(bytes: Buffer, position: number, number: number): string | null {
  let at = bytes.indexOf(RECORD_MAGIC_BYTES, position + 1)
  while (at >= 0) {
    const record = decodeRecord(bytes, at, number)
    if (record !== null && record.syncedBytes > position) {
      return `a later record at byte ${at} is whole`
    }
    at = bytes.indexOf(RECORD_MAGIC_BYTES, at + 1)
  }
  return null
}
