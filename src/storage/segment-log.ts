import { DiskError, syncFile, writeFile } from './disk.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { EntryPlace, StoredEntry } from './entry-format.ts'
import { ENTRY_HEADER_BYTES, groupBytes } from './entry-format.ts'
import { RangeSet } from './range-set.ts'
import type { SegmentFiles } from './segment-files.ts'
import { recoverSegments } from './segment-recovery.ts'
import type { Cut } from './segment-recovery.ts'
import { readSegment } from './segment-reader.ts'
import type { SegmentReadDone } from './segment-reader.ts'
import type { CorruptError } from './segment-scan.ts'
import {
  Segment,
  encodeSegmentHeader,
  indexPath,
  segmentHeaderBytes,
  segmentPath,
} from './segment.ts'

export interface SegmentLogOptions {
  readonly disk: Disk
  readonly files: SegmentFiles
  readonly folder: string
  readonly logId: number
  readonly name: string
  /** A segment takes no new group once it holds this many bytes. */
  readonly segmentBytes: number
  /** False for scratch logs: nothing is synced, nothing is expected after a restart. */
  readonly durable: boolean
  /** Offsets that are needed no more, when the owner keeps them itself. */
  readonly discarded?: RangeSet
}

/**
 * The files of one log: full segments that only are read, and the active one at the end.
 *
 * Segments may be missing anywhere, because they are freed in whichever order their offsets are
 * discarded. The active one is always there, and its base offset is what keeps offsets from being
 * used twice when everything else is gone.
 */
export class SegmentLog {
  /** What recovery took off the end of the log when it was opened. */
  readonly cut: Cut | null
  /** May be changed; goes for segments that are not full yet. */
  segmentBytes: number
  readonly #options: SegmentLogOptions
  /** In order of base offset; the last one is active. */
  readonly #segments: Segment[]
  /** Null as long as nothing is on disk. */
  #file: DiskFile | null
  /** How much of the active segment its index file speaks of; -1: it has none. */
  #indexedBytes: number
  readonly #discarded: RangeSet
  #removals: Promise<unknown> = Promise.resolve()

  private constructor(
    options: SegmentLogOptions,
    found: {
      readonly segments: Segment[]
      readonly file: DiskFile | null
      readonly cut: Cut | null
      readonly indexedBytes: number
    },
  ) {
    this.#options = options
    this.segmentBytes = options.segmentBytes
    this.#discarded = options.discarded ?? new RangeSet()
    this.#segments = found.segments
    this.#file = found.file
    this.#indexedBytes = found.indexedBytes
    this.cut = found.cut
  }

  /** Makes an empty log whose first entry will have offset `baseOffset`. */
  static async create(options: SegmentLogOptions, baseOffset = 0): Promise<SegmentLog> {
    await options.disk.makeFolder(options.folder)
    if (options.durable) await syncUpwards(options.disk, options.folder)
    const { segment, file } = await createSegment(options, baseOffset)
    return new SegmentLog(options, { segments: [segment], file, cut: null, indexedBytes: -1 })
  }

  /** An empty log of which nothing is on disk; `bear` must come before its first group. */
  static unborn(options: SegmentLogOptions): SegmentLog {
    const path = segmentPath(options.folder, 0)
    const bytes = segmentHeaderBytes(options.name)
    const segment = new Segment(path, options.logId, { baseOffset: 0, bytes })
    return new SegmentLog(options, { segments: [segment], file: null, cut: null, indexedBytes: -1 })
  }

  /** Opens the log as a crash or a close left it; throws `CorruptError` where that is damaged. */
  static async open(options: SegmentLogOptions): Promise<SegmentLog> {
    const found = await recoverSegments(options)
    const active = found.segments.at(-1)!
    const { file } = found
    // What a crash left in the page cache, the file's name too, must be on the device before
    // anything builds on it.
    if (found.isUnsynced) {
      await syncFile(file)
      await options.disk.syncFolder(options.folder)
    }
    active.file = file
    active.users++
    return new SegmentLog(options, found)
  }

  get active(): Segment {
    return this.#segments.at(-1)!
  }

  get activeFile(): DiskFile {
    return this.#file!
  }

  /** False for a log that has no files yet. */
  get isBorn(): boolean {
    return this.#file !== null
  }

  /** Makes the files; that the folder has a name is for the caller to sync, for many at once. */
  async bear(): Promise<void> {
    if (this.isBorn) return
    await this.#options.disk.makeFolder(this.#options.folder)
    const { segment, file } = await createSegment(this.#options, 0)
    this.#segments[0] = segment
    this.#file = file
  }

  get segments(): readonly Segment[] {
    return this.#segments
  }

  get startOffset(): number {
    return this.#segments[0]!.baseOffset
  }

  get nextOffset(): number {
    return this.active.nextOffset
  }

  get lastMs(): number {
    for (let index = this.#segments.length - 1; index >= 0; index--) {
      if (!this.#segments[index]!.isEmpty) return this.#segments[index]!.lastMs
    }
    return 0
  }

  get storedBytes(): number {
    let bytes = 0
    for (const segment of this.#segments) bytes += segment.bytes - segment.headerBytes
    return bytes
  }

  /** Where the next group goes. */
  place(epoch: number, group: number): EntryPlace {
    const { bytes, syncedBytes, salt } = this.active
    return { position: bytes, syncedBytes, salt, epoch, group }
  }

  /** Whether `roll` must come before a group of so many bytes. */
  needsRoll(bytes: number): boolean {
    const { active } = this
    return !active.isEmpty && active.bytes + bytes > this.segmentBytes
  }

  /** Notes that the entries now stand in the active segment. */
  written(entries: readonly StoredEntry[], place: EntryPlace): void {
    const { active } = this
    let position = place.position
    for (const { baseOffset, timestampMs, data } of entries) {
      active.index.add(baseOffset, position, timestampMs)
      position += ENTRY_HEADER_BYTES + data.length
    }
    const last = entries.at(-1)!
    if (active.isEmpty) active.firstMs = entries[0]!.timestampMs
    active.lastMs = last.timestampMs
    active.nextOffset = last.baseOffset + last.count
    active.bytes = place.position + groupBytes(entries)
    active.epoch = place.epoch
    active.group = place.group
  }

  /** Notes that the device holds the active segment up to `bytes`. */
  synced(bytes: number): void {
    this.active.syncedTo(bytes)
  }

  /** Whether a power cut could take nothing of what was written. */
  get isSafe(): boolean {
    return this.active.safeBytes === this.active.bytes
  }

  /** Notes that the journal holds everything above what was safe before. */
  journaled(): void {
    this.active.safeBytes = this.active.bytes
  }

  /**
   * Syncs and closes the active segment and begins a new one, unless it holds nothing. On an error
   * nothing has changed.
   */
  async roll(): Promise<void> {
    const full = this.active
    // The new one would bear the same name, and take the place of this one on disk.
    if (full.isEmpty) return
    await this.sync()
    const { segment, file } = await createSegment(this.#options, full.nextOffset)
    // Only now is it certain that nothing more comes behind what the index speaks of.
    await this.#writeIndex(full, true)
    this.#segments.push(segment)
    this.#file = file
    this.#indexedBytes = -1
    this.#options.files.release(full)
    this.#freeCovered(full.baseOffset, full.nextOffset)
  }

  /** Brings everything written so far onto the device; may overlap with writes and rolls. */
  async sync(): Promise<void> {
    const { active: segment } = this
    const { bytes, file } = segment
    if (!this.#options.durable || segment.syncedBytes === bytes || file === null) return
    // The segment may become a full one meanwhile, whose file is closed when nobody uses it.
    segment.users++
    try {
      await syncFile(file)
      segment.syncedTo(bytes)
    } finally {
      this.#options.files.release(segment)
    }
  }

  /** Reads entries from the one that contains `offset`, or the next one kept, on. */
  read(offset: number, bytesMax: number, done: SegmentReadDone, target?: Buffer): void {
    const starts = (baseOffset: number, count: number): boolean => baseOffset + count > offset
    const segment = this.#segments.find((candidate) => candidate.nextOffset > offset)
    if (segment === undefined) {
      done(null, [])
      return
    }
    const { files } = this.#options
    const position = Math.max(segment.index.floorOfOffset(offset), segment.headerBytes)
    readSegment({ segment, files, position, bytesMax, starts, target }, done)
  }

  /** The first offset whose entry has a time at or after `timeMs`; `nextOffset` when none has. */
  findTime(
    timeMs: number,
    done: (error: DiskError | CorruptError | null, at: number) => void,
  ): void {
    const segment = this.#segments.find((each) => !each.isEmpty && each.lastMs >= timeMs)
    if (segment === undefined) {
      done(null, this.nextOffset)
      return
    }
    const { files } = this.#options
    const position = Math.max(segment.index.floorOfTime(timeMs), segment.headerBytes)
    const starts = (_base: number, _count: number, ms: number): boolean => ms >= timeMs
    readSegment({ segment, files, position, bytesMax: 1, starts }, (error, entries) => {
      done(error, entries[0]?.baseOffset ?? segment.nextOffset)
    })
  }

  /** Frees each full segment as soon as all of its offsets were discarded. */
  discard(from: number, to: number): void {
    this.#discarded.add(from, to)
    this.#freeCovered(from, to)
  }

  /** Whether the active segment holds at least `bytes` and nothing that is needed. */
  isActiveDead(bytes: number): boolean {
    const { active } = this
    const held = active.bytes - active.headerBytes
    return held >= bytes && this.#discarded.covers(active.baseOffset, active.nextOffset)
  }

  /** Frees full segments from the oldest on while `isOver` says so; returns whether any went. */
  trimHead(isOver: (oldest: Segment, storedBytes: number) => boolean): boolean {
    let storedBytes = this.storedBytes
    let count = 0
    while (count < this.#segments.length - 1) {
      const oldest = this.#segments[count]!
      if (!isOver(oldest, storedBytes)) break
      storedBytes -= oldest.bytes - oldest.headerBytes
      count++
    }
    for (const segment of this.#segments.splice(0, count)) this.#remove(segment)
    this.#discarded.removeBelow(this.startOffset)
    return count > 0
  }

  /** Syncs, notes how far the active segment is good, and closes the files. */
  async close(): Promise<void> {
    await this.sync()
    if (this.isBorn && this.#indexedBytes !== this.active.bytes) {
      await this.#writeIndex(this.active, false)
    }
    await this.#removals
    this.#closeFiles()
  }

  /** Closes the files without bringing anything to the device: after an error, or to delete. */
  async abandon(): Promise<void> {
    await this.#removals
    this.#closeFiles()
  }

  #closeFiles(): void {
    for (const segment of this.#segments) {
      if (segment === this.active && this.isBorn) this.#options.files.release(segment)
      this.#options.files.drop(segment)
    }
  }

  #freeCovered(from: number, to: number): void {
    const kept: Segment[] = []
    const { active } = this
    for (const segment of this.#segments) {
      const touched = segment.baseOffset < to && segment.nextOffset > from
      const covered = touched && this.#discarded.covers(segment.baseOffset, segment.nextOffset)
      if (covered && segment !== active) this.#remove(segment)
      else kept.push(segment)
    }
    if (kept.length === this.#segments.length) return
    this.#segments.splice(0, this.#segments.length, ...kept)
    this.#discarded.removeBelow(this.startOffset)
  }

  /** In the background: a file that a crash leaves behind is discarded again by the owner. */
  #remove(segment: Segment): void {
    const { disk, files } = this.#options
    files.drop(segment)
    const removal = disk.remove(segment.path).then(() => disk.remove(indexPath(segment.path)))
    this.#removals = Promise.all([this.#removals, removal]).catch(() => {
      // The file stays as if the crash had come first; its space is freed after a restart.
    })
  }

  /**
   * Not synced, and no trouble when it fails: without an index file that carries its checksum
   * the segment is read instead.
   */
  async #writeIndex(segment: Segment, isFinal: boolean): Promise<void> {
    const { disk, durable } = this.#options
    if (!durable) return
    try {
      const file = await disk.open(indexPath(segment.path), 'create')
      try {
        await writeFile(file, [segment.index.encode(segment, isFinal)], 0)
      } finally {
        await file.close()
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
    }
  }
}

async function createSegment(
  options: SegmentLogOptions,
  baseOffset: number,
): Promise<{ readonly segment: Segment; readonly file: DiskFile }> {
  const { disk, folder, logId, name, durable } = options
  const path = segmentPath(folder, baseOffset)
  const header = encodeSegmentHeader({ logId, baseOffset, name })
  const file = await disk.open(path, 'create')
  try {
    await writeFile(file, [header], 0)
    if (durable) {
      await syncFile(file)
      await disk.syncFolder(folder)
    }
  } catch (error) {
    await file.close()
    await disk.remove(path)
    throw error
  }
  const segment = new Segment(path, logId, { baseOffset, bytes: header.length })
  segment.file = file
  segment.users = 1
  return { segment, file }
}

/** The folder's own name must survive a power cut too, and that of each folder above it. */
async function syncUpwards(disk: Disk, folder: string): Promise<void> {
  for (let path = folder; path !== '';) {
    path = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
    await disk.syncFolder(path)
  }
}
