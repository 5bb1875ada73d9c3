import { readFile, readWhole, syncFile, writeFile } from './disk.ts'
import type { Disk, DiskFile } from './disk.ts'
import { CorruptError, scanSegment } from './segment-scan.ts'
import type { ScanResult } from './segment-scan.ts'
import { decodeSegmentIndex } from './segment-index.ts'
import type { StoredIndex } from './segment-index.ts'
import {
  SEGMENT_FORMAT,
  Segment,
  decodeSegmentHeader,
  indexPath,
  segmentHeaderBytes,
} from './segment.ts'
import type { SegmentHeader } from './segment.ts'

/** Bytes taken off the end of a log, because the crash came before they were acknowledged. */
export interface Cut {
  readonly file: string
  readonly position: number
  readonly bytes: number
  readonly reason: string
  /** Where the bytes were put; null when there were none but zeros. */
  readonly savedAs: string | null
}

export interface RecoveryOptions {
  readonly disk: Disk
  readonly folder: string
  readonly logId: number
  readonly name: string
}

interface Recovered {
  readonly segments: Segment[]
  readonly cut: Cut | null
  /** Whether the last segment holds bytes of which nobody knows that the device has them. */
  readonly isUnsynced: boolean
  /** The last segment, open for writing: the caller closes it. */
  readonly file: DiskFile
  /** Up to which size of it its index file speaks of all; -1: it does not. */
  readonly indexedBytes: number
}

/** Where cut and damaged parts are kept; nothing is ever deleted that had a chance to matter. */
const ASIDE_FOLDER = 'aside'

/**
 * Finds the segments of a log. Only the end of the last file is read, from where its index file
 * says that all is well; a full one whose index file is missing is read whole.
 */
export async function recoverSegments(options: RecoveryOptions): Promise<Recovered> {
  const { disk, folder } = options
  const names = await disk.list(folder)
  const files = names.filter((name) => name.endsWith('.seg')).map((name) => `${folder}/${name}`)
  const strays = names.filter((name) => name.endsWith('.idx'))
  for (const name of strays) {
    if (!names.includes(name.replace(/\.idx$/, '.seg'))) await disk.remove(`${folder}/${name}`)
  }
  await dropUnborn(options, files)
  if (files.length === 0) {
    throw new CorruptError(
      `${disk.name}/${folder}`,
      0,
      `no segment of log '${options.name}' is left`,
    )
  }
  const segments: Segment[] = []
  for (const path of files.slice(0, -1)) segments.push(await openFull(options, path))
  const last = await openLast(options, files.at(-1)!)
  segments.push(last.segment)
  try {
    checkOrder(disk, segments)
  } catch (error) {
    await last.file.close()
    throw error
  }
  return { ...last, segments }
}

/** A crash while a segment was begun may leave it without a whole header; nothing was in it. */
async function dropUnborn(options: RecoveryOptions, files: string[]): Promise<void> {
  const path = files.at(-1)
  if (path === undefined || files.length < 2) return
  const { disk } = options
  const file = await disk.open(path, 'read')
  const headerBytes = segmentHeaderBytes(options.name)
  let head: Buffer
  let size: number
  try {
    size = await file.size()
    head = await readFile(file, 0, Math.min(size, headerBytes))
  } finally {
    await file.close()
  }
  if (size > headerBytes || decodeSegmentHeader(head) !== null) return
  await disk.remove(path)
  await disk.remove(indexPath(path))
  // Should it come back after a power cut, it would begin before the end of the one before it.
  await disk.syncFolder(options.folder)
  files.pop()
}

/**
 * A full segment was synced before the next one began, so all of it must be good. An index file
 * from an earlier close may be beside it still, when the crash came before the final one.
 */
async function openFull(options: RecoveryOptions, path: string): Promise<Segment> {
  const { disk, logId, name } = options
  const known = await readIndex(disk, path)
  if (known?.isFinal === true) {
    const baseOffset = baseOffsetOf(path)
    const segment = new Segment(path, logId, { baseOffset, bytes: segmentHeaderBytes(name) })
    segment.apply(known.summary, known.index)
    return segment
  }
  const bytes = (await readWhole(disk, path)) ?? Buffer.alloc(0)
  const { segment, scan } = scanWhole(options, path, bytes)
  if (scan.fault !== null) {
    const { position, reason } = scan.fault
    throw new CorruptError(`${disk.name}/${path}`, position, reason)
  }
  segment.apply(scan, scan.index)
  return segment
}

function scanWhole(
  options: RecoveryOptions,
  path: string,
  bytes: Buffer,
): { readonly segment: Segment; readonly header: SegmentHeader; readonly scan: ScanResult } {
  const header = checkHeader(options, path, bytes)
  const segment = new Segment(path, options.logId, header)
  const { salt, baseOffset } = segment
  const scan = scanSegment(bytes, { salt, position: header.bytes, baseOffset })
  return { segment, header, scan }
}

function checkHeader(options: RecoveryOptions, path: string, bytes: Buffer): SegmentHeader {
  const file = `${options.disk.name}/${path}`
  const header = decodeSegmentHeader(bytes)
  if (header === null) throw new CorruptError(file, 0, 'the header does not carry its checksum')
  if (header.format > SEGMENT_FORMAT) {
    throw new CorruptError(file, 8, `format ${header.format} is newer than ${SEGMENT_FORMAT}`)
  }
  const { logId, baseOffset } = header
  if (logId !== options.logId || baseOffset !== baseOffsetOf(path)) {
    throw new CorruptError(file, 0, `the header is that of log ${logId} from offset ${baseOffset}`)
  }
  return header
}

async function openLast(
  options: RecoveryOptions,
  path: string,
): Promise<Omit<Recovered, 'segments'> & { readonly segment: Segment }> {
  const { disk, logId, name } = options
  const known = await readIndex(disk, path)
  const file = await disk.open(path, 'write')
  try {
    const size = await file.size()
    const headerBytes = segmentHeaderBytes(name)
    const segment = new Segment(path, logId, { baseOffset: baseOffsetOf(path), bytes: headerBytes })
    if (known !== null && known.summary.bytes === size) {
      segment.apply(known.summary, known.index)
      const indexedBytes = size
      return { segment, cut: null, isUnsynced: false, file, indexedBytes }
    }
    const bytes = await readFile(file, 0, size)
    checkHeader(options, path, bytes)
    const { salt, baseOffset } = segment
    const trustedBytes = known?.summary.bytes ?? 0
    const scan =
      known === null
        ? scanSegment(bytes, { salt, position: headerBytes, baseOffset })
        : scanSegment(bytes, {
            salt,
            position: Math.min(known.summary.bytes, size),
            baseOffset: known.summary.nextOffset,
            trustedBytes,
            before: known,
          })
    if (scan.fault !== null && scan.fault.proof !== null) {
      const { position, reason, proof } = scan.fault
      throw new CorruptError(`${disk.name}/${path}`, position, `${reason}, but ${proof}`)
    }
    segment.apply(scan, scan.index)
    const cut = scan.fault === null ? null : await cutTail(options, file, { path, bytes, scan })
    return { segment, cut, isUnsynced: true, file, indexedBytes: -1 }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function cutTail(
  options: RecoveryOptions,
  file: DiskFile,
  tail: { readonly path: string; readonly bytes: Buffer; readonly scan: ScanResult },
): Promise<Cut> {
  const { disk } = options
  const { path, bytes, scan } = tail
  const lost = bytes.subarray(scan.bytes)
  const savedAs = lost.every((byte) => byte === 0)
    ? null
    : await saveAside(disk, `${path.replaceAll('/', '-')}-${scan.bytes}`, lost)
  await file.truncate(scan.bytes)
  await syncFile(file)
  return {
    file: `${disk.name}/${path}`,
    position: scan.bytes,
    bytes: lost.length,
    reason: scan.fault!.reason,
    savedAs,
  }
}

/** Keeps a copy of bytes that are about to be taken out of the store; returns its path. */
export async function saveAside(disk: Disk, name: string, bytes: Buffer): Promise<string> {
  await disk.makeFolder(ASIDE_FOLDER)
  const taken = new Set(await disk.list(ASIDE_FOLDER))
  let unique = name
  for (let attempt = 1; taken.has(unique); attempt++) unique = `${name}-${attempt}`
  const path = `${ASIDE_FOLDER}/${unique}`
  const file = await disk.open(path, 'create')
  try {
    await writeFile(file, [bytes], 0)
    await syncFile(file)
  } finally {
    await file.close()
  }
  await disk.syncFolder(ASIDE_FOLDER)
  await disk.syncFolder('')
  return path
}

function checkOrder(disk: Disk, segments: readonly Segment[]): void {
  for (let index = 1; index < segments.length; index++) {
    const before = segments[index - 1]!
    const segment = segments[index]!
    if (segment.baseOffset >= before.nextOffset) continue
    const reason = `it begins at offset ${segment.baseOffset}, the one before ends at ${before.nextOffset}`
    throw new CorruptError(`${disk.name}/${segment.path}`, 0, reason)
  }
}

async function readIndex(disk: Disk, path: string): Promise<StoredIndex | null> {
  const bytes = await readWhole(disk, indexPath(path))
  return bytes === null ? null : decodeSegmentIndex(bytes)
}

export function baseOffsetOf(path: string): number {
  return Number(/(\d+)\.seg$/.exec(path)?.[1] ?? Number.NaN)
}
