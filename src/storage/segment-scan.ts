import { ENTRY_HEADER_BYTES, ENTRY_MAGIC_BYTES, decodeHeader, isWhole } from './entry-format.ts'
import type { EntryHeader } from './entry-format.ts'
import { SegmentIndex } from './segment-index.ts'
import type { SegmentSummary } from './segment-index.ts'

/** Stored bytes do not carry their checksum, and were acknowledged once. */
export class CorruptError extends Error {
  readonly file: string
  readonly position: number

  constructor(file: string, position: number, reason: string) {
    super(
      `${file} is damaged at byte ${position}: ${reason}; ` +
        `'waystation fsck DIR' lists all damage, with --repair it moves the damaged part aside`,
    )
    this.name = 'CorruptError'
    this.file = file
    this.position = position
  }
}

/** The first thing that is no whole entry where one should be. */
export interface ScanFault {
  readonly position: number
  readonly reason: string
  /**
   * Why the fault is damage and not the torn end of the last write: a later entry that was
   * written when this place was already synced, or a length noted at a clean close; else null.
   */
  readonly proof: string | null
}

export interface ScanResult {
  /** The end of the last whole group: whatever is behind may be cut if there is no proof. */
  readonly bytes: number
  readonly nextOffset: number
  readonly entryCount: number
  readonly firstMs: number
  readonly lastMs: number
  readonly epoch: number
  readonly group: number
  readonly index: SegmentIndex
  readonly fault: ScanFault | null
}

export interface ScanOptions {
  readonly salt: number
  /** Where the first entry stands. */
  readonly position: number
  readonly baseOffset: number
  /** Bytes known from elsewhere to have been synced: nothing below may be cut. */
  readonly trustedBytes?: number
  /** What is known of the bytes before `position`, when the scan does not begin at the first. */
  readonly before?: { readonly index: SegmentIndex; readonly summary: SegmentSummary }
}

/** Reads the whole of a segment file that is in `bytes` and says how far it is good. */
export function scanSegment(bytes: Buffer, options: ScanOptions): ScanResult {
  const { salt, trustedBytes = 0, before } = options
  const index = before?.index ?? new SegmentIndex()
  let position = options.position
  let nextOffset = options.baseOffset
  let entryCount = 0
  let firstMs = before?.summary.firstMs ?? 0
  let reason: string | null = null
  // What holds up to the end of the last whole group.
  const { lastMs = 0, epoch = 0, group = 0 } = before?.summary ?? {}
  let good = { bytes: position, nextOffset, entryCount, lastMs, epoch, group }
  while (position < bytes.length) {
    const header = decodeHeader(bytes, position, position)
    reason = faultOf(bytes, header, { position, salt, nextOffset })
    if (header === null || reason !== null) break
    index.add(header.baseOffset, position, header.timestampMs)
    if (entryCount++ === 0 && before === undefined) firstMs = header.timestampMs
    position += ENTRY_HEADER_BYTES + header.dataBytes
    nextOffset += header.count
    if (!header.isLast) continue
    good = {
      bytes: position,
      nextOffset,
      entryCount,
      lastMs: header.timestampMs,
      epoch: header.epoch,
      group: header.group,
    }
  }
  if (reason === null && good.bytes < position) reason = 'the last group is not complete'
  if (reason === null && position < trustedBytes) reason = 'the file is shorter than it was'
  const proof = reason === null ? null : proofOf(bytes, position, options)
  const fault = reason === null ? null : { position, reason, proof }
  return { ...good, firstMs, index, fault }
}

interface Expected {
  readonly position: number
  readonly salt: number
  readonly nextOffset: number
}

function faultOf(bytes: Buffer, header: EntryHeader | null, expected: Expected): string | null {
  const left = bytes.length - expected.position
  if (left < ENTRY_HEADER_BYTES) return `only ${left} bytes are left`
  if (header === null) return 'no entry begins there'
  if (header.dataBytes > left - ENTRY_HEADER_BYTES) {
    return `an entry of ${header.dataBytes} bytes does not fit`
  }
  if (!isWhole(bytes, expected.position, header.dataBytes, expected.salt)) {
    return 'the entry does not carry its checksum'
  }
  if (header.baseOffset !== expected.nextOffset || header.count === 0) {
    return `the entry has offset ${header.baseOffset}, expected ${expected.nextOffset}`
  }
  return null
}

function proofOf(bytes: Buffer, position: number, options: ScanOptions): string | null {
  const { salt, trustedBytes = 0 } = options
  if (position < trustedBytes) return `${trustedBytes} bytes were noted as stored`
  let at = bytes.indexOf(ENTRY_MAGIC_BYTES, position + 1)
  while (at >= 0) {
    const header = decodeHeader(bytes, at, at)
    if (
      header !== null &&
      header.syncedBytes > position &&
      isWhole(bytes, at, header.dataBytes, salt)
    ) {
      return `a later commit at byte ${at} is whole`
    }
    at = bytes.indexOf(ENTRY_MAGIC_BYTES, at + 1)
  }
  return null
}
