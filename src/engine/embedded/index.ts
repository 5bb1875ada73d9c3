import { FileDisk } from '../../storage/disk-file.ts'
import type { Disk } from '../../storage/disk.ts'
import { MemoryDisk } from '../../storage/disk-memory.ts'
import { replayJournals } from '../../storage/journal-writer.ts'
import { EmbeddedEngine } from './embedded-engine.ts'
import { toEngineError } from './engine-errors.ts'
import { DEFAULT_LIMITS, SEGMENT_BYTES_MAX } from './options.ts'
import type { EmbeddedLimits, EmbeddedOptions } from './options.ts'
import { FROZEN_FOLDER, LOCK_FILE, SCRATCH_FOLDER, checkFormat, logFolder } from './store-folder.ts'

export { checkStore } from './check-store.ts'
export type { CheckedLog, StoreFault, StoreReport } from './check-store.ts'
export { DEFAULT_LIMITS as EMBEDDED_LIMITS } from './options.ts'
export type { EmbeddedEngine } from './embedded-engine.ts'
export type { FrozenFile, FrozenStore } from './frozen-store.ts'
export type { EmbeddedLimits, EmbeddedOptions } from './options.ts'

/**
 * Opens the store in a directory of this machine, or in memory. An empty directory becomes a
 * store; one that a crash left behind is recovered.
 *
 * Rejects with `EngineError`: `locked` when another process has it open, `corrupt` when stored
 * bytes are damaged anywhere but at the torn end of the last write, `io` when the disk refuses.
 */
export async function openEmbeddedEngine(options: EmbeddedOptions): Promise<EmbeddedEngine> {
  const disk = diskOf(options)
  const limits = limitsOf(options)
  try {
    await disk.makeFolder('')
    const lock = await disk.lock(LOCK_FILE)
    try {
      await checkFormat(disk)
      await disk.removeFolder(SCRATCH_FOLDER)
      await disk.removeFolder(FROZEN_FOLDER)
      const { number, group, cuts } = await replayJournals(disk, logFolder)
      const { clock } = options
      return await EmbeddedEngine.open({
        disk,
        lock,
        clock,
        limits,
        journalNumber: number,
        group,
        cuts,
      })
    } catch (error) {
      await lock.release()
      throw error
    }
  } catch (error) {
    throw toEngineError(error)
  }
}

function diskOf({ directory, memory, disk }: EmbeddedOptions): Disk {
  if (disk !== undefined) return disk
  if (directory !== undefined) return new FileDisk(directory)
  if (memory === true) return new MemoryDisk()
  throw new RangeError('say where the store is: directory, memory or disk')
}

function limitsOf(options: EmbeddedOptions): EmbeddedLimits {
  const limits: Record<keyof EmbeddedLimits, number> = { ...DEFAULT_LIMITS }
  for (const name of Object.keys(DEFAULT_LIMITS) as (keyof EmbeddedLimits)[]) {
    const value = options[name]
    if (value === undefined) continue
    if (!Number.isFinite(value) || value < 0) throw new RangeError(`${name} is ${value}`)
    limits[name] = value
  }
  if (limits.segmentBytes > SEGMENT_BYTES_MAX) {
    throw new RangeError(`segmentBytes is ${limits.segmentBytes}, limit is ${SEGMENT_BYTES_MAX}`)
  }
  return limits
}
