import type { DiskError, DiskFile } from './disk.ts'
import { ENTRY_HEADER_BYTES, decodeHeader, isWhole } from './entry-format.ts'
import type { StoredEntry } from './entry-format.ts'
import type { SegmentFiles } from './segment-files.ts'
import { CorruptError } from './segment-scan.ts'
import type { Segment } from './segment.ts'

/** The index has a point at least this often, so an entry is found within it. */
const INDEX_SLACK_BYTES = 64 * 1024

export type SegmentReadDone = (
  error: DiskError | CorruptError | null,
  entries: readonly StoredEntry[],
) => void

export interface SegmentRead {
  readonly segment: Segment
  readonly files: SegmentFiles
  /** Where to begin: at an entry. */
  readonly position: number
  readonly bytesMax: number
  /** Entries before the first one for which this is true are passed over. */
  readonly starts: (baseOffset: number, count: number, timestampMs: number) => boolean
  /** Is read into if all fits. Default: a buffer of its own. */
  readonly target?: Buffer | undefined
}

/**
 * Reads whole entries of one segment in order, from the first that `starts` on, about `bytesMax`
 * of them and at least one, unless the segment ends before. All share one buffer.
 */
export function readSegment(read: SegmentRead, done: SegmentReadDone): void {
  read.files.use(read.segment, (error, file) => {
    if (error !== null || file === null) {
      done(error, [])
      return
    }
    new ReadPass(read, file, done).fetch(read.position, read.bytesMax + INDEX_SLACK_BYTES)
  })
}

class ReadPass {
  readonly #read: SegmentRead
  readonly #file: DiskFile
  readonly #done: SegmentReadDone

  constructor(read: SegmentRead, file: DiskFile, done: SegmentReadDone) {
    this.#read = read
    this.#file = file
    this.#done = done
  }

  fetch(position: number, sizeBytes: number): void {
    const { segment, target: given } = this.#read
    const size = Math.min(sizeBytes, segment.bytes - position)
    const target =
      given !== undefined && given.length >= size
        ? given.subarray(0, size)
        : Buffer.allocUnsafeSlow(size)
    this.#file.read(target, position, (error, bytesRead) => {
      if (error !== null) this.#finish(error, [])
      else if (bytesRead < target.length) this.#fail(position + bytesRead, 'the file ends there')
      else this.#parse(target, position)
    })
  }

  #parse(bytes: Buffer, start: number): void {
    const { segment, starts } = this.#read
    const entries: StoredEntry[] = []
    let at = 0
    while (at < bytes.length) {
      const position = start + at
      const left = bytes.length - at
      if (left < ENTRY_HEADER_BYTES && start + bytes.length < segment.bytes) break
      const header = decodeHeader(bytes, at, position)
      if (header === null) {
        this.#fail(position, 'no entry begins there')
        return
      }
      const size = ENTRY_HEADER_BYTES + header.dataBytes
      if (size > left) {
        if (position + size > segment.bytes) {
          this.#fail(position, `an entry of ${header.dataBytes} bytes does not fit`)
          return
        }
        break
      }
      const { baseOffset, count, timestampMs } = header
      if (entries.length > 0 || starts(baseOffset, count, timestampMs)) {
        if (!isWhole(bytes, at, header.dataBytes, segment.salt)) {
          this.#fail(position, 'the entry does not carry its checksum')
          return
        }
        const data = bytes.subarray(at + ENTRY_HEADER_BYTES, at + size)
        entries.push({ baseOffset, count, timestampMs, data })
      }
      at += size
    }
    const next = start + at
    if (entries.length > 0 || next >= segment.bytes) this.#finish(null, entries)
    else this.fetch(next, this.#sizeAt(bytes, at, next))
  }

  /** Enough for the entry at `position`, of which `bytes` may hold the header from `at` on. */
  #sizeAt(bytes: Buffer, at: number, position: number): number {
    const header = decodeHeader(bytes, at, position)
    const entryBytes = header === null ? 0 : ENTRY_HEADER_BYTES + header.dataBytes
    return Math.max(entryBytes, this.#read.bytesMax, INDEX_SLACK_BYTES)
  }

  #fail(position: number, reason: string): void {
    this.#finish(new CorruptError(this.#file.path, position, reason), [])
  }

  #finish(error: DiskError | CorruptError | null, entries: readonly StoredEntry[]): void {
    this.#read.files.release(this.#read.segment)
    this.#done(error, entries)
  }
}
