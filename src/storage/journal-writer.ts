import { DiskError, readWhole, syncFile, writeFile } from './disk.ts'
import type { Disk, DiskDone, DiskFile } from './disk.ts'
import { JOURNAL_HEADER_BYTES, encodeJournalHeader, encodeRecord, scanJournal } from './journal.ts'
import type { JournalPart, StoredPart } from './journal.ts'
import { saveAside } from './segment-recovery.ts'
import type { Cut } from './segment-recovery.ts'
import { CorruptError } from './segment-scan.ts'
import { segmentPath } from './segment.ts'

export const JOURNAL_FOLDER = 'journal'
const NAME = /^(\d+)\.journal$/

/** The journal file that is written now; there is none until the first group needs one. */
export class JournalWriter {
  readonly #disk: Disk
  #number: number
  #file: DiskFile | null = null
  #bytes = 0
  #syncedBytes = 0

  constructor(disk: Disk, number: number) {
    this.#disk = disk
    this.#number = number
  }

  get bytes(): number {
    return this.#bytes
  }

  get isOpen(): boolean {
    return this.#file !== null
  }

  /** Begins a journal file; the one before stays until `removeBefore`. */
  async begin(): Promise<void> {
    const number = this.#number + 1
    await this.#disk.makeFolder(JOURNAL_FOLDER)
    const path = journalPath(number)
    const file = await this.#disk.open(path, 'create')
    try {
      await writeFile(file, [encodeJournalHeader(number)], 0)
      await syncFile(file)
      await this.#disk.syncFolder(JOURNAL_FOLDER)
      await this.#disk.syncFolder('')
    } catch (error) {
      await file.close()
      await this.#disk.remove(path)
      throw error
    }
    await this.#file?.close()
    this.#number = number
    this.#file = file
    this.#bytes = JOURNAL_HEADER_BYTES
    this.#syncedBytes = JOURNAL_HEADER_BYTES
  }

  /** Writes one record; on an error nothing counts as written. */
  write(parts: readonly JournalPart[], group: number, done: DiskDone): void {
    const position = this.#bytes
    const place = { number: this.#number, position, syncedBytes: this.#syncedBytes, group }
    const buffers = encodeRecord(parts, place)
    this.#file!.write(buffers, position, (error) => {
      if (error === null) for (const buffer of buffers) this.#bytes += buffer.length
      done(error)
    })
  }

  sync(done: DiskDone): void {
    const bytes = this.#bytes
    this.#file!.sync((error) => {
      if (error === null) this.#syncedBytes = bytes
      done(error)
    })
  }

  /** Takes away what a refused write left behind. */
  async undo(): Promise<void> {
    await this.#file?.truncate(this.#bytes)
  }

  /** Removes every journal file but the current one; their segments must have been synced. */
  async removeBefore(): Promise<void> {
    for (const name of await this.#disk.list(JOURNAL_FOLDER)) {
      const number = Number(NAME.exec(name)?.[1] ?? Number.NaN)
      if (number < this.#number) await this.#disk.remove(`${JOURNAL_FOLDER}/${name}`)
    }
  }

  /** Closes and removes the journal; every segment must have been synced. */
  async end(): Promise<void> {
    await this.#file?.close()
    this.#file = null
    await this.#disk.remove(journalPath(this.#number))
    await this.removeBefore()
  }

  /** Leaves the journal to the recovery of the next start. */
  async abandon(): Promise<void> {
    await this.#file?.close()
    this.#file = null
  }
}

export interface ReplayResult {
  /** The number of the newest journal found; 0 when there was none. */
  readonly number: number
  /** The highest group found; 0 when there was none. */
  readonly group: number
  readonly recordCount: number
  readonly cuts: readonly Cut[]
}

/**
 * Brings what the journals hold into the segments and onto the device, then removes them.
 * Throws `CorruptError` when a journal is damaged anywhere but at its torn end.
 */
export async function replayJournals(
  disk: Disk,
  folderOf: (logId: number) => string,
): Promise<ReplayResult> {
  const cuts: Cut[] = []
  let number = 0
  let group = 0
  let recordCount = 0
  const names = (await disk.list(JOURNAL_FOLDER)).filter((name) => NAME.test(name))
  for (const name of names) {
    const path = `${JOURNAL_FOLDER}/${name}`
    number = Number(NAME.exec(name)![1])
    const bytes = (await readWhole(disk, path)) ?? Buffer.alloc(0)
    const scan = scanJournal(bytes, number)
    if (scan.fault !== null) {
      const { position, proof } = scan.fault
      const file = `${disk.name}/${path}`
      if (proof !== null)
        throw new CorruptError(file, position, `no record is whole there, but ${proof}`)
      const lost = bytes.subarray(position)
      const savedAs = await saveAside(disk, `${path.replaceAll('/', '-')}-${position}`, lost)
      const reason = 'the last record is not complete'
      cuts.push({ file, position, bytes: lost.length, reason, savedAs })
    }
    await redoParts(disk, scan.parts, folderOf)
    group = Math.max(group, scan.group)
    recordCount += scan.recordCount
  }
  for (const name of names) await disk.remove(`${JOURNAL_FOLDER}/${name}`)
  if (names.length > 0) await disk.syncFolder(JOURNAL_FOLDER)
  return { number, group, recordCount, cuts }
}

/** Writes each part where it belongs, unless its segment is gone, and syncs. */
export async function redoParts(
  disk: Disk,
  parts: readonly StoredPart[],
  folderOf: (logId: number) => string,
): Promise<void> {
  const files = new Map<string, DiskFile | null>()
  try {
    for (const part of parts) {
      const path = segmentPath(folderOf(part.logId), part.baseOffset)
      let file = files.get(path)
      if (file === undefined) {
        file = await openIfThere(disk, path)
        files.set(path, file)
      }
      if (file !== null) await writeFile(file, [part.data], part.position)
    }
    for (const file of files.values()) if (file !== null) await syncFile(file)
  } finally {
    for (const file of files.values()) await file?.close()
  }
}

/** A segment that is gone was discarded, or its log deleted: its part is needed no more. */
async function openIfThere(disk: Disk, path: string): Promise<DiskFile | null> {
  try {
    return await disk.open(path, 'write')
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return null
    throw error
  }
}

function journalPath(number: number): string {
  return `${JOURNAL_FOLDER}/${String(number).padStart(12, '0')}.journal`
}
