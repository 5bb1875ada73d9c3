import { FileDisk } from '../../storage/disk-file.ts'
import { readWhole } from '../../storage/disk.ts'
import type { Disk } from '../../storage/disk.ts'
import { JOURNAL_FOLDER, replayJournals } from '../../storage/journal-writer.ts'
import { scanJournal } from '../../storage/journal.ts'
import type { StoredPart } from '../../storage/journal.ts'
import { walkSegment } from '../../storage/segment-check.ts'
import type { Damage, Run } from '../../storage/segment-check.ts'
import { decodeSegmentIndex } from '../../storage/segment-index.ts'
import { baseOffsetOf } from '../../storage/segment-recovery.ts'
import { scanSegment } from '../../storage/segment-scan.ts'
import {
  decodeSegmentHeader,
  indexPath,
  segmentHeaderBytes,
  segmentSalt,
} from '../../storage/segment.ts'
import { EngineError } from '../contract.ts'
import { toEngineError } from './engine-errors.ts'
import { decodeItems } from './kv-format.ts'
import { noteLogName } from './log-record.ts'
import { repairJournal, repairSegment } from './repair-store.ts'
import {
  KV_LOG_ID,
  KV_LOG_NAME,
  LOCK_FILE,
  checkFormat,
  isStore,
  listLogIds,
  logFolder,
  nameInSegments,
} from './store-folder.ts'

/** Something in the store that is not as it was written. */
export interface StoreFault {
  readonly file: string
  readonly position: number
  readonly bytes: number
  readonly reason: string
  /** Name of the log, and the offsets that stood there; absent for the journal. */
  readonly log?: string
  readonly lostFrom?: number
  /** null when nothing behind says where the next offset begins. */
  readonly lostTo?: number | null
  /** Where repair put what was there; null when nothing was repaired. */
  readonly savedAs: string | null
}

export interface CheckedLog {
  readonly id: number
  readonly name: string
  readonly segmentCount: number
  readonly entryCount: number
  readonly bytes: number
  readonly startOffset: number
  readonly nextOffset: number
}

export interface StoreReport {
  readonly directory: string
  readonly logs: readonly CheckedLog[]
  /** Damage: what was acknowledged once and cannot be read. */
  readonly faults: readonly StoreFault[]
  /** Ends that a crash left torn; the next start cuts them, nothing in them was acknowledged. */
  readonly tornEnds: readonly StoreFault[]
}

/**
 * Reads a whole store, every byte of it, and says what is damaged. With `repair`, what is damaged
 * is moved to the folder `aside`, never deleted; whatever else can be read stays, and the store
 * opens again.
 *
 * Rejects with `EngineError`: `locked` when a process has the store open, `not-found` when there
 * is none, `corrupt` when it is of a newer format, `io`.
 */
export async function checkStore(
  where: string | Disk,
  { repair = false }: { readonly repair?: boolean } = {},
): Promise<StoreReport> {
  const disk = typeof where === 'string' ? new FileDisk(where) : where
  try {
    if (!(await isStore(disk))) {
      throw new EngineError('not-found', `${disk.name} holds no waystation store`)
    }
    const lock = await disk.lock(LOCK_FILE)
    try {
      await checkFormat(disk)
      return await new StoreCheck(disk, repair).run()
    } finally {
      await lock.release()
    }
  } catch (error) {
    throw toEngineError(error)
  }
}

/** A segment file as it would be after the journal was replayed. */
export interface LoadedSegment {
  readonly path: string
  readonly logId: number
  readonly name: string
  readonly baseOffset: number
  readonly bytes: Buffer
  readonly isLast: boolean
  /** What the index file beside it says, or 0. */
  readonly knownBytes: number
  readonly knownOffset: number
}

class StoreCheck {
  readonly #disk: Disk
  readonly #repair: boolean
  readonly #faults: StoreFault[] = []
  readonly #tornEnds: StoreFault[] = []
  readonly #logs: CheckedLog[] = []
  /** Names by number, as the kv tells them; it is the first log to be checked. */
  readonly #names = new Map<number, string>([[KV_LOG_ID, KV_LOG_NAME]])

  constructor(disk: Disk, repair: boolean) {
    this.#disk = disk
    this.#repair = repair
  }

  async run(): Promise<StoreReport> {
    const parts = await this.#checkJournals()
    // A journal says where in a segment its parts belong, and repair moves things there: so
    // everything in it must be in place before, and it must be gone afterwards.
    if (this.#repair) await replayJournals(this.#disk, logFolder)
    for (const id of await listLogIds(this.#disk)) await this.#checkLog(id, parts)
    return {
      directory: this.#disk.name,
      logs: this.#logs,
      faults: this.#faults,
      tornEnds: this.#tornEnds,
    }
  }

  async #checkJournals(): Promise<StoredPart[]> {
    const disk = this.#disk
    const parts: StoredPart[] = []
    for (const name of await disk.list(JOURNAL_FOLDER)) {
      const number = Number(/^(\d+)\.journal$/.exec(name)?.[1] ?? Number.NaN)
      if (Number.isNaN(number)) continue
      const path = `${JOURNAL_FOLDER}/${name}`
      const bytes = (await readWhole(disk, path)) ?? Buffer.alloc(0)
      const scan = scanJournal(bytes, number, { goOn: true })
      parts.push(...scan.parts)
      if (scan.fault === null) continue
      const { position, proof } = scan.fault
      const isTorn = proof === null
      const savedAs =
        isTorn || !this.#repair
          ? null
          : await repairJournal(disk, path, { bytes, parts: scan.parts })
      const reason = isTorn ? 'the last record is not complete' : `no record is whole, but ${proof}`
      const fault = {
        file: this.#full(path),
        position,
        bytes: bytes.length - position,
        reason,
        savedAs,
      }
      if (isTorn) this.#tornEnds.push(fault)
      else this.#faults.push(fault)
    }
    return parts
  }

  async #checkLog(id: number, parts: readonly StoredPart[]): Promise<void> {
    const folder = logFolder(id)
    const names = (await this.#disk.list(folder)).filter((name) => name.endsWith('.seg'))
    // Every segment bears the name too, so that neither kv nor header alone is needed.
    const name = this.#names.get(id) ?? (await nameInSegments(this.#disk, id)) ?? `log ${id}`
    let entryCount = 0
    let bytes = 0
    let nextOffset = 0
    for (const [index, file] of names.entries()) {
      const isLast = index === names.length - 1
      const segment = await this.#load(`${folder}/${file}`, { id, name, isLast, parts })
      const found = await this.#checkSegment(segment)
      for (const { entries } of found.runs) {
        entryCount += entries.length
        for (const { data } of entries) {
          bytes += data.length
          if (id !== KV_LOG_ID) continue
          for (const item of decodeItems(data)) noteLogName(this.#names, item)
        }
      }
      nextOffset = Math.max(nextOffset, found.nextOffset)
    }
    const startOffset = names.length === 0 ? 0 : baseOffsetOf(names[0]!)
    const segmentCount = names.length
    this.#logs.push({ id, name, segmentCount, entryCount, bytes, startOffset, nextOffset })
  }

  async #checkSegment(
    segment: LoadedSegment,
  ): Promise<{ readonly runs: readonly Run[]; readonly nextOffset: number }> {
    const { bytes, baseOffset, name, knownBytes, knownOffset } = segment
    const headerBytes = segmentHeaderBytes(name)
    const salt = segmentSalt(segment.logId, baseOffset)
    const walk = walkSegment(bytes, { salt, position: headerBytes, baseOffset })
    const damage = [...walk.damage]
    const header = decodeSegmentHeader(bytes)
    const isUnborn = header === null && segment.isLast && bytes.length <= headerBytes
    if (header === null && !isUnborn) {
      const reason = 'the header does not carry its checksum'
      damage.unshift({
        position: 0,
        end: headerBytes,
        reason,
        lostFrom: baseOffset,
        lostTo: baseOffset,
      })
    }
    const lastEntry = walk.runs.at(-1)?.entries.at(-1)
    const reached = lastEntry === undefined ? baseOffset : lastEntry.baseOffset + lastEntry.count
    if (bytes.length < knownBytes) {
      const reason = `the file ends there, but ${knownBytes} bytes were stored`
      const { length: position } = bytes
      damage.push({ position, end: position, reason, lostFrom: reached, lostTo: knownOffset })
    }
    const nextOffset = Math.max(reached, knownOffset)
    if (damage.length === 0) {
      // Every entry is whole, but the last group may not be.
      this.#noteTornEnd(segment, salt)
      return { runs: walk.runs, nextOffset }
    }
    if (header !== null && this.#noteTornEnd(segment, salt)) return { runs: walk.runs, nextOffset }
    await this.#report(segment, damage, walk.runs)
    return { runs: walk.runs, nextOffset }
  }

  /** Whether what is wrong is no more than the torn end of the last write. */
  #noteTornEnd(segment: LoadedSegment, salt: number): boolean {
    if (!segment.isLast) return false
    const { bytes, baseOffset, name, knownBytes } = segment
    const position = segmentHeaderBytes(name)
    const { fault, bytes: end } = scanSegment(bytes, {
      salt,
      position,
      baseOffset,
      trustedBytes: knownBytes,
    })
    if (fault === null || fault.proof !== null) return false
    this.#tornEnds.push({
      file: this.#full(segment.path),
      position: end,
      bytes: bytes.length - end,
      reason: fault.reason,
      log: name,
      savedAs: null,
    })
    return true
  }

  async #report(
    segment: LoadedSegment,
    damage: readonly Damage[],
    runs: readonly Run[],
  ): Promise<void> {
    const savedAs = this.#repair ? await repairSegment(this.#disk, segment, runs) : null
    for (const { position, end, reason, lostFrom, lostTo } of damage) {
      this.#faults.push({
        file: this.#full(segment.path),
        position,
        bytes: end - position,
        reason,
        log: segment.name,
        lostFrom,
        lostTo: lostTo ?? (segment.knownOffset > lostFrom ? segment.knownOffset : null),
        savedAs,
      })
    }
  }

  async #load(
    path: string,
    from: {
      readonly id: number
      readonly name: string
      readonly isLast: boolean
      readonly parts: readonly StoredPart[]
    },
  ): Promise<LoadedSegment> {
    const disk = this.#disk
    const { id: logId, name, isLast } = from
    const baseOffset = baseOffsetOf(path)
    let bytes = (await readWhole(disk, path)) ?? Buffer.alloc(0)
    for (const part of from.parts) {
      if (part.logId !== logId || part.baseOffset !== baseOffset) continue
      const end = part.position + part.data.length
      if (end > bytes.length) bytes = Buffer.concat([bytes, Buffer.alloc(end - bytes.length)])
      part.data.copy(bytes, part.position)
    }
    const indexBytes = await readWhole(disk, indexPath(path))
    const known = indexBytes === null ? null : decodeSegmentIndex(indexBytes)
    const knownBytes = known?.summary.bytes ?? 0
    const knownOffset = known?.summary.nextOffset ?? 0
    return { path, logId, name, baseOffset, bytes, isLast, knownBytes, knownOffset }
  }

  #full(path: string): string {
    return `${this.#disk.name}/${path}`
  }
}
