/**
 * How an entry stands in a segment file. All numbers are little-endian.
 *
 *      0  u32  magic
 *      4  u32  checksum of bytes 8.. and of the data, seeded with the segment's salt
 *      8  u32  data bytes
 *     12  u32  count of offsets, 1 or more
 *     16  u64  base offset
 *     24  u64  time in milliseconds
 *     32  u64  group: the commit that wrote it; only grows
 *     40  u32  synced: every byte of this file before this position was on the device before
 *              this entry was written
 *     44  u32  epoch of the writer
 *     48  u32  flags: 1 = last entry of its group in this file
 *     52  u32  position of this entry in its file
 *     56  data
 *
 * `synced` is what tells a torn tail from damage: a broken entry below the `synced` of any whole
 * entry behind it had been acknowledged once. `position` and the salt keep bytes that only look
 * like an entry, such as a stored copy of a segment, from being taken for one.
 */
import { crc32 } from '../lib/checksum.ts'

export const ENTRY_HEADER_BYTES = 56
export const ENTRY_MAGIC_BYTES: Buffer = Buffer.from([0xf5, 0x57, 0x45, 0x8e])
const ENTRY_MAGIC = ENTRY_MAGIC_BYTES.readUInt32LE(0)
const FLAG_LAST = 1
const TWO_32 = 0x1_0000_0000

/** Entries with less data are copied next to their headers: cheaper than one more iovec each. */
const COPY_BYTES_MAX = 4096

/** What is stored: bytes that stand for `count` consecutive offsets. */
export interface StoredEntry {
  readonly baseOffset: number
  readonly count: number
  readonly timestampMs: number
  readonly data: Buffer
}

/** Where a group goes, and what is known there. */
export interface EntryPlace {
  readonly position: number
  readonly syncedBytes: number
  readonly salt: number
  readonly epoch: number
  readonly group: number
}

export interface EntryHeader {
  readonly dataBytes: number
  readonly count: number
  readonly baseOffset: number
  readonly timestampMs: number
  readonly group: number
  readonly syncedBytes: number
  readonly epoch: number
  readonly isLast: boolean
  readonly position: number
}

/** Returns the buffers to write at `place.position`, in order; large data is not copied. */
export function encodeGroup(entries: readonly StoredEntry[], place: EntryPlace): Buffer[] {
  let arenaBytes = 0
  for (const { data } of entries) {
    arenaBytes += ENTRY_HEADER_BYTES + (data.length <= COPY_BYTES_MAX ? data.length : 0)
  }
  const arena = Buffer.allocUnsafe(arenaBytes)
  const buffers: Buffer[] = []
  let start = 0
  let at = 0
  let position = place.position
  const last = entries.length - 1
  for (let index = 0; index <= last; index++) {
    const entry = entries[index]!
    const { data } = entry
    writeFields(arena, at, entry, place, position, index === last)
    const header = arena.subarray(at + 8, at + ENTRY_HEADER_BYTES)
    arena.writeUInt32LE(crc32(data, crc32(header, place.salt)), at + 4)
    at += ENTRY_HEADER_BYTES
    position += ENTRY_HEADER_BYTES + data.length
    if (data.length <= COPY_BYTES_MAX) {
      data.copy(arena, at)
      at += data.length
    } else {
      buffers.push(arena.subarray(start, at), data)
      start = at
    }
  }
  if (at > start) buffers.push(arena.subarray(start, at))
  return buffers
}

/** Six parameters, because an options object an entry costs more than it says. */
function writeFields(
  target: Buffer,
  at: number,
  entry: StoredEntry,
  place: EntryPlace,
  position: number,
  isLast: boolean,
): void {
  target.writeUInt32LE(ENTRY_MAGIC, at)
  target.writeUInt32LE(entry.data.length, at + 8)
  target.writeUInt32LE(entry.count, at + 12)
  writeU64(target, entry.baseOffset, at + 16)
  writeU64(target, entry.timestampMs, at + 24)
  writeU64(target, place.group, at + 32)
  target.writeUInt32LE(place.syncedBytes, at + 40)
  target.writeUInt32LE(place.epoch, at + 44)
  target.writeUInt32LE(isLast ? FLAG_LAST : 0, at + 48)
  target.writeUInt32LE(position, at + 52)
}

/** Bytes that the entries take in a file. */
export function groupBytes(entries: readonly StoredEntry[]): number {
  let bytes = entries.length * ENTRY_HEADER_BYTES
  for (const entry of entries) bytes += entry.data.length
  return bytes
}

/**
 * The header at `at`, or null when none can stand there. Checks only what needs no data, so it
 * says how many bytes to fetch; `isWhole` then checks everything.
 */
export function decodeHeader(bytes: Buffer, at: number, position: number): EntryHeader | null {
  if (at + ENTRY_HEADER_BYTES > bytes.length) return null
  if (bytes.readUInt32LE(at) !== ENTRY_MAGIC) return null
  if (bytes.readUInt32LE(at + 52) !== position) return null
  return {
    dataBytes: bytes.readUInt32LE(at + 8),
    count: bytes.readUInt32LE(at + 12),
    baseOffset: readU64(bytes, at + 16),
    timestampMs: readU64(bytes, at + 24),
    group: readU64(bytes, at + 32),
    syncedBytes: bytes.readUInt32LE(at + 40),
    epoch: bytes.readUInt32LE(at + 44),
    isLast: (bytes.readUInt32LE(at + 48) & FLAG_LAST) !== 0,
    position,
  }
}

/** Whether header and data at `at` carry their checksum. All of the entry must be in `bytes`. */
export function isWhole(bytes: Buffer, at: number, dataBytes: number, salt: number): boolean {
  const end = at + ENTRY_HEADER_BYTES + dataBytes
  if (end > bytes.length) return false
  return crc32(bytes.subarray(at + 8, end), salt) === bytes.readUInt32LE(at + 4)
}

export function writeU64(target: Buffer, value: number, at: number): void {
  target.writeUInt32LE(value % TWO_32, at)
  target.writeUInt32LE(Math.floor(value / TWO_32), at + 4)
}

/** May exceed the safe integers where the bytes are damaged; such a value compares as too large. */
export function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32
}
